"""Puts targets and boundaries on functions, now or when their module is imported, and takes everything off again."""

from __future__ import annotations

import sys
from functools import partial
from logging import ERROR, WARNING
from types import FunctionType
from typing import NamedTuple, TypeVar, cast

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import Guard, logger, run_silently
from otel_keyaudit.installation.method_overrides import Implementations, ImplementedTarget
from otel_keyaudit.observers import audit_steps, authentication
from otel_keyaudit.observers.audit_plan import AuditPlan
from otel_keyaudit.observers.authentication import Authentication
from otel_keyaudit.observers.components import Runtime
from otel_keyaudit.observers.observed_call import Plan
from otel_keyaudit.patching.import_hook import ModuleWatch
from otel_keyaudit.patching.modules import MISSING, is_initialising, lookup, package_exists, runs_as_main
from otel_keyaudit.patching.patch import Exchange, Found, Patch, WrongTargetError, find, wrap
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.boundaries import Boundaries
from otel_keyaudit.request.entry_points import EntryPoint
from otel_keyaudit.targets.signature_check import explain_mismatch
from otel_keyaudit.targets.target import AuditTarget, AuthTarget, Target

AnyPlan = TypeVar("AnyPlan", bound=Plan)

ACTIVE, PENDING, WRONG = "active", "pending", "wrong"


class TargetStatus(NamedTuple):
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
    """One target: off, waiting for its module, or on.

    Args:
        runtime: What its observers need.
        target: The target.
        watch: Tells when its module is executed.
    """

    def __init__(self, runtime: Runtime, target: Target, watch: ModuleWatch) -> None:
        self.target = target
        self._runtime = runtime
        self._watch = watch
        self._is_on = True
        self._plans: list[Plan] = []
        self._wraps: list[tuple[Patch, object]] = []
        self._seen: list[object] = []
        self._state, self._reason = PENDING, f"module {target.module!r} is not imported yet"

    @property
    def status(self) -> TargetStatus:
        """What there is to say of the target; its module may have become ready since it was looked at."""
        if self._state == PENDING and self._is_on:
            self._look()
        return TargetStatus(self.target.written, self.target.kind, self._state, self._reason)

    def install(self) -> None:
        """Put the target on in the modules that are loaded, and in those that will be."""
        module = self.target.module
        self._watch.add(module, self._executed)
        self._look()
        if not self._candidates() and not self._runtime.deferred and not package_exists(module):
            self._wrong(f"there is no package {module.partition('.')[0]!r}")

    def first_request(self) -> None:
        """Put the target on in the module that was started, which tells nobody when it is complete; say what waits."""
        before = self._state
        self._look(final=True)
        if self._state == PENDING:
            _say(WARNING, "keyaudit target %s does not fire yet: %s", self.target.written, self._reason)
        elif self._state != before:
            self.report()

    def report(self) -> None:
        """Say so where the target can never fire."""
        if self._state == WRONG:
            level = ERROR if self._runtime.settings.strict else WARNING
            _say(level, "keyaudit target %s can never fire: %s", self.target.written, self._reason)

    def uninstall(self) -> None:
        """Take the target off; references that could not be reached pass their calls through."""
        self._is_on = False
        for plan in self._plans:
            plan.is_on = False
        for one, _ in reversed(self._wraps):
            run_silently(one.undo)
        self._plans.clear()
        self._wraps.clear()
        self._seen.clear()

    def _candidates(self) -> list[object]:
        """Return the target's module, and the one that was started where it is the same."""
        module, main = sys.modules.get(self.target.module), sys.modules.get("__main__")
        found: list[object] = [] if module is None else [module]
        if main is not module and runs_as_main(main, self.target.module):
            found.append(main)
        return found

    def _look(self, *, final: bool = False) -> None:
        """Put the target on in the modules that are loaded.

        Args:
            final: A module that still lacks the name will not get it any more.
        """
        for module in self._candidates():
            unfinished = module is sys.modules.get("__main__") or is_initialising(module)
            if any(seen is module for seen in self._seen):
                continue
            if final or not unfinished or self._is_in(module):
                self._put_on(module)
            else:
                self._reason = f"module {self.target.module!r} has no {self.target.qualified_name!r} so far"

    def _is_in(self, module: object) -> bool:
        found = Guard().guarded("", lookup, module, self.target.qualified_name)
        return found is not None and found is not MISSING

    def _executed(self, module: object) -> None:
        """Put the target on in a module that was imported, or executed again, which made its functions anew."""
        if self._is_on:
            self._put_on(module)
            self.report()

    def _put_on(self, module: object) -> None:
        self._seen.append(module)
        _Reporting(self).guarded("", self._wrap, module)

    def _wrap(self, module: object) -> None:
        found = find(module, self.target.qualified_name)
        if isinstance(self.target, ImplementedTarget):
            guard = partial(GuardedCall, self._runtime.faults, self.target.written)
            self._wrap_once(found, Implementations(self.target.method, self._implemented, guard).observe)
        else:
            self._wrap_once(found, self._observe(found))
        self._state, self._reason = ACTIVE, "every call of it is observed"
        if limits := [limit for one, _ in self._wraps for limit in one.limits]:
            self._reason = "; ".join(dict.fromkeys(limits))
            _say(WARNING, "keyaudit target %s: %s", self.target.written, self._reason)

    def _implemented(self, found: Found) -> None:
        if self._is_on:
            self._wrap_once(found, self._observe(found))

    def _wrap_once(self, found: Found, observe: Observe) -> None:
        if not any(one.identity is found.identity and receiver is found.receiver for one, receiver in self._wraps):
            self._wraps.append((wrap(found, observe), found.receiver))

    def _observe(self, found: Found) -> Observe:
        binding = found.binding()
        free_variables = getattr(getattr(found.value, "__code__", None), "co_freevars", ())
        if reason := explain_mismatch(self.target, binding, free_variables):
            raise WrongTargetError(reason)
        if isinstance(self.target, AuthTarget):
            return authentication.observer(self._kept(Authentication(self._runtime, self.target, binding)))
        return audit_steps.observer(self._kept(AuditPlan(self._runtime, cast("AuditTarget", self.target), binding)))

    def _kept(self, plan: AnyPlan) -> AnyPlan:
        """Keep a plan, to turn it off."""
        self._plans.append(plan)
        return plan

    def _wrong(self, reason: str) -> None:
        if self._state != ACTIVE:
            self._state, self._reason = WRONG, reason


class _Reporting(Guard):
    """Says that a target could not be put on, in place of failing an import of the application."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def report(self, _: str, error: BaseException) -> None:
        """Mark the target as wrong."""
        is_told = isinstance(error, (WrongTargetError, ConfigurationError))
        reason = str(error) if is_told else f"it could not be wrapped ({type(error).__name__})"
        self._installation._wrong(reason)


def _say(level: int, message: str, *args: object) -> None:
    run_silently(logger.log, level, message, *args)


class BoundaryInstallation:
    """The entry points of requests, each put on when its module is there.

    Args:
        boundaries: Makes their handlers.
        entries: The entry points.
        watch: Tells when a module is executed.
    """

    def __init__(self, boundaries: Boundaries, entries: tuple[EntryPoint, ...], watch: ModuleWatch) -> None:
        self._boundaries = boundaries
        self._entries = entries
        self._watch = watch
        self._exchanges: list[Exchange] = []

    def install(self) -> None:
        """Put every entry point on, now or later; importing nothing."""
        for entry in self._entries:
            name, _, qualified_name = entry.path.partition(":")
            self._watch.tell(name, partial(run_silently, self._apply, entry, qualified_name))

    def uninstall(self) -> None:
        """Take them off."""
        for exchange in reversed(self._exchanges):
            run_silently(exchange.undo)
        self._exchanges.clear()

    def _apply(self, entry: EntryPoint, qualified_name: str, module: object) -> None:
        function = find(module, qualified_name).value
        if type(function) is FunctionType and all(one.function is not function for one in self._exchanges):
            self._exchanges.append(Exchange(function, partial(self._boundaries.handler, entry)))
