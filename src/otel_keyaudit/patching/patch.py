"""Patch a resolved callable so that observers see its calls through every reference, and undo the patch exactly.

For every kind of target, the code of one Python function is exchanged: of the function itself, of the function through
which the calls of a replaced object pass, or of the listener of an event. A function has one ordered list of observers.
In each *group*, only the first observer that returns an observation observes the call. Observers of different groups
observe the same call, the lowest rank outermost. So a function that several targets name is observed once in each
group.

A change of code is a single assignment under a lock, and a running call keeps the code with which it began.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import RLock
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, Protocol

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.patching.code_exchange import Hook, duplicate, handled_code, hook_of, original_code
from otel_keyaudit.patching.hooks import Observer, observers_of, with_observer, without_observer
from otel_keyaudit.patching.kinds.definitions import Definition, locals_form
from otel_keyaudit.patching.kinds.events import ModelEvent, listener_of
from otel_keyaudit.patching.kinds.references import count_instance_overrides
from otel_keyaudit.patching.kinds.replacement import ReferenceSweep, Replaced, Replacement
from otel_keyaudit.patching.modules import namespace
from otel_keyaudit.patching.resolve import NotLoadedError, ResolvedCallable, resolve
from otel_keyaudit.patching.wrappers import Observation, Observe

__all__ = [
    "Handler",
    "HandlerPatch",
    "NotLoadedError",
    "Patch",
    "ResolvedCallable",
    "WrongTargetError",
    "locals_form",
    "one_sweep",
    "resolve",
    "when_loaded",
    "wrap",
]

Handler = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Called in place of the original with the positional and the keyword arguments, including defaults."""

_LOCK = RLock()

_FROZEN_AT_START = 1_000
"""Python 3.12 freezes some hundred objects when it starts; an application that calls ``gc.freeze()`` freezes
thousands."""

one_sweep = ReferenceSweep.block
"""A context manager. One search at its end serves all objects that were replaced or restored inside it."""


def _reference(value: Any) -> Callable[[], Any]:
    """Return a weak reference to an object, or a strong one if its class does not support weak references."""
    with expected(TypeError):
        return weakref.ref(value)
    return lambda: value


class _Site(Protocol):
    """The function whose code is exchanged for one target."""

    @property
    def unreached(self) -> int:
        """The number of references to a replaced object that cannot be changed."""

    @property
    def is_searched(self) -> bool:
        """Whether references were searched for among all objects."""

    def change(self, exchange: Callable[[CodeType], CodeType]) -> None:
        """Exchange the code."""

    def release(self) -> None:
        """Restore everything besides the code if there is no observer left."""


class Patch:
    """One observer of a function. It does not keep the function alive."""

    def __init__(self, found: ResolvedCallable, site: _Site, observer: Observer) -> None:
        self._identity = _reference(found.identity)
        self._limits = found.limits
        self._site = site
        self._observer = observer

    @property
    def identity(self) -> Any:
        """The identity of the ``ResolvedCallable``, ``None`` if the function was deleted."""
        return self._identity()

    @property
    def unreached(self) -> int:
        """The number of references to a replaced object that cannot be changed."""
        return self._site.unreached

    @property
    def limits(self) -> list[str]:
        """Descriptions of the calls that are not observed, for the status of a target; empty if all are."""
        count = self.unreached
        earlier = f"{count} earlier reference{'s' * (count > 1)} (in a tuple or compiled code) could not be replaced"
        limits = [f"{earlier}; calls through {'them' if count > 1 else 'it'} are not recorded"] if count else []
        if self._site.is_searched and gc.get_freeze_count() > _FROZEN_AT_START:
            limits.append(
                "references older than gc.freeze() could not be searched; calls through them are not recorded"
            )
        return [*limits, *self._limits]

    def undo(self) -> None:
        """Remove the observer, and leave changes by others in place."""
        with _LOCK:
            self._site.change(lambda code: without_observer(code, self._observer))
            self._site.release()


def wrap(found: ResolvedCallable, observe: Observe, *, group: object = None, rank: int = 0) -> Patch:
    """Add an observer to a resolved callable. It sees each call from now on.

    Args:
        found: The callable.
        observe: Begins the observation of a call.
        group: Of all observers in this group, one observes a call. Without a group, this one always does.
        rank: The position among the observers. A lower one is asked earlier, and encloses those with a higher one.
    """
    if found.receiver is not None:
        observe = _only(_accepts(found.receiver), observe)
    observer = Observer(rank, object() if group is None else group, observe)
    with _LOCK:
        site = _site(found)
        name = "__qualname__" if type(found.function) is FunctionType else "qualified_name"
        site.change(lambda code: with_observer(code, observer, getattr(found.function, name, "")))
        return Patch(found, site, observer)


def when_loaded(module: Any, qualified_name: str, loaded: Callable[[Any], object]) -> Patch:
    """Call a function when a module has loaded a name that it loads on first use.

    Args:
        module: The module.
        qualified_name: The name, or a dotted name that begins with it.
        loaded: Called with the value of the first name each time that the module has loaded it, before anybody uses it;
            must not raise. It passes the value to ``resolve(module, qualified_name, first=value)``.
    """
    name = qualified_name.partition(".")[0]
    if "__getattr__" in namespace(module):
        found = resolve(module, "__getattr__")
    else:
        found = resolve(SimpleNamespace(module=type(module)), "module.__getattr__")
        found = replace(found, receiver=module)
    return wrap(found, partial(_Loading, name, loaded))


class _Loading(Observation):
    """A call of a module's ``__getattr__``."""

    def __init__(
        self, name: str, loaded: Callable[[Any], object], args: tuple[Any, ...], kwargs: dict[str, Any], _: object
    ) -> None:
        self._name = name
        self._loaded = loaded
        self.positional, self.keywords = args, kwargs

    def returned(self, result: Any) -> Any:
        """Report the value of the name."""
        if self._name in self.positional:
            self._loaded(result)
        return result


def _site(found: ResolvedCallable) -> _Site:
    kind = type(found.function)
    if kind is ModelEvent:
        return _EventSite(found.function)
    if kind is FunctionType:
        return _FunctionSite(found.function)
    if kind is Definition:
        return _DefinitionSite(found.function)
    return _ObjectSite(found)


def _accepts(receiver: Any) -> Callable[[tuple[Any, ...]], bool]:
    only = _reference(receiver)  # a strong one in a code object would be in a cycle that the collector cannot free
    if issubclass(type(receiver), type):
        return lambda args: bool(args) and any(cls is only() for cls in _class_of(args[0]).__mro__)
    return lambda args: bool(args) and args[0] is only()


def _class_of(value: Any) -> type:
    return value if issubclass(type(value), type) else type(value)


def _only(accepts: Callable[[tuple[Any, ...]], bool], observe: Observe) -> Observe:
    return lambda args, kwargs, original: observe(args, kwargs, original) if accepts(args) else None


# The sites: the function whose code is exchanged, for each kind of target.


_PATCHED: weakref.WeakSet[FunctionType] = weakref.WeakSet()
"""Functions that have, or had, observers of their own."""


class _FunctionSite:
    """A Python function. It is not kept alive, because a reloaded module drops its old functions."""

    unreached = 0
    is_searched = False

    def __init__(self, function: FunctionType) -> None:
        self._function = weakref.ref(function)

    def change(self, exchange: Callable[[CodeType], CodeType]) -> None:
        function = self._function()
        if function is not None:
            _PATCHED.add(function)
            holder = _inside_handlers(function)
            holder.__code__ = exchange(holder.__code__)

    def release(self) -> None: ...


class _DefinitionSite(_FunctionSite):
    """A definition inside a function, with all functions that are made from it."""

    is_searched = True

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition.factory)
        self._path, self._code = definition.path, definition.code

    def change(self, exchange: Callable[[CodeType], CodeType]) -> None:
        factory = self._function()
        if factory is None:
            return
        definition = Definition(factory, self._path, self._code)
        done = definition.change(_inside_handlers(factory), exchange)
        for function in [one for one in _PATCHED if id(one) not in done]:  # whose code is a trampoline
            holder = _inside_handlers(function)
            if original_code(holder.__code__) is self._code:
                holder.__code__ = exchange(holder.__code__)


class _EventSite(_FunctionSite):
    """The listener of a model's event."""

    def __init__(self, event: ModelEvent) -> None:
        self._listener = listener_of(event)
        super().__init__(self._listener.function)

    def release(self) -> None:
        if not observers_of(self._listener.function.__code__):
            self._listener.remove()


class _ObjectSite(_FunctionSite):
    """A callable without Python code, which is replaced by a proxy in every reference."""

    is_searched = True

    def __init__(self, found: ResolvedCallable) -> None:
        function = found.function
        if type(function) is Replacement:
            replaced: Replaced = function._self_replaced
        else:
            replaced = Replaced(function, found.value, found.place)
            if found.returns_callables and found.place is not None:
                replaced.unreached = count_instance_overrides(found.place.holder, found.place.key)
            ReferenceSweep.run(replaced, back=False)
        self._replaced = weakref.ref(replaced)  # the replacement keeps it
        super().__init__(replaced.function)

    @property
    def unreached(self) -> int:  # type: ignore[override]
        replaced = self._replaced()
        return 0 if replaced is None else replaced.unreached

    def release(self) -> None:
        replaced = self._replaced()
        if replaced is not None and not observers_of(replaced.function.__code__):
            ReferenceSweep.run(replaced, back=True)


# Handlers.


class HandlerPatch:
    """Calls a handler in place of a Python function; the handler calls the original itself.

    Handlers enclose all observers, and the last handler is the outermost.

    Args:
        function: The function.
        make_handler: Gets the original function, returns the handler.
    """

    def __init__(self, function: FunctionType, make_handler: Callable[[FunctionType], Handler]) -> None:
        self.function = function
        with _LOCK:
            original = duplicate(function)
            self._hook = Hook(make_handler(original))
            self._hook.original = original  # type: ignore[attr-defined]
            function.__code__ = handled_code(function.__code__, self._hook)

    def undo(self) -> None:
        """Remove the handler, unless other code has replaced it since."""
        with _LOCK:
            holder: Any = self.function
            while (hook := hook_of(holder.__code__)) is not self._hook and hasattr(hook, "original"):
                holder = hook.original  # type: ignore[union-attr]
            if hook is self._hook:
                holder.__code__ = self._hook.original.__code__  # type: ignore[attr-defined]


def _inside_handlers(function: FunctionType) -> FunctionType:
    """Return the function whose code has the observers: itself, or the original that the innermost handler calls."""
    while (inner := getattr(hook_of(function.__code__), "original", None)) is not None:
        function = inner
    return function
