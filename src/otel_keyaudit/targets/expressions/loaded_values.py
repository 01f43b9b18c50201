"""Read only loaded values of mapped objects (SQLAlchemy, SQLModel, Django, Peewee), because loading runs SQL.

A view stands in for the object. Properties and methods run with the view as ``self``, so they load nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import getattr_static
from types import FunctionType, MethodType
from typing import Any

from otel_keyaudit.errors import NotLoadedError

_MISSING = object()

LoadedValue = Callable[[Any, str], Any]
"""Returns an attribute of a mapped object, ``_MISSING`` if it is not loaded."""


def is_mapped(kind: type) -> bool:
    """Return whether the objects of a class are mapped to a database and may load attributes when they are read."""
    return _loaded_value(kind) is not None


def readable(value: Any) -> Any:
    """Return the view of a mapped object, and any other value as it is."""
    loaded = _loaded_value(type(value))
    return value if loaded is None else LoadedView(value, loaded)


def original(value: Any) -> Any:
    """Return the mapped object of a view, the objects of a list of views, and any other value as it is."""
    if type(value) is Prefetched:
        return [*map(original, value)]
    return value._keyaudit_target if type(value) is LoadedView else value


class LoadedView:
    """A mapped object without its unloaded attributes.

    Args:
        target: The mapped object.
        loaded: Returns a loaded attribute.

    Raises:
        NotLoadedError: An attribute would have to be loaded (raised on access).
        AttributeError: An attribute does not exist (raised on access).
    """

    __slots__ = ("_keyaudit_loaded", "_keyaudit_target")

    def __init__(self, target: Any, loaded: LoadedValue) -> None:
        self._keyaudit_target = target
        self._keyaudit_loaded = loaded

    def __getattr__(self, name: str) -> Any:
        """Return a loaded attribute, or the result of a property that uses loaded attributes only."""
        target = self._keyaudit_target
        kind = type(target)
        if name == "_sa_instance_state":  # it leads to the session, with which a property could run SQL
            raise NotLoadedError(name, kind)
        value = self._keyaudit_loaded(target, name)
        if value is not _MISSING:
            return _readable_elements(value) if isinstance(value, (list, set)) else readable(value)
        found = _class_attribute(kind, name)
        if found is _MISSING:
            raise AttributeError(name)
        return _run_on_view(found, self, kind, name)


def _run_on_view(found: Any, view: LoadedView, kind: type, name: str) -> Any:
    """Return a class attribute for a view: run a property and bind a method, but refuse a descriptor that may load."""
    if isinstance(found, FunctionType):
        return MethodType(found, view)
    if isinstance(found, (staticmethod, classmethod)):
        return found.__get__(None, kind)
    compute = _compute(found)
    if compute is not None:
        return compute(view)
    if hasattr(type(found), "__get__"):
        raise NotLoadedError(name, kind)
    return found


def is_computed(kind: type, name: str) -> bool:
    """Return whether an attribute of a class is a property, a hybrid property or a cached property."""
    return _compute(_class_attribute(kind, name)) is not None


def _compute(found: Any) -> FunctionType | None:
    is_property = isinstance(found, property)
    compute = found.fget if is_property else getattr_static(found, "fget", None) or getattr_static(found, "func", None)
    return compute if isinstance(compute, FunctionType) else None


def _loaded_value(kind: type) -> LoadedValue | None:
    if hasattr(kind, "_sa_class_manager"):
        return _of_sqlalchemy
    if hasattr(type(getattr(kind, "_meta", None)), "concrete_fields"):
        return _of_django
    if hasattr(type(getattr(kind, "_meta", None)), "add_ref"):
        return _of_peewee
    return _of_lazy_object if _is_lazy(kind) else None


def _is_lazy(kind: type) -> bool:
    return hasattr(kind, "_setup") and hasattr(kind, "_wrapped")


def behind(value: Any) -> Any:
    """Return the object behind Django's ``SimpleLazyObject`` or Werkzeug's ``LocalProxy``, any other value as it is.

    The object behind a lazy object is ``None`` until the application uses it, because creating it may run SQL.
    """
    kind = type(value)
    if _is_lazy(kind):
        wrapped = value.__dict__["_wrapped"]
        return None if type(wrapped) is object else wrapped  # a marker, until the object is created
    return value._get_current_object() if hasattr(kind, "_get_current_object") else value


def _readable_elements(values: Iterable[Any]) -> Iterable[Any]:
    """Return related objects as views, because a property or method of the object may read them."""
    views = map(readable, values)
    return {*views} if isinstance(values, set) else Prefetched(views)


def _of_sqlalchemy(target: Any, name: str) -> Any:
    """Return a loaded attribute, or a part of the primary key from the identity of a persistent object."""
    held = vars(target)
    state = held.get("_sa_instance_state")
    if name in held or state is None:
        return held.get(name, _MISSING)
    if state.key is None:  # the object was never stored, so there is nothing to load
        return None if name in state.manager else _MISSING
    mapper = state.mapper
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    return dict(zip(names, state.key[1], strict=True)).get(name, _MISSING)


def _of_django(target: Any, name: str) -> Any:
    """Return a loaded attribute, a fetched related object, or prefetched related objects."""
    held = vars(target)
    if name in held:
        return held[name]
    fetched = getattr(held.get("_state"), "fields_cache", {})
    if name in fetched:
        return fetched[name]
    prefetched = held.get("_prefetched_objects_cache", {})
    return [*elements(prefetched[name])] if name in prefetched else _MISSING


def _of_peewee(target: Any, name: str) -> Any:
    """Return the value of a column, or a related object that was fetched."""
    held, related = target.__dict__, target.__rel__
    if name in held or name in related:
        return held.get(name, related.get(name))
    field = type(target)._meta.combined.get(name)
    is_reference = hasattr(field, "rel_model") and name == field.name
    value = _MISSING if field is None else target.__data__.get(field.name)
    return _MISSING if is_reference and value is not None else value


def _of_lazy_object(target: Any, name: str) -> Any:
    """Return a loaded attribute of the object inside Django's ``SimpleLazyObject``, such as ``request.user``."""
    wrapped = behind(target)
    if wrapped is None:
        raise NotLoadedError(name, type(target))
    return getattr(readable(wrapped), name)


class Prefetched(list[Any]):
    """Prefetched related objects. ``all()`` returns them, as with Django's related manager."""

    def all(self) -> Prefetched:
        """Return the list itself."""
        return self


def elements(values: Iterable[Any]) -> Iterable[Any]:
    """Return the elements of a collection, or the fetched objects of a Django query.

    Raises:
        NotLoadedError: The query has not been run.
    """
    if not hasattr(type(values), "_fetch_all"):
        return values
    fetched: list[Any] | None = getattr(values, "_result_cache", None)
    if fetched is None:
        raise NotLoadedError("the query", type(values))
    return fetched


def _class_attribute(kind: type, name: str) -> Any:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), _MISSING)


def is_column(kind: type, name: str) -> bool:
    """Return whether a mapped class has an attribute whose loaded value is in the ``__dict__`` of its objects."""
    if hasattr(kind, "_sa_class_manager"):
        return name in kind._sa_class_manager
    meta = getattr(kind, "_meta", None)
    return any(column.attname == name for column in getattr(meta, "concrete_fields", ()))
