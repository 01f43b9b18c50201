"""The sites of each kind of target: the functions whose code is exchanged."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Protocol

from otel_keyaudit.patching.code_exchange import original_code
from otel_keyaudit.patching.handlers import inside_handlers
from otel_keyaudit.patching.hooks import observers_of
from otel_keyaudit.patching.kinds.definitions import Definition
from otel_keyaudit.patching.kinds.events import ModelEvent, listener_of
from otel_keyaudit.patching.kinds.reference_sweep import ReferenceSweep, Replaced
from otel_keyaudit.patching.kinds.references import count_instance_overrides
from otel_keyaudit.patching.kinds.replacement import Replacement
from otel_keyaudit.patching.resolved_callable import ResolvedCallable

_PATCHED: weakref.WeakSet[FunctionType] = weakref.WeakSet()
"""Functions that have, or had, observers of their own."""


class Site(Protocol):
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


def site_of(found: ResolvedCallable) -> Site:
    """Return the site of a resolved callable."""
    kind = type(found.function)
    if kind is ModelEvent:
        return _EventSite(found.function)
    if kind is FunctionType:
        return _FunctionSite(found.function)
    if kind is Definition:
        return _DefinitionSite(found.function)
    return _ObjectSite(found)


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
            holder = inside_handlers(function)
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
        done = definition.change(inside_handlers(factory), exchange)
        for function in [one for one in _PATCHED if id(one) not in done]:  # whose code is a trampoline
            holder = inside_handlers(function)
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
        elif (waiting := ReferenceSweep.pending(function)) is not None:
            replaced = waiting
            replaced.add(found.value, found.reference)
        else:
            replaced = Replaced(function)
            replaced.add(found.value, found.reference)
            if found.returns_callables and found.reference is not None:
                replaced.unreached = count_instance_overrides(found.reference.holder, found.reference.key)
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
