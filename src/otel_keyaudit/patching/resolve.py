"""Resolve the qualified name of a target to a callable."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import wrapt

from otel_keyaudit.errors import WrongTargetError, hint
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.kinds.definitions import LOCALS, find_definition
from otel_keyaudit.patching.kinds.events import ModelEvent, has_event
from otel_keyaudit.patching.kinds.overrides import refuse_abstract
from otel_keyaudit.patching.kinds.references import Reference
from otel_keyaudit.patching.kinds.replacement import Replacement
from otel_keyaudit.patching.modules.lookup import MISSING, loads_names, namespace
from otel_keyaudit.patching.resolved_callable import ResolvedCallable, is_method_object

_OF_COMPILED_CLASS = "it is {}, a method of a compiled class, which cannot be patched"
_OF_COMPILED_CLASSES = (MethodDescriptorType, ClassMethodDescriptorType, WrapperDescriptorType)

_COMPUTED_VALUES = (property, cached_property)
"""Descriptors whose values are no methods, even if they are callable."""


class NameNotLoadedError(WrongTargetError):
    """Raised if a module loads a name on first use, and that has not happened yet; see ``when_loaded``."""


def resolve(module: object, qualified_name: str, *, first: Any = MISSING) -> ResolvedCallable:
    """Resolve a qualified name in a module.

    Args:
        module: The module. Names that it loads on first use are not loaded.
        qualified_name: The name, as in ``__qualname__``.
        first: The value of the first name, if it is not in the module itself.

    Raises:
        NameNotLoadedError: The module loads the name on first use, and that has not happened yet.
        WrongTargetError: There is no such name, it is not a function, or it is a builtin that all code shares.
    """
    factory, _, path = qualified_name.partition(LOCALS)
    if path:
        definition = find_definition(resolve(module, factory, first=first).function, path)
        return ResolvedCallable(definition, has_self=definition.is_method)
    *outer, name = qualified_name.split(".")
    owner: Any = module
    for number, step in enumerate(outer):
        value = _step(owner, step) if number or first is MISSING else first
        owner = _without_proxies(value)[0]
        if owner is MISSING:
            raise WrongTargetError(_missing(module, qualified_name))
    if issubclass(type(owner), type):
        found = replace(_in_class(owner, name), method=(owner, name))
    else:
        value = _step(owner, name) if outer or first is MISSING else first
        if value is MISSING:
            raise WrongTargetError(_missing(module, qualified_name))
        found = _of_value(*_without_proxies(value, _reference(owner, name)), name)
    _refuse_shared(found.function)
    return found


def _step(owner: Any, name: str) -> Any:
    """Return the value of a name, without loading a name that a module loads on first use.

    Raises:
        NameNotLoadedError: The module may load the name later.
        WrongTargetError: An object has the value under that name for one use only.
    """
    if not issubclass(type(owner), ModuleType):
        value = getattr(owner, name, MISSING)
        if not (issubclass(type(owner), type) or _is_same(value, getattr(owner, name, MISSING))):
            if isinstance(value, (BuiltinFunctionType, MethodWrapperType)):
                raise WrongTargetError(_OF_COMPILED_CLASS.format(value.__qualname__))
            raise WrongTargetError(
                f"{name!r} of a {type(owner).__name__} is a new object at each use; name the method of its class"
            )
        return value
    names = namespace(owner)
    if name not in names and loads_names(owner):
        raise NameNotLoadedError(f"module {names.get('__name__', '')!r} has not loaded {name!r} so far")
    return names.get(name, MISSING)


def _is_same(value: Any, again: Any) -> bool:
    """Return whether two values of an attribute are the same object, or have the same Python function."""
    value, again = _without_proxies(value)[0], _without_proxies(again)[0]
    if value is again:
        return True
    is_method = type(value) is type(again) is MethodType and value.__self__ is again.__self__
    return is_method and type(_function_of(value)) is FunctionType and value == again


def _function_of(method: MethodType) -> Any:
    return _without_proxies(method.__func__)[0]


def _missing(module: Any, qualified_name: str) -> str:
    """Return the reason for a missing name, with the nearest existing one."""
    names: dict[str, Any] = namespace(module)
    first, _, rest = qualified_name.partition(".")
    owner = names.get(first) if rest else None
    known: Iterable[object] = list(names)
    if issubclass(type(owner), type):
        known = [f"{first}.{name}" for name in list(vars(owner))]
    return f"module {names.get('__name__', '')!r} has no {qualified_name!r}{_hint(qualified_name, known)}"


def _hint(name: str, names: Iterable[object]) -> str:
    """Suggest the nearest name. A private name is suggested only for a private name."""
    is_private = name.startswith("_")
    return hint(name, [one for one in names if isinstance(one, str) and one.startswith("_") == is_private])


def _reference(owner: Any, name: str) -> Reference | None:
    names = namespace(owner)
    return Reference("item", names, name) if name in names else None


def _in_class(owner: type, name: str) -> ResolvedCallable:
    definer = next((cls for cls in owner.__mro__ if name in vars(cls)), None)
    if definer is None and has_event(owner, name):
        return ResolvedCallable(ModelEvent(owner))
    if definer is None and _is_method_of_metaclass(type(owner), name):
        return replace(_in_class(type(owner), name), receiver=owner)
    if definer is None:
        names = {name for cls in owner.__mro__ for name in list(vars(cls))}
        raise WrongTargetError(f"class {owner.__qualname__!r} has no {name!r}{_hint(name, names)}")
    raw, reference = _without_proxies(vars(definer)[name], Reference("class", definer, name))
    receiver = None if definer is owner else owner
    refuse_abstract(owner, definer, name, raw)
    if is_method_object(raw):
        has_self = issubclass(type(raw), classmethod)
        inner, inner_reference = _without_proxies(raw.__func__)
        value, reference = (inner, inner_reference) if type(inner) is FunctionType else (raw, reference)
        return ResolvedCallable(value, reference=reference, has_self=has_self, receiver=receiver if has_self else None)
    if type(raw) is FunctionType or _binds(raw, definer):
        return ResolvedCallable(raw, reference=reference, has_self=True, receiver=receiver)
    return _of_value(raw, reference, name)


def _is_method_of_metaclass(metaclass: type, name: str) -> bool:
    """Return whether a metaclass, besides ``type`` itself, defines a method that takes the class as its object."""
    definers = [cls for cls in metaclass.__mro__[:-2] if name in vars(cls)]
    return bool(definers) and not is_method_object(vars(definers[0])[name])


def _binds(value: Any, owner: type) -> bool:
    """Return whether a class attribute becomes a method, as an ``lru_cache`` object does, or returns a callable."""
    kind = type(value)
    if not hasattr(kind, "__get__") or hasattr(kind, "__set__") or issubclass(kind, _COMPUTED_VALUES):
        return False
    return callable(value) or callable(quietly(kind.__get__, value, None, owner))


def _of_value(value: Any, reference: Reference | None, name: str) -> ResolvedCallable:
    if issubclass(type(value), type):
        raise WrongTargetError(f"{name!r} is a class, not a function; a target may be its method, as in {name}.method")
    if type(value) is MethodType and type(method := _function_of(value)) is FunctionType:
        return ResolvedCallable(method, has_self=True, receiver=value.__self__)
    if not callable(value):
        raise WrongTargetError(f"{name!r} is of type {type(value).__name__}, not a function")
    call = next(vars(cls)["__call__"] for cls in type(value).__mro__ if "__call__" in vars(cls))
    if type(call) is FunctionType:
        return ResolvedCallable(call, has_self=True, receiver=value, described=value)
    return ResolvedCallable(value, reference=reference)


def _refuse_shared(function: Any) -> None:
    """Refuse a builtin of Python or a method of a compiled class, because all code of the process shares it."""
    is_constructor = type(function) is BuiltinFunctionType and function.__name__ == "__new__"
    if is_constructor or type(function) in _OF_COMPILED_CLASSES:
        raise WrongTargetError(_OF_COMPILED_CLASS.format(function.__qualname__))
    if type(function) is BuiltinFunctionType and (function.__module__ or "").split(".")[0] in sys.stdlib_module_names:
        own = f"{function.__module__}.{function.__qualname__}"
        raise WrongTargetError(f"it is Python's own {own}; name the function of the application that calls it")


def _without_proxies(value: Any, reference: Reference | None = None) -> tuple[Any, Reference | None]:
    """Return the object inside the wrappers of other instrumentations, which stay, and the reference to it."""
    while issubclass(type(value), wrapt.BaseObjectProxy) and type(value) is not Replacement:
        reference = Reference("proxy", value)
        value = value.__wrapped__
    return value, reference
