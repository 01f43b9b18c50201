"""One target between ``instrument()`` and ``uninstrument()``: pending, active or wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import starmap
from logging import ERROR, WARNING
from types import FunctionType
from typing import Any

from otel_keyaudit.errors import ConfigurationError, WrongTargetError
from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import Guard, log, quietly
from otel_keyaudit.installation.compile import check, compile_target
from otel_keyaudit.installation.method_overrides import MethodOverrides
from otel_keyaudit.installation.status import ACTIVE, OBSERVED, PENDING, REPLACED, WRONG, TargetStatus
from otel_keyaudit.installation.unobserved_calls import unobserved_calls
from otel_keyaudit.names import STAGE_AUTHENTICATION, STAGE_DECISION
from otel_keyaudit.observers.audit.target import CompiledAuditTarget
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget
from otel_keyaudit.patching.modules.import_hook import ModuleWatch
from otel_keyaudit.patching.modules.lookup import (
    MISSING,
    UnregisteredModule,
    is_initializing,
    is_unloaded,
    lookup,
    runs_as_main,
)
from otel_keyaudit.patching.modules.search import explain_missing
from otel_keyaudit.patching.patch import Patch, is_replaced, when_loaded, wrap
from otel_keyaudit.patching.resolve import NameNotLoadedError, resolve
from otel_keyaudit.patching.resolved_callable import ResolvedCallable
from otel_keyaudit.presets._override import OverrideTarget
from otel_keyaudit.targets.base_target import Target

_MAX_TARGETS = 1_000_000

_ORDER = ("authz", "audit", "auth", "subject")
"""Kinds from the outermost observer of a function to the innermost. An authentication ends before the decision around
it, so that the decision is explained with the key that the authentication withdrew."""


class InstalledTarget:
    """A target and its patches.

    Args:
        components: The session's shared parts, which the observers need.
        target: The target.
        watch: Reports when the target's module has been executed.
        others: All targets of the session, in order. An earlier one observes the calls of a function that both name.
        preset: The preset that the target belongs to, ``None`` for a target of the user.
    """

    def __init__(
        self,
        components: Components,
        target: Target,
        watch: ModuleWatch,
        others: Sequence[InstalledTarget],
        preset: str | None,
    ) -> None:
        self.target = target
        self.preset = preset
        self.compiled: list[CompiledTarget] = []
        self._components = components
        self._watch = watch
        self._others = others
        self._rank = _ORDER.index(target.kind) * _MAX_TARGETS + len(others)
        self._is_on = True
        self._patches: list[Patch] = []
        self._seen: list[object] = []
        self._reported = ""
        self._state, self._reason = PENDING, f"module {target.module!r} is not imported yet"

    @property
    def status(self) -> TargetStatus:
        """The current status."""
        problem = next((one.problem for one in self.compiled if one.problem is not None), None)
        state, reason = (self._state, self._explain()) if problem is None else (WRONG, problem)
        calls = sum(one.calls.value for one in self.compiled)
        return TargetStatus(self.target.target_string, self.target.kind, state, reason, calls, self.preset)

    def _explain(self) -> str:
        """Return the reason of the state: the calls that are observed and those that are not."""
        if self._state != ACTIVE:
            return self._reason
        parts = [self._limits or self._reason]
        earlier = self.earlier
        if earlier is not None:
            parts.append(f"{earlier}, which names the same function, comes first")
        excluded = self.excluded
        if excluded:
            parts.append(f"its 'when' excluded {excluded} call{'s' if excluded > 1 else ''}")
        return "; ".join(parts)

    @property
    def excluded(self) -> int:
        """Number of calls that ``when`` excluded."""
        return sum(one.excluded.value for one in self.compiled)

    @property
    def earlier(self) -> str | None:
        """The earlier target of this kind that observes the same function, ``None`` without one."""
        is_override = isinstance(self.target, OverrideTarget)
        own = self._patches[1:] if is_override else self._patches  # the first is of the method that calls the override
        functions = [(patch.identity, patch.receiver) for patch in own]
        for other in self._others:
            if other is self:
                break
            if other.target.kind == self.target.kind and any(starmap(other.observes, functions)):
                return other.target.target_string
        return None

    def install(self) -> None:
        """Instrument the target in its module if that is loaded, and each time that the module is executed."""
        self._watch.add(self.target.module, self._executed)
        self._look()
        if not self._candidates():
            reason = explain_missing(self.target.module, deferred=self._components.deferred)
            if reason is not None:
                self._mark_wrong(reason)

    @property
    def is_pending(self) -> bool:
        """Whether the target's module has not run yet, or has not defined the function yet."""
        return self._state == PENDING

    def look_again(self) -> None:
        """Look again in the started module, which no import reports; it may still define the function later."""
        self._look()
        if not self.is_pending:
            self.report()

    def first_request(self, unregistered: Mapping[str, Sequence[UnregisteredModule]]) -> None:
        """Look again in modules that no import reports. Warn of a target that is still pending.

        Args:
            unregistered: Executed modules that are not in ``sys.modules``, by name.
        """
        before = self._state
        self._look(final=True)
        if self.is_pending:
            for module in unregistered.get(self.target.module, ()):
                if self._is_in(module):
                    self._instrument(module)
        if self._state == PENDING:
            log(
                WARNING,
                "target %s is not active at the first request: %s; correct its name, unless the service imports it "
                "later, as Django imports URLs in the first request",
                self.target.target_string,
                self._reason,
            )
        elif self._state != before:
            self.report()
        else:
            self._report_limits()  # classes that were defined since then may override the method

    def report(self) -> None:
        """Log a warning about a target that can never match, or about calls that cannot be observed."""
        self._report_limits()
        if self._state == WRONG:
            level = ERROR if self._components.settings.strict else WARNING
            log(level, "target %s is wrong: %s", self.target.target_string, self._reason)

    def _report_limits(self) -> None:
        limits = self._limits
        if limits and limits != self._reported:
            log(WARNING, "target %s: %s", self.target.target_string, limits)
        self._reported = limits

    def uninstall(self) -> None:
        """Restore the functions. Calls through references that cannot be restored pass through."""
        self._is_on = False
        for compiled in self.compiled:
            compiled.close()
        for patch in reversed(self._patches):
            quietly(patch.undo)
        self._patches.clear()
        self._seen.clear()

    def _candidates(self) -> list[object]:
        """Return the target's module, and ``__main__`` if it was started from the same file."""
        module, main = sys.modules.get(self.target.module), sys.modules.get("__main__")
        found: list[object] = [] if module is None or is_unloaded(module) else [module]
        if main is not module and runs_as_main(main, self.target.module):
            found.append(main)
        return found

    def _look(self, *, final: bool = False) -> None:
        """Instrument the target in the loaded modules that have not been instrumented yet.

        Args:
            final: A module that lacks the name now will not define it later.
        """
        for module in self._candidates():
            is_unfinished = module is sys.modules.get("__main__") or is_initializing(module)
            if any(seen is module for seen in self._seen):
                continue
            if final or not is_unfinished or self._is_in(module):
                self._instrument(module)
            else:
                self._reason = f"module {self.target.module!r} has not defined {self.target.qualified_name!r} yet"

    def _is_in(self, module: object) -> bool:
        found = quietly(lookup, module, self.target.qualified_name.partition(".<locals>")[0])
        return found is not None and found is not MISSING

    def _executed(self, module: object) -> None:
        """Instrument the target in a module that was imported or reloaded, because a reload redefines its functions."""
        if self._is_on:
            self._instrument(module)
            self.report()

    def _instrument(self, module: object) -> None:
        self._seen.append(module)
        _Reporting(self._mark_wrong).guarded("", self._resolve, module)

    def _resolve(self, module: object, **loaded: Any) -> None:
        """Resolve the target's function in a module, and observe it.

        Args:
            module: The module.
            **loaded: ``first``: the value of the first name, which the module has just loaded (PEP 562).
        """
        try:
            found = resolve(module, self.target.qualified_name, **loaded)
        except NameNotLoadedError as error:
            self._reason = str(error)
            waiting = when_loaded(module, self.target.qualified_name, partial(self._loaded, module))
            self._patches.append(waiting)
            return
        if isinstance(self.target, OverrideTarget):
            guard = partial(GuardedCall, self._components.faults, self.target.target_string)
            stage = STAGE_DECISION if self.target.kind == "authz" else STAGE_AUTHENTICATION
            overrides = MethodOverrides(self.target.method, self._found_override, guard, stage)
            self._patch_once(found, overrides.observe)
        else:
            self._observe(found)
        self._state, self._reason = ACTIVE, OBSERVED

    def _loaded(self, module: object, value: Any) -> None:
        if self._is_on:
            _Reporting(self._mark_wrong).guarded("", partial(self._resolve, module, first=value))

    def _found_override(self, found: ResolvedCallable) -> None:
        if self._is_on:
            self._observe(found)

    def _observe(self, found: ResolvedCallable) -> None:
        check(self.target, found, self._components.settings.request_field)
        compiled = compile_target(self._components, self.target, found.binding())
        excluded = compiled.observer_of_excluded()
        if self._patch_once(found, compiled.observer(), observe_excluded=excluded, group=self.target.kind):
            self.compiled.append(compiled)
            self._warn_without_action(compiled)

    def _patch_once(self, found: ResolvedCallable, observe: Callable[..., Any], **options: Any) -> bool:
        identity = found.identity
        if any(patch.identity is identity and patch.receiver is found.receiver for patch in self._patches):
            return False
        self._patches.append(wrap(found, observe, rank=self._rank, **options))
        return True

    @property
    def _limits(self) -> str:
        """A description of the calls that cannot be observed; an empty string if all can."""
        is_target = self._is_target if self.preset is None else None
        limits = [limit for patch in self._patches for limit in unobserved_calls(patch, is_target)]
        name = self.target.qualified_name
        if self._state == ACTIVE and any(quietly(is_replaced, self._patches, module, name) for module in self._seen):
            limits.append(REPLACED.format(name))
        return "; ".join(dict.fromkeys(limits))

    def _is_target(self, function: FunctionType) -> bool:
        """Return whether a target of this kind observes a function."""
        return any(one.target.kind == self.target.kind and one.observes(function, None) for one in self._others)

    def observes(self, identity: object, receiver: object) -> bool:
        """Return whether the target observes the function with this identity in calls on the same receiver."""
        return any(patch.observes(identity, receiver) for patch in self._patches)

    def _warn_without_action(self, compiled: CompiledTarget) -> None:
        is_by_action = self._components.settings.sampler == "actions"
        if is_by_action and isinstance(compiled, CompiledAuditTarget) and not compiled.can_have_action:
            log(
                WARNING,
                "target %s has no action, so sampler 'actions' keeps all of its rows full; name one with action=",
                self.target.target_string,
            )

    def _mark_wrong(self, reason: str) -> None:
        if self._state != ACTIVE:
            self._state, self._reason = WRONG, reason


class _Reporting(Guard):
    """Marks a target as wrong, because an exception would make an import of the application fail.

    Args:
        mark_wrong: Receives the reason.
    """

    def __init__(self, mark_wrong: Callable[[str], None]) -> None:
        self._mark_wrong = mark_wrong

    def report(self, _: str, error: BaseException) -> None:
        """Mark the target as wrong."""
        is_ours = isinstance(error, (WrongTargetError, ConfigurationError))
        self._mark_wrong(str(error) if is_ours else f"it cannot be instrumented ({type(error).__name__}: {error})")
