"""Patch a resolved callable so that observers see its calls, wherever it was captured before; undo it exactly.

Every kind of target comes down to a Python function whose code is exchanged: the function itself, the function that the
calls of a replaced object pass, or the listener of an event. A function is patched once, with an ordered list of
observers. Observers of one *group* take turns: the first that returns an observation has the call. Those of different
groups observe the same call, the lowest rank outermost. So a function that several targets reach under different names
is observed once in each group.

Changes of code are single assignments under a lock: a running call keeps the code with which it began.
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
from otel_keyaudit.patching.code_exchange import Hook, duplicate, handled_code, hook_of, original_code
from otel_keyaudit.patching.hooks import Observer, observers_of, with_observer, without_observer
from otel_keyaudit.patching.kinds.definitions import Definition, locals_form
from otel_keyaudit.patching.kinds.events import ModelEvent, listener_of
from otel_keyaudit.patching.kinds.references import count_kept
from otel_keyaudit.patching.kinds.replacement import Passes, Replaced, Replacement
from otel_keyaudit.patching.modules import namespace
from otel_keyaudit.patching.resolve import Found, NotLoadedError, find
from otel_keyaudit.patching.wrappers import Observation, Observe

__all__ = [
    "Exchange",
    "Found",
    "Handler",
    "NotLoadedError",
    "Patch",
    "WrongTargetError",
    "find",
    "locals_form",
    "one_pass",
    "when_loaded",
    "wrap",
]

Handler = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Gets the positional and the keyword arguments of a call, defaults filled in, and calls the original by itself."""

_LOCK = RLock()

_FROZEN_AT_START = 1_000
"""Python 3.12 freezes some hundred objects of its own when it starts; an application freezes all of its thousands."""

one_pass = Passes.block
"""A context manager: one pass at its end finds all objects that were replaced or restored inside it."""


def _reference(value: Any) -> Callable[[], Any]:
    """Return a weak reference to an object, or a strong one if there are no weak ones to it."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


class _Site(Protocol):
    """A function that is patched."""

    @property
    def unreached(self) -> int:
        """As that of a patch."""

    @property
    def is_searched(self) -> bool:
        """Other references were looked for among all objects."""

    def change(self, exchange: Callable[[CodeType], CodeType]) -> None:
        """Exchange the code."""

    def release(self) -> None:
        """Restore everything besides the code if nothing is observed any more."""


class Patch:
    """One observer of a function, until it is undone. It does not keep the function alive."""

    def __init__(self, found: Found, site: _Site, observer: Observer) -> None:
        self._identity = _reference(found.identity)
        self._limits = found.limits
        self._site = site
        self._observer = observer

    @property
    def identity(self) -> Any:
        """As that of the ``Found``; ``None`` if the function is gone."""
        return self._identity()

    @property
    def unreached(self) -> int:
        """The number of references to a replaced object that cannot be changed."""
        return self._site.unreached

    @property
    def limits(self) -> list[str]:
        """What is not observed, as sentences for the status of a target; empty if every call is observed."""
        count = self.unreached
        earlier = f"{count} earlier reference{'s' * (count > 1)} (in a tuple or compiled code) could not be replaced"
        limits = [f"{earlier}; calls through {'them' if count > 1 else 'it'} are not recorded"] if count else []
        if self._site.is_searched and gc.get_freeze_count() > _FROZEN_AT_START:
            limits.append(
                "references older than gc.freeze() could not be searched; calls through them are not recorded"
            )
        return [*limits, *self._limits]

    def undo(self) -> None:
        """Remove the observer; everything that others have changed stays."""
        with _LOCK:
            self._site.change(lambda code: without_observer(code, self._observer))
            self._site.release()


def wrap(found: Found, observe: Observe, *, group: object = None, rank: int = 0) -> Patch:
    """Let an observer see each call of a resolved callable, from now on.

    Args:
        found: The callable.
        observe: Begins the observation of a call.
        group: Of all observers with this group, one observes a call; without it, this one always does.
        rank: The order of the observers: a lower one takes its turn earlier, and is outside of a higher one.
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
    """Wait for a name that a module loads on first use.

    Args:
        module: The module.
        qualified_name: The name, or one that begins with it.
        loaded: Gets the value of the first name each time that the module has loaded it, before anybody uses it; must
            not raise. It is passed to ``find(module, qualified_name, first=value)``.
    """
    name = qualified_name.partition(".")[0]
    if "__getattr__" in namespace(module):
        found = find(module, "__getattr__")
    else:
        found = find(SimpleNamespace(module=type(module)), "module.__getattr__")
        found = replace(found, receiver=module)
    return wrap(found, partial(_Loading, name, loaded))


class _Loading(Observation):
    """The call by which Python asks a module for a name."""

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


def _site(found: Found) -> _Site:
    kind = type(found.function)
    if kind is ModelEvent:
        return _EventSite(found.function)
    if kind is FunctionType:
        return _FunctionSite(found.function)
    if kind is Definition:
        return _DefinitionSite(found.function)
    return _ObjectSite(found)


def _accepts(receiver: Any) -> Callable[[tuple[Any, ...]], bool]:
    only = _reference(receiver)  # the code that will hold it is no part of the cycles that the collector sees
    if issubclass(type(receiver), type):
        return lambda args: bool(args) and any(cls is only() for cls in _class_of(args[0]).__mro__)
    return lambda args: bool(args) and args[0] is only()


def _class_of(value: Any) -> type:
    return value if issubclass(type(value), type) else type(value)


def _only(accepts: Callable[[tuple[Any, ...]], bool], observe: Observe) -> Observe:
    return lambda args, kwargs, original: observe(args, kwargs, original) if accepts(args) else None


# The kinds of patched functions.


_PATCHED: weakref.WeakSet[FunctionType] = weakref.WeakSet()
"""Functions that have, or had, observers of their own."""


class _FunctionSite:
    """A Python function, which is not kept alive: a module that is reloaded drops its old ones."""

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
    """A definition inside a function, and all functions that are made from it."""

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
        for function in [one for one in _PATCHED if id(one) not in done]:  # with observers of its own, too
            holder = _inside_handlers(function)
            if original_code(holder.__code__) is self._code:
                holder.__code__ = exchange(holder.__code__)


class _EventSite(_FunctionSite):
    """A listener of a model's event."""

    def __init__(self, event: ModelEvent) -> None:
        self._listener = listener_of(event)
        super().__init__(self._listener.function)

    def release(self) -> None:
        if not observers_of(self._listener.function.__code__):
            self._listener.remove()


class _ObjectSite(_FunctionSite):
    """A callable without Python code, replaced by a proxy in every place that holds it."""

    is_searched = True

    def __init__(self, found: Found) -> None:
        function = found.function
        if type(function) is Replacement:
            replaced: Replaced = function._self_replaced
        else:
            replaced = Replaced(function, found.value, found.place)
            if found.hands_out and found.place is not None:
                replaced.unreached = count_kept(found.place.holder, found.place.key)
            Passes.run(replaced, back=False)
        self._replaced = weakref.ref(replaced)  # the replacement keeps it
        super().__init__(replaced.function)

    @property
    def unreached(self) -> int:  # type: ignore[override]
        replaced = self._replaced()
        return 0 if replaced is None else replaced.unreached

    def release(self) -> None:
        replaced = self._replaced()
        if replaced is not None and not observers_of(replaced.function.__code__):
            Passes.run(replaced, back=True)


# Handlers.


class Exchange:
    """A handler around a Python function: it calls the original by itself.

    Handlers are outside of all observers, the last one outermost.

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
        """Remove the handler, unless somebody else has changed the code since."""
        with _LOCK:
            holder: Any = self.function
            while (hook := hook_of(holder.__code__)) is not self._hook and hasattr(hook, "original"):
                holder = hook.original  # type: ignore[union-attr]
            if hook is self._hook:
                holder.__code__ = self._hook.original.__code__  # type: ignore[attr-defined]


def _inside_handlers(function: FunctionType) -> FunctionType:
    """Return the function that has the observers: itself, or the original that the innermost handler calls."""
    while (inner := getattr(hook_of(function.__code__), "original", None)) is not None:
        function = inner
    return function
