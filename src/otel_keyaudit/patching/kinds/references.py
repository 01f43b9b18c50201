"""Find every reference to a callable without Python code, so that its replacement can be put there.

The search uses the garbage collector's referrers, and one search serves all callables.
"""

from __future__ import annotations

import gc
import inspect
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import BuiltinMethodType, CellType, FrameType, FunctionType
from typing import Any, NamedTuple

import wrapt

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import expected

_ATTEMPTS = 10


class IgnoredHolder:
    """Base class of the library's own objects that hold a searched callable. They do not count as references."""

    __slots__ = ()


class Reference(NamedTuple):
    """A reference to an object that can be replaced.

    Attributes:
        kind: ``item`` of a dict, list or deque, ``element`` of a set, ``cell`` of a closure, ``slot`` of an instance,
            ``class`` for an attribute of a class, ``default`` for the default of a function's parameter, ``proxy`` for
            a wrapper of another instrumentation.
        holder: The container.
        key: The key, index or attribute name in the container.
    """

    kind: str
    holder: Any
    key: Any = None

    def put(self, value: Any, *, expected: Any) -> bool:
        """Replace the reference if it is still to the expected object; return ``True``."""
        if self.kind == "item" and _item(self.holder, self.key) is expected:
            _builtin(self.holder).__setitem__(self.holder, self.key, value)
        elif self.kind == "element" and any(element is expected for element in set.copy(self.holder)):
            set.discard(self.holder, expected)
            set.add(self.holder, value)
        elif self.kind == "cell" and self.holder.cell_contents is expected:
            self.holder.cell_contents = value
        elif self.kind == "slot" and _slot(self.holder, self.key) is expected:
            object.__setattr__(self.holder, self.key, value)
        elif self.kind == "class" and vars(self.holder).get(self.key) is expected:
            type.__setattr__(self.holder, self.key, value)
        elif self.kind == "default" and _default(self.holder, self.key) is expected:
            defaults = self.holder.__defaults__
            self.holder.__defaults__ = (*defaults[: self.key], value, *defaults[self.key + 1 :])
        elif self.kind == "proxy" and self.holder.__wrapped__ is expected:
            self.holder.__wrapped__ = value
        return True


class References:
    """The references to one object.

    Attributes:
        changeable: The references that can be replaced.
        fixed: The number of holders that cannot be changed and through which the object can be called (tuples, frozen
            sets, partials, bound methods, suspended generators, compiled objects).
        methods: The static and class methods that hold the object. They cannot be changed, but replaced in their turn.
    """

    def __init__(self) -> None:
        self.changeable: list[Reference] = []
        self.fixed = 0
        self.methods: list[Any] = []

    def add_holder(self, holder: Any, wanted: Any) -> None:
        """Add a holder of the object in which it cannot be replaced."""
        if type(holder) in (staticmethod, classmethod):
            self.methods.append(holder)
        elif not _is_harmless(holder, wanted):
            self.fixed += 1


def references_to(wanted: Sequence[Any], *, besides: Collection[object] = ()) -> list[References]:
    """Find the references to each of several objects in one search.

    Args:
        wanted: The objects.
        besides: Holders that do not count, such as the library's own.
    """
    search = _Search(wanted)
    objects = tuple(wanted)  # the call below passes this very tuple on, so it can be ignored as a holder
    ignored = {id(one) for one in (wanted, objects, besides, *besides)}
    ignored |= {id(_slot(one, "__dict__")) for one in besides} - {id(None)}
    for holder in gc.get_referrers(*objects):
        if not issubclass(type(holder), (FrameType, IgnoredHolder)) and id(holder) not in ignored:
            search.add(holder)
    search.find_owners()
    return search.found


class _Search:
    """Collects the references to several objects.

    Args:
        wanted: The objects.
    """

    def __init__(self, wanted: Sequence[Any]) -> None:
        self.found = [References() for _ in wanted]
        self._wanted = wanted
        self._position = {id(one): number for number, one in enumerate(wanted)}
        self._namespaces: list[tuple[dict[Any, Any], Any, int]] = []
        self._tuples: list[tuple[tuple[Any, ...], int]] = []

    def add(self, holder: Any) -> None:
        """Add the references of a holder. Those of a class or of defaults wait for the owner of the holder."""
        references = _references_in(holder, self._position)
        for reference, number in references:
            if reference.kind == "namespace":
                self._namespaces.append((reference.holder, reference.key, number))
            else:
                self.found[number].changeable.append(reference)
        held = {self._position[id(one)] for one in gc.get_referents(holder) if id(one) in self._position}
        for number in held - {number for _, number in references}:
            if type(holder) is tuple:
                self._tuples.append((holder, number))
            else:
                self.found[number].add_holder(holder, self._wanted[number])

    def find_owners(self) -> None:
        """Find the classes and the functions that own the waiting holders, in a second search."""
        for reference, number in _references_in_classes(self._namespaces):
            self.found[number].changeable.append(reference)
        for number, defaults in _references_in_defaults(self._tuples, self._wanted):
            self.found[number].changeable.extend(defaults)
            self.found[number].fixed += not defaults


def _references_in(holder: Any, position: Mapping[int, int]) -> list[tuple[Reference, int]]:
    """Return the replaceable references in a holder, each with the number of the object that it refers to.

    A holder that another thread changes meanwhile is read again. One that cannot be read has none.
    """
    for _ in range(_ATTEMPTS):
        references = quietly(lambda: list(_references_of(holder, position)))
        if references is not None:
            return references
    return []


def _references_of(holder: Any, position: Mapping[int, int]) -> Iterator[tuple[Reference, int]]:
    kind = type(holder)
    if issubclass(kind, wrapt.BaseObjectProxy):
        held = [(Reference("proxy", holder), holder.__wrapped__)]
    elif kind is CellType:
        held = [(Reference("cell", holder), holder.cell_contents)]
    elif issubclass(kind, dict):
        held = [(_named(holder, key), value) for key, value in list(dict.items(holder))]
    elif issubclass(kind, (list, deque)):
        elements = list(_builtin(holder).__iter__(holder))
        held = [(Reference("item", holder, index), value) for index, value in enumerate(elements)]
    elif issubclass(kind, set):
        held = [(Reference("element", holder), value) for value in set.copy(holder)]
    else:
        held = [(Reference("slot", holder, name), _slot(holder, name)) for name in _slots(holder)]
        attributes = _slot(holder, "__dict__")
        if issubclass(type(attributes), dict):
            yield from _references_of(attributes, position)
    for reference, value in held:
        if id(value) in position:
            yield reference, position[id(value)]


def _named(namespace: dict[Any, Any], key: Any) -> Reference:
    """Return the reference in a dict. The dict of a class is changed through the class, which caches lookups.

    A dict with ``__module__`` belongs to a class, unless it has ``__wrapped__``, too: then to a wrapper of a function.
    """
    is_of_class = "__module__" in namespace and "__wrapped__" not in namespace
    return Reference("namespace" if is_of_class else "item", namespace, key)


def _references_in_classes(namespaces: list[tuple[dict[Any, Any], Any, int]]) -> Iterator[tuple[Reference, int]]:
    """Yield the references in the namespaces of classes, whose owners are found in a second search.

    A class that the garbage collector does not list, as after ``gc.freeze()``, is skipped: if only its dict were
    changed, its lookup cache would still lead to the old object.
    """
    if not namespaces:
        return
    owners = [owner for owner in gc.get_referrers(*(one for one, _, _ in namespaces)) if issubclass(type(owner), type)]
    for namespace, key, number in namespaces:
        for owner in owners:
            if vars(owner).get(key) is namespace.get(key) and any(one is namespace for one in gc.get_referents(owner)):
                yield Reference("class", owner, key), number


def _references_in_defaults(
    tuples: list[tuple[tuple[Any, ...], int]], wanted: Sequence[Any]
) -> Iterator[tuple[int, list[Reference]]]:
    """Yield the references in each tuple that is the ``__defaults__`` of functions, which are found in a second search.

    Any other tuple has none.
    """
    if not tuples:
        return
    functions = [one for one in gc.get_referrers(*(held for held, _ in tuples)) if type(one) is FunctionType]
    for held, number in tuples:
        positions = [position for position, value in enumerate(held) if value is wanted[number]]
        owners = [one for one in functions if one.__defaults__ is held]
        yield number, [Reference("default", owner, position) for owner in owners for position in positions]


def count_instance_overrides(cls: type, name: str) -> int:
    """Count the instances of a class that override one of its attributes."""
    classes, position = [cls], 0
    while position < len(classes):
        classes += type.__subclasses__(classes[position])
        position += 1
    instances = [one for one in gc.get_referrers(*classes) if any(type(one) is known for known in classes)]
    return sum(name in (_slot(one, "__dict__") or ()) for one in instances)


def _is_harmless(holder: Any, wanted: Any) -> bool:
    """Return whether a holder needs no change: a dict with the object as a key, or a method of the object itself.

    A proxy is equal to the object, so it finds the same dict item. ``cache_clear`` is a method of its own object.
    """
    return issubclass(type(holder), dict) or (type(holder) is BuiltinMethodType and holder.__self__ is wanted)


def _builtin(holder: Any) -> Any:
    """Return the builtin base class of a container, because a subclass may override the methods."""
    return next(kind for kind in (dict, list, deque) if issubclass(type(holder), kind))


def _item(holder: Any, key: Any) -> Any:
    if _builtin(holder) is dict:
        return dict.get(holder, key)
    return _builtin(holder).__getitem__(holder, key) if key < _builtin(holder).__len__(holder) else None


def _default(function: Any, position: int) -> Any:
    defaults = function.__defaults__ or ()
    return defaults[position] if position < len(defaults) else None


def _slots(holder: Any) -> list[str]:
    """Return the names of an instance's slots. Members of compiled objects, such as ``__func__``, cannot be set."""
    classes = [cls for cls in type(holder).__mro__ if "__slots__" in vars(cls)]
    return [name for cls in classes for name, value in vars(cls).copy().items() if inspect.ismemberdescriptor(value)]


def _slot(holder: Any, name: str) -> Any:
    with expected(AttributeError):
        return object.__getattribute__(holder, name)
    return None
