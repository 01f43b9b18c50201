"""Patch a resolved callable so that observers see its calls through every reference, and undo the patch exactly.

For every kind of target, the code of one Python function is exchanged: of the function itself, of the function through
which the calls of a replaced object pass, or of the listener of an event. A function has one ordered list of observers.
In each *group*, only the first observer whose condition holds observes the call. Observers of different groups
observe the same call, the lowest rank outermost. So a function that several targets name is observed once in each
group.

A change of code is a single assignment under a lock, and a running call keeps the code with which it began.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any

from otel_keyaudit.guard.signals import expected
from otel_keyaudit.patching.handlers import LOCK
from otel_keyaudit.patching.hooks import Observer, with_observer, without_observer
from otel_keyaudit.patching.kinds.definitions import undecorated
from otel_keyaudit.patching.kinds.overrides import methods_that_assign, overrides_without_call
from otel_keyaudit.patching.kinds.reference_sweep import ReferenceSweep
from otel_keyaudit.patching.modules.lookup import namespace
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.resolved_callable import ResolvedCallable
from otel_keyaudit.patching.sites import Site, site_of
from otel_keyaudit.patching.wrappers import Observation, Observe

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


class Patch:
    """One observer of a function. It keeps neither the function nor its receiver alive."""

    def __init__(self, found: ResolvedCallable, site: Site, observer: Observer) -> None:
        self._identity = _reference(found.identity)
        self._has_receiver = found.receiver is not None
        self._receiver = _reference(found.receiver)
        self._limits = found.limits
        cls, self._name = found.method or (None, "")
        self._class = _reference(cls)
        self._site = site
        self._observer = observer

    @property
    def identity(self) -> Any:
        """The identity of the ``ResolvedCallable``, ``None`` if the function was deleted."""
        return self._identity()

    @property
    def receiver(self) -> Any:
        """The receiver of the ``ResolvedCallable``, ``None`` if it was deleted."""
        return self._receiver()

    def observes(self, identity: object, receiver: object) -> bool:
        """Return whether it observes calls of the function with an identity on a receiver; ``None`` means any."""
        own = self.receiver
        if identity is None or self.identity is not identity or (own is None and self._has_receiver):
            return False
        if isinstance(receiver, type) and isinstance(own, type):
            return issubclass(receiver, own) or issubclass(own, receiver)
        return receiver is None or own is None or receiver is own

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

    @property
    def overrides(self) -> list[tuple[type, FunctionType]]:
        """The subclasses that override the method without calling it, and the functions of the overrides."""
        cls = self._class()
        return [] if cls is None else [*overrides_without_call(cls, self._name)]

    @property
    def assigning(self) -> list[tuple[type, FunctionType]]:
        """The methods that give instances another callable in place of the method, and their classes."""
        cls = self._class()
        return [] if cls is None else [*methods_that_assign(cls, self._name)]

    def undo(self) -> None:
        """Remove the observer, and leave changes by others in place."""
        with LOCK:
            self._site.change(lambda code: without_observer(code, self._observer))
            self._site.release()


def wrap(
    found: ResolvedCallable,
    observe: Observe,
    *,
    observe_excluded: Observe | None = None,
    group: object = None,
    rank: int = 0,
) -> Patch:
    """Add an observer to a resolved callable. It sees each call from now on.

    Args:
        found: The callable.
        observe: Begins the observation of a call.
        observe_excluded: Begins the observation of a call that an earlier observer may exclude at the end.
        group: Of all observers in this group, one observes a call. Without a group, this one always does.
        rank: The position among the observers. A lower one is asked earlier, and encloses those with a higher one.
    """
    if found.receiver is not None:
        accepts = _accepts(found.receiver)
        observe = _only(accepts, observe)
        observe_excluded = None if observe_excluded is None else _only(accepts, observe_excluded)
    observer = Observer(rank, object() if group is None else group, observe, observe_excluded)
    with LOCK:
        site = site_of(found)
        name = "__qualname__" if type(found.function) is FunctionType else "qualified_name"
        site.change(lambda code: with_observer(code, observer, getattr(found.function, name, "")))
        return Patch(found, site, observer)


def is_replaced(patches: Iterable[Patch], module: object, qualified_name: str) -> bool:
    """Return whether a name leads to a callable now that is none of the patched functions and wraps none of them.

    Raises:
        WrongTargetError: There is no such name any more.
    """
    found = resolve(module, qualified_name)
    current = (found.identity, *undecorated(found.function))
    return not any(patch.identity is one for patch in patches for one in current)


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


def _accepts(receiver: Any) -> Callable[[tuple[Any, ...]], bool]:
    only = _reference(receiver)  # a strong one in a code object would be in a cycle that the collector cannot free
    if issubclass(type(receiver), type):
        return lambda args: bool(args) and any(cls is only() for cls in _class_of(args[0]).__mro__)
    return lambda args: bool(args) and args[0] is only()


def _class_of(value: Any) -> type:
    return value if issubclass(type(value), type) else type(value)


def _only(accepts: Callable[[tuple[Any, ...]], bool], observe: Observe) -> Observe:
    return lambda args, kwargs, original: observe(args, kwargs, original) if accepts(args) else None
