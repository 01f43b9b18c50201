"""Observe authorization checks, and explain why they grant or deny. The library itself decides nothing.

Checks nest; only the outermost check is a decision. :data:`_CONCLUSION` lists the steps that follow its end.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from otel_keyaudit import names
from otel_keyaudit.errors import class_name
from otel_keyaudit.guard.collection import Variable
from otel_keyaudit.key import canonical
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.coverage import explain
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.names import STAGE_DECISION, STAGE_TELEMETRY
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.factories import is_factory_call
from otel_keyaudit.observers.observed_call import CompiledTarget, NestedCall, Observer
from otel_keyaudit.observers.refusals import is_refusal
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.request.context import current_attribution, current_request
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.targets import presented_credential
from otel_keyaudit.targets.call import Reader
from otel_keyaudit.targets.expressions.expression import Expression, parse
from otel_keyaudit.targets.target import AuthzTarget, Source

_CURRENT: Variable[ref[Check]] = Variable("otel_keyaudit_check")
"""The innermost open check. The reference is weak: a check that an interrupt prevented from ending is not kept
alive."""

_REQUIREMENTS = ("required", "permission", "permissions", "scope", "scopes")
"""Parameters that hold the requirement by default; the first that the function has counts."""


def current_check(request: RequestState | None) -> Check | None:
    """Return the outermost check of a request that is open in the current context."""
    if _CURRENT.get() is None:
        return None
    check = _innermost_check()
    return None if check is None or check.is_outside(request) else check.outermost


def _innermost_check() -> Check | None:
    reference = _CURRENT.get()
    check = None if reference is None else reference()
    return None if check is None or check.has_ended else check


class Authorization(CompiledTarget):
    """An authorization target, compiled for its function.

    Attributes:
        supplies_requirement: The function returns the requirement of the outer check, and is not a check itself.
        has_requirement: The target has its own requirement, so it does not adopt the requirements of inner checks.
    """

    def __init__(self, components: Components, target: AuthzTarget, binding: Binding) -> None:
        super().__init__(components, target, binding)
        required = self._requirement()
        self.supplies_requirement = isinstance(required, Expression) and "return" in required.roots
        self.required = self.reader(required)
        self.resource_type, self.resource_id, self.action = (
            self.reader(self.source(name) or self._parameter(name))
            for name in ("resource_type", "resource_id", "action")
        )
        self.has_requirement = self.required is not None or not (self.resource_type is None or self.action is None)
        self.any_of, self.granted, self.denied = (
            self.reader(self.source(name)) for name in ("any_of", "granted", "denied")
        )
        self._outcomes: dict[str, int] = {}

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of decisions by outcome."""
        return dict(self._outcomes)

    def count(self, outcome: str, cause: str | None) -> None:
        """Count one decision."""
        self.components.metrics.decisions.add(outcome, cause)
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1

    def observer(self) -> Observer:
        """Return the function that starts the observation of a call."""
        return self.observing(Check)

    def _requirement(self) -> Source | None:
        given = self.source("required")
        if given is not None:
            return given
        return next((source for name in _REQUIREMENTS if (source := self._parameter(name)) is not None), None)

    def _parameter(self, name: str) -> Source | None:
        return parse(f"args.{name}", emitted=True) if self.binding.declares(name) else None


class Check(NestedCall):
    """One call of an authorization target.

    Attributes:
        refused_key: The key that an authentication inside the check refused or withdrew.
    """

    target: Authorization
    stage = STAGE_DECISION
    innermost = _CURRENT
    lasts = True
    refused_key: ApiKey | None = None
    _outer: Check | None = None
    _required: tuple[str, ...] | None = None
    _outcome: str | None = None
    _reason: str | None = None
    _decision: Decision | None = None
    _key: ApiKey | None = None
    _is_refused = False
    _request: RequestState | None = None
    _inner: tuple[tuple[tuple[str, ...], str], ...] = ()

    def __enter__(self) -> None:
        """Become the innermost check."""
        outer = _innermost_check()
        if outer is not self:  # a Future concludes the call in a copy of the context inside it
            request = self._request = current_request()
            self._outer = None if outer is None or outer.is_outside(request) else outer
        self._before = _CURRENT.set(ref(self))

    @property
    def outermost(self) -> Check:
        """The outermost open check around this one."""
        check = self
        while check._outer is not None and not check._outer.has_ended:
            check = check._outer
        return check

    def is_outside(self, request: RequestState | None) -> bool:
        """Return whether the check is around a whole request that is open, such as a call of an in-process client."""
        return request is not None and request.is_open and request is not self._request

    def returned(self, result: Any) -> Any:
        """Conclude with a result, and return it unchanged."""
        self.result = result
        if not self.guarded(STAGE_DECISION, is_factory_call, self, result):
            self._conclude()
        self._end()
        return result

    def _conclude(self) -> None:
        if self.target.late_when is not None and self.is_excluded():
            if self._outer is not None:  # a call that is no check is not between the checks around it and inside it
                self._outer._inner += self._inner
            return
        target = self.target
        target.calls.increment()
        if target.supplies_requirement:
            self._supply()
        else:
            self.run(_CONCLUSION)

    def observe_as(self, target: Any) -> None:
        """Continue as a check of another target."""
        super().observe_as(target)
        self._required = None

    def _supply(self) -> None:
        """Pass the requirement to the outer check, unless another function of requirements calls this one."""
        outer = self._outer
        if self.exc is None and outer is not None and not outer.target.supplies_requirement:
            outer.add_inner(self.required, names.GRANTED)

    def _end(self) -> None:
        self.has_ended = True
        self._outer = self.refused_key = self._key = self._request = None
        self.forget()

    # The steps of the conclusion

    def determine_outcome(self) -> None:
        """Determine whether the application granted, denied or failed."""
        target, error = self.target, self.exc
        if error is None:
            is_granted = self.result is not False if target.granted is None else self.holds("granted", target.granted)
            self._outcome = names.GRANTED if is_granted else names.DENIED
            return
        self._outcome = names.ERROR
        self._reason = self.guarded(STAGE_DECISION, class_name, error)
        if target.denied is None:
            is_denied = bool(self.guarded(STAGE_DECISION, is_refusal, error))
        else:
            is_denied = self.holds("denied", target.denied)
        if is_denied:
            self._outcome = names.DENIED

    def explain(self) -> None:
        """Find the scopes that explain the outcome. An inner check reports its requirement to the outer check."""
        outcome, outer = self._outcome, self._outer
        if outcome is None:
            return
        if outer is not None and not outer.has_ended:
            outer.add_inner(self.required, outcome)
            return
        target = self.target
        self._request = current_request()
        key = current_attribution(self._request).key
        if key is None:
            key, self._is_refused = self.refused_key, True
        self._key = key
        required = self.required
        any_of = target.any_of is not None and self.holds("any_of", target.any_of)
        resource = self.resource
        found = explain(outcome, required, any_of, resource, key, target.components.catalog)
        self._decision = Decision(required, outcome, found.cause, found.scopes, found.missing, resource, self._reason)

    def record(self) -> None:
        """Count the decision, and record it in the request and on its server span."""
        decision = self._decision
        if decision is None or decision.outcome is None:
            return
        components, request = self.target.components, self._request
        self.target.count(decision.outcome, decision.cause)
        if components.events is not None:
            components.events.decided(decision, self._key, is_refused=self._is_refused)
        if request is not None and request.is_open:
            attribution = request.attribution
            has_key = self._key is not None or attribution.kind != names.NO_KEY or request.used_key is not None
            if has_key:
                request.decide(decision, max_items=components.settings.max_items)

    # Details

    def add_inner(self, required: tuple[str, ...], outcome: str) -> None:
        """Adopt the requirement of an inner check."""
        self._inner += ((required, outcome),)

    @property
    def required(self) -> tuple[str, ...]:
        """The required permissions, by default of the inner checks."""
        if self.target.has_requirement:
            if self._required is None:
                self._required = self.guarded("required", self._read_required) or ()
            return self._required
        granted = self._outcome == names.GRANTED
        taken = (one for one, outcome in self._inner if not (granted and outcome == names.DENIED))
        return tuple(dict.fromkeys(permission for required in taken for permission in required))

    def _read_required(self) -> tuple[str, ...]:
        target = self.target
        if target.required is not None:
            value = target.required(self, None)
            required = () if value is None else canonical.as_strings(value)
        else:
            kind, action = (_string(read, self) for read in (target.resource_type, target.action))
            required = () if kind is None or action is None else (f"{kind}:{action}",)
        presented_credential.check("\n".join(required), self.presented)
        return required

    @property
    def presented(self) -> presented_credential.Credentials:
        """The credentials that the request presented; they must not appear in any output."""
        request = self._request or current_request()
        return () if request is None else request.presented

    @property
    def resource(self) -> str | None:
        """The resource as ``type:id``, ``None`` if it is unknown."""
        target = self.target
        kind = self.guarded("resource_type", _string, target.resource_type, self)
        identity = self.guarded("resource_id", _string, target.resource_id, self)
        return None if kind is None or identity is None else f"{kind}:{identity}"

    def so_far(self, *, has_failed: bool) -> Decision:
        """Return the decision about the open check for a row that is written inside it.

        Args:
            has_failed: The outcome of the row counts as failed.
        """
        return Decision(self._required_so_far(), names.DENIED if has_failed else None, resource=self.resource)

    def _required_so_far(self) -> tuple[str, ...]:
        """Return the required permissions, including adopted requirements of inner checks that are still open."""
        chain: list[Check] = []
        check = _innermost_check()
        while check is not None and check is not self:
            chain.append(check)
            check = check._outer
        required, is_complete = self.required, self.target.has_requirement
        while chain and not is_complete:
            inner = chain.pop()
            is_complete = inner.target.has_requirement
            if not inner.target.supplies_requirement:
                required += inner.required
        return tuple(dict.fromkeys(required))


def _string(read: Reader | None, call: Check) -> str | None:
    value = None if read is None else read(call, None)
    if value is None:
        return None
    string = canonical.as_string(value)
    presented_credential.check(string, call.presented)
    return string


_CONCLUSION = (
    (STAGE_DECISION, Check.determine_outcome),
    (STAGE_DECISION, Check.explain),
    (STAGE_TELEMETRY, Check.record),
)
