"""Observe authorization checks, and explain why they grant or deny. The library itself decides nothing.

Checks nest; only the outermost check is a decision. :data:`_CONCLUSION` lists the steps that follow its end.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType
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
from otel_keyaudit.observers.authorization.target import CompiledAuthzTarget, ExplainedDecision
from otel_keyaudit.observers.factories import report_factory_call
from otel_keyaudit.observers.observed_call import NestedCall
from otel_keyaudit.observers.refusals import is_refusal
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.context import Request, current_attribution, current_request
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.targets import presented_credential
from otel_keyaudit.targets.call import Reader

_CURRENT: Variable[ref[Check]] = Variable("otel_keyaudit_check")
"""The innermost open check. The reference is weak: a check that an interrupt prevented from ending is not kept
alive."""


def current_check(request: RequestState | None) -> Check | None:
    """Return the outermost check of a request that is open in the current context."""
    if _CURRENT.get() is None:
        return None
    check = _innermost_check()
    if check is None or check.is_outside(request):
        return None
    outermost = check.outermost
    return None if outermost.target.is_part else outermost


def _innermost_check() -> Check | None:
    reference = _CURRENT.get()
    check = None if reference is None else reference()
    return None if check is None or check.has_ended else check


class Authorization(CompiledAuthzTarget):
    """An authorization target that observes the calls of its function."""

    def observer(self) -> Observe:
        """Return the function that starts the observation of a call."""
        observe = self.observing(Check)
        return partial(_conclude_before, observe) if self.is_decided else observe

    def observer_of_excluded(self) -> Observe | None:
        """Return the function that starts the observation of a call that an earlier target may exclude at the end.

        A decision that has been made is recorded at the start, so it could count twice.
        """
        return None if self.is_decided else self.observer()


def _conclude_before(
    observe: Observe, positional: tuple[Any, ...], keywords: dict[str, Any], function: FunctionType
) -> None:
    """Record a decision that has been made. The call itself passes through, so checks inside it are not nested."""
    check = observe(positional, keywords, function)
    if check is not None:
        with check:
            check.returned(None)


class Check(NestedCall):
    """One call of an authorization target.

    Attributes:
        refused_key: The key that an authentication inside the check refused or withdrew.
    """

    target: Authorization
    stage = STAGE_DECISION
    innermost = _CURRENT
    refused_key: ApiKey | None = None
    _outer: Check | None = None
    _required: tuple[str, ...] | None = None
    _outcome: str | None = None
    _reason: str | None = None
    _explained: ExplainedDecision | None = None
    _request: Request | None = None
    _inner: tuple[tuple[tuple[str, ...], str], ...] = ()
    _replacing: tuple[ExplainedDecision, ...] = ()
    """The decisions of the inner checks, which count if the condition of this check excludes it at the end."""

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

    @property
    def has_inner(self) -> bool:
        """Whether a check inside this one has ended."""
        return bool(self._inner)

    def is_outside(self, request: RequestState | None) -> bool:
        """Return whether the check is around a whole request that is open, such as a call of an in-process client."""
        return request is not None and request.is_open and request is not self._request

    def returned(self, result: Any) -> Any:
        """Conclude with a result, and return it unchanged."""
        self.result = result
        if not self.guarded(STAGE_DECISION, report_factory_call, self, result):
            self._conclude()
        self._end()
        return result

    def _conclude(self) -> None:
        if self.target.late_when is not None and not self.find_target():
            self._leave_inner_checks()
            return
        target = self.target
        target.calls.increment()
        if target.supplies_requirement:
            self._supply()
        else:
            self.run(_CONCLUSION)

    def _leave_inner_checks(self) -> None:
        """Leave the inner checks to the outer check, because this call is no check between them."""
        outer = self._outer
        if outer is not None and not outer.has_ended:
            outer._inner += self._inner
            outer._replacing += self._replacing
            return
        for explained in self._replacing:
            self.guarded(STAGE_TELEMETRY, explained.record)

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
        self._outer = self.refused_key = self._explained = self._request = None
        self._replacing = ()
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
        if outer is None or outer.has_ended:
            self._explained = self._explanation(outcome)
            return
        outer.add_inner(self.required, outcome)
        if outer.may_exclude and not self.target.is_part:
            outer._replacing += (self._explanation(outcome),)

    def record(self) -> None:
        """Record the decision, unless this is an inner check."""
        if self._explained is not None:
            self._explained.record()

    # Details

    def _explanation(self, outcome: str) -> ExplainedDecision:
        target = self.target
        request = self._request
        if request is None or not request.is_open:  # it has begun inside the check, or has ended
            request = self._request = current_request()
        key = current_attribution(request).key
        is_refused = key is None
        if is_refused:
            key = self.refused_key
        required = self.required
        any_of = target.any_of is not None and self.holds("any_of", target.any_of)
        resource = self.resource
        found = explain(outcome, required, any_of, resource, key, target.components.catalog)
        decision = Decision(required, outcome, found.cause, found.scopes, found.missing, resource, self._reason)
        return ExplainedDecision(target, decision, key, is_refused, request)

    def add_inner(self, required: tuple[str, ...], outcome: str) -> None:
        """Adopt the requirement of an inner check."""
        self._inner += ((required, outcome),)

    @property
    def required(self) -> tuple[str, ...]:
        """The required permissions, by default of the inner checks."""
        if self.target.has_requirement:
            if self._required is None:
                read_plain = self.target.read_plain_required
                plain = None if read_plain is None else read_plain(self, self.presented)
                self._required = plain or self.guarded("required", self._read_required) or ()
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
        if target.read_plain_resource is not None:
            plain = target.read_plain_resource(self, self.presented)
            if plain is not None:
                return ":".join(plain)
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
