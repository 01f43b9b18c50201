"""Puts targets and boundaries on functions, now or when their module is imported, and takes everything off again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from logging import ERROR, WARNING
from pathlib import Path
from types import FunctionType
from typing import Any

import wrapt

from otel_keyaudit import audit, authentication
from otel_keyaudit.boundaries import Boundaries
from otel_keyaudit.calls import Binding
from otel_keyaudit.entry_points import EntryPoint
from otel_keyaudit.expressions import Expression
from otel_keyaudit.functions import MISSING, lookup, package_exists
from otel_keyaudit.guard import Guard, logger, run_silently
from otel_keyaudit.handlers import Observe
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.targets import AuditTarget, AuthTarget, Target
from otel_keyaudit.trampoline import can_exchange, duplicate, trampoline
from otel_keyaudit.wrapping import Found, Wrap, WrongTargetError, find, wrap

ACTIVE, PENDING, WRONG = "active", "pending", "wrong"


@dataclass(frozen=True)
class TargetStatus:
    """Whether a target fires.

    Attributes:
        target: The target as written.
        kind: ``auth`` or ``audit``.
        state: ``active``, ``pending`` (its module is not imported yet) or ``wrong`` (it can never fire).
        reason: A sentence.
    """

    target: str
    kind: str
    state: str
    reason: str


class Installation:
    """One target: off, waiting for its module, or on."""

    def __init__(self, runtime: Runtime, target: Target) -> None:
        self.target = target
        self._runtime = runtime
        self._is_on = True
        self._wraps: list[Wrap] = []
        self._seen: list[object] = []
        self._state, self._reason = PENDING, f"module {target.module!r} is not imported yet"

    @property
    def status(self) -> TargetStatus:
        """What there is to say of the target."""
        return TargetStatus(self.target.written, self.target.kind, self._state, self._reason)

    def install(self) -> None:
        """Put the target on, or wait for its module."""
        if not self.try_loaded_modules():
            if not self._runtime.deferred and not package_exists(self.target.module):
                self._wrong(f"there is no package {self.target.module.partition('.')[0]!r}")
                return
            wrapt.register_post_import_hook(self._imported, self.target.module)

    def try_loaded_modules(self, *, final: bool = False) -> bool:
        """Put the target on in the modules that are loaded; return whether its module is among them.

        Args:
            final: A module that still lacks the name will not get it any more.
        """
        module = sys.modules.get(self.target.module)
        main = sys.modules.get("__main__")
        candidates = [module] if module is not None else []
        if main is not None and _runs_as_main(main, self.target.module) and main is not module:
            candidates.append(main)
        for candidate in candidates:
            unfinished = candidate is main or _is_initialising(candidate)
            if final or not unfinished or lookup(candidate, self.target.qualified_name) is not MISSING:
                self.apply(candidate)
        return module is not None and self._state != PENDING

    def apply(self, module: object) -> None:
        """Put the target on in one module, once."""
        if any(seen is module for seen in self._seen):
            return
        self._seen.append(module)
        try:
            found = find(module, self.target.qualified_name)
            self._wraps.append(wrap(found, self._observe(found)))
        except WrongTargetError as error:
            if self._state != ACTIVE:
                self._wrong(str(error))
            return
        self._state, self._reason = ACTIVE, "every call of it is observed"
        if unreached := self._wraps[-1].unreached:
            self._reason = (
                f"called through {unreached} reference(s) taken before, in tuples or compiled code, it is not observed"
            )
            logger.warning("keyaudit target %s: %s", self.target.written, self._reason)

    def reapply(self, module: object) -> None:
        """Put the target on in a module that was executed again, which made its functions anew."""
        if any(seen is module for seen in self._seen):
            self._seen = [seen for seen in self._seen if seen is not module]
            self.apply(module)

    def uninstall(self) -> None:
        """Take the target off; a hook that waits for a module stays silent."""
        self._is_on = False
        for one in reversed(self._wraps):
            one.undo()
        self._wraps.clear()
        self._seen.clear()

    def report(self) -> None:
        """Say so where the target can never fire."""
        if self._state == WRONG:
            level = ERROR if self._runtime.settings.strict else WARNING
            run_silently(logger.log, level, "keyaudit target %s can never fire: %s", self.target.written, self._reason)

    def _imported(self, module: object) -> None:
        if self._is_on:
            _Reporting(self).guarded("", self.apply, module)
            self.report()

    def _observe(self, found: Found) -> Observe:
        binding = Binding(found.function, has_self=found.has_self)
        _check(self.target, binding)
        if isinstance(self.target, AuthTarget):
            observe: Observe = authentication.observer(self._runtime, self.target, binding)
        elif isinstance(self.target, AuditTarget):
            observe = audit.observer(self._runtime, self.target, binding)
        return lambda args, kwargs: observe(args, kwargs) if self._is_on else None

    def _wrong(self, reason: str) -> None:
        self._state, self._reason = WRONG, reason


class _Reporting(Guard):
    """Says that a target could not be put on, in place of failing an import of the application."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def report(self, stage: str, error: BaseException) -> None:
        """Mark the target as wrong."""
        self._installation._wrong(f"it could not be wrapped ({type(error).__name__})")


def _check(target: Target, binding: Binding) -> None:
    """Check that everything a target reads can be there.

    Raises:
        WrongTargetError: A parameter, or ``self``, is not.
    """
    if isinstance(target, AuditTarget) and "fields" not in target.sources and "additional_fields" not in binding:
        raise WrongTargetError("it has no parameter 'additional_fields', and no 'fields' says where they are")
    for name, source in target.sources.items():
        if not isinstance(source, Expression):
            continue
        if "self" in source.roots and not binding.has_self:
            raise WrongTargetError(f"field {name!r} reads self, but it is not a method")
        for parameter in sorted(source.parameters):
            if parameter not in binding:
                raise WrongTargetError(f"field {name!r} reads a parameter {parameter!r}, which it does not have")


def _runs_as_main(main: object, module: str) -> bool:
    """Say whether a module is the one that was started, which Python knows as ``__main__``."""
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return module in (spec.name, "__main__")
    file = getattr(main, "__file__", None)
    return module == "__main__" or (file is not None and Path(file).stem == module)


def _is_initialising(module: object) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


class BoundaryInstallation:
    """The entry points of requests, each put on when its module is there."""

    def __init__(self, boundaries: Boundaries, entries: tuple[EntryPoint, ...]) -> None:
        self._boundaries = boundaries
        self._entries = entries
        self._is_on = True
        self._exchanged: list[tuple[FunctionType, Any, Any]] = []

    def install(self) -> None:
        """Put every entry point on, now or later; importing nothing."""
        for entry in self._entries:
            module, _, name = entry.path.partition(":")
            wrapt.register_post_import_hook(self._hook(entry, name), module)

    def uninstall(self) -> None:
        """Take them off."""
        self._is_on = False
        for function, old, new in reversed(self._exchanged):
            if function.__code__ is new:
                function.__code__ = old
        self._exchanged.clear()

    def _hook(self, entry: EntryPoint, name: str) -> Callable[[object], None]:
        def imported(module: object) -> None:
            if self._is_on:
                run_silently(self._apply, entry, lookup(module, name))

        return imported

    def _apply(self, entry: EntryPoint, function: Any) -> None:
        function = getattr(function, "__func__", function)
        if type(function) is FunctionType and can_exchange(function):
            old = function.__code__
            new = trampoline(function, self._boundaries.handler(entry, duplicate(function)))
            function.__code__ = new
            self._exchanged.append((function, old, new))
