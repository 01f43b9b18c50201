"""Observe calls of authentication targets: a call accepts a key, denies, or finds no key.

:data:`_CONCLUSION` lists the steps that follow the end of a call, in order.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from otel_keyaudit import names
from otel_keyaudit.errors import MissingError, NoRequestError, class_name
from otel_keyaudit.guard.collection import Variable
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.names import STAGE_AUTHENTICATION, STAGE_TELEMETRY
from otel_keyaudit.observers.authentication.target import CompiledAuthTarget
from otel_keyaudit.observers.authorization.check import current_check
from otel_keyaudit.observers.factories import report_factory_call
from otel_keyaudit.observers.observed_call import NestedCall
from otel_keyaudit.observers.refusals import is_denied_access
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.attribution import NO_DELEGATION, AcceptedKey, Delegation
from otel_keyaudit.request.boundaries.missing_instrumentation import missing_instrumentation_hint
from otel_keyaudit.request.context import current_request, used_key
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.targets.call import Reader
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.key_objects.key_classes import is_generic_class
from otel_keyaudit.targets.presented_credential import Credentials, without_credentials

_UNREAD = object()
"""The key object has not been read yet."""

_UNREADABLE = object()
"""The key object cannot be read: the call may have accepted a key that has no readable id."""

_CURRENT: Variable[ref[AuthenticationCall]] = Variable("otel_keyaudit_authentication")
"""The innermost open call. The reference is weak: a call that an interrupt prevented from ending is not kept alive."""


class Authentication(CompiledAuthTarget):
    """An authentication target that observes the calls of its function."""

    def observer(self) -> Observe:
        """Return the function that starts the observation of a call."""
        return self.observing(AuthenticationCall)


class AuthenticationCall(NestedCall):
    """One call of an authentication target."""

    target: Authentication
    stage = STAGE_AUTHENTICATION
    innermost = _CURRENT
    lasts = False
    within: AuthenticationCall | None = None
    accepted_id: str | None = None
    accepted_inside: dict[AcceptedKey, None] | None = None
    source: Any = None
    _is_reading = False
    _key_object: Any = _UNREAD
    _verdict: str | None = None
    _reason = ""
    _request: RequestState | None = None
    _key: ApiKey | None = None
    _recorded: ApiKey | None = None
    _delegation: Delegation = NO_DELEGATION
    _presented: Credentials = ()

    def __enter__(self) -> None:
        """Become the innermost authentication."""
        reference = _CURRENT.get()
        outer = None if reference is None else reference()
        if outer is self:  # a Future concludes the call in a copy of the context inside it
            outer = self.within
        self.within = outer if outer is not None and not outer.has_ended else None
        self._before = _CURRENT.set(ref(self))
        if self.target.reads_key_early:
            request = current_request()
            if request is not None and request.is_open:
                self._request = request
                request.watch(self)

    def returned(self, result: Any) -> Any:
        """Conclude with a result, and return it unchanged."""
        self.result = result
        self._conclude()
        return result

    def _conclude(self) -> None:
        if not self.has_ended:
            if self._verdict is None:
                self.run(_CONCLUSION)
            elif self.exc is None:  # the key was used before the end; since then the call may have stored another key
                self.read_early()
            self._end()

    def _end(self) -> None:
        """Release everything of the call, because an exception or an open generator may keep this object alive."""
        self.has_ended = True
        if self.target.reads_key_early and self._request is not None:
            self._request.unwatch(self)
        if self.accepted_inside:
            request = self._request or current_request()
            if request is not None:
                request.settle(self)
        self.within = self._request = self._key_object = self.source = None
        self._presented = ()
        self.forget()

    def read_early(self) -> None:
        """Accept the key that the call has stored so far, because a row or check needs it now."""
        if self.has_ended or self._is_reading:
            return
        self._is_reading = True
        found = quietly(self.target.key, self, None)  # type: ignore[arg-type]
        is_new = found is not None and found is not False and found is not self._key_object
        if is_new and quietly(self._is_early_key, found):
            self._key_object = found
            self.run(_CONCLUSION if self._verdict is None else _CHANGE)
        self._is_reading = False

    def _is_early_key(self, key: Any) -> bool:
        target = self.target
        matches_when = target.late_when is None or bool(target.late_when(self, key))
        return matches_when and (target.valid is None or bool(target.valid(self, key)))

    # The steps of the conclusion

    def determine_outcome(self) -> None:
        """Apply ``when``, find the request, and determine the outcome."""
        target = self.target
        if target.late_when is not None:
            if not self.find_target():
                return
            target = self.target
        target.calls.increment()
        key = self._key_object = self._read_key_object()
        if self._request is None:
            request = current_request()
            if request is not None and request.is_open:
                self._request = request
        if self._request is not None:
            self._presented = self.guarded(STAGE_AUTHENTICATION, self._present, self._request) or ()
        reason = self._denial(key)
        if reason is not None:
            self._verdict, self._reason = names.DENIED, reason
        elif not self._is_factory() and key is not None:
            self._verdict = names.ACCEPTED

    def read_key(self) -> None:
        """Read the snapshot of the key, without the credentials that the request presented."""
        if self._verdict is None:
            return
        target, key, presented = self.target, self._key_object, self._presented
        if key is None or key is _UNREADABLE or self._reason == "false":
            return
        kind = type(key)
        reader = target.key_source.reader_for(kind)
        self.source = target if reader.is_generic else kind
        snapshot = reader.read(self, key, self.report)
        if snapshot is not None and presented:
            snapshot = without_credentials(snapshot, presented, self.report)
        self._key = snapshot
        if target.delegation is not None:
            self._delegation = target.delegation.read(self, key, presented)
        if kind is not target.known_class() and self.exc is None:
            self._remember_class(kind)

    def record(self) -> None:
        """Count the outcome, and record it in the request and on its server span."""
        if self._verdict is names.ACCEPTED:
            self._record_acceptance()
        elif self._verdict is names.DENIED:
            self._record_denial()

    def record_change(self) -> None:
        """Record a key that the call stored in place of an earlier key."""
        if self._key is not None and self._key != self._recorded:
            self.record()

    # Details

    def report(self, name: str, error: BaseException) -> None:
        """Count and log a failure. A refused credential that no key has is not one: nobody can name its id."""
        if name != "id" or self._verdict is not names.DENIED:
            super().report(name, error)

    def _present(self, request: RequestState) -> Credentials:
        """Return the credentials that the request presented; they must not appear in any output."""
        presented = self.target.credentials.read(self, request.scope)
        if presented:
            request.present(presented)
        return request.presented  # also those of other authentications, as of a method that a middleware calls

    def _remember_class(self, kind: type) -> None:
        """Remember the class of the key object, to recognize audit rows about keys."""
        target = self.target
        classes = target.components.key_classes
        if classes.get(kind) is None and not is_generic_class(kind, target.target_string.partition(".")[0]):
            classes.keep(kind, target.key_source)
        target.known_class = ref(kind)

    def _record_acceptance(self) -> None:
        target, request = self.target, self._request
        key = self._recorded = self._key
        target.accepted.increment()
        if key is not None:
            self.accepted_id = key.id
        if request is None or not request.accept(key, self, self._delegation, as_actor=target.is_actor):
            self._warn_of_no_request()
            return
        if target.components.events is not None and key is not None:
            target.components.events.used(key)

    def _record_denial(self) -> None:
        target, request, reason = self.target, self._request, self._reason
        if self.exc is None:
            target.denied.increment()
        else:
            target.components.metrics.authentications.add(names.DENIED, reason)
            target.denials_by_error.increment()
        refused = self._key if request is None else request.deny(self, reason, self._key)
        check = current_check(request)
        if check is not None and refused is not None:
            check.refused_key = refused
        if target.components.events is not None:
            target.components.events.denied(reason, refused)

    def matches(self, when: Reader) -> bool:
        """Return whether a condition holds that needs the end or the key object."""
        target = self.target
        if self.exc is not None and target.when_is_function:
            return self.may_hold(when)
        if self.exc is not None and target.when_needs_result:
            return True
        key = self._read_key_object() if target.when_needs_key else None
        return key is not _UNREADABLE and self.holds("when", when, key)

    def observe_as(self, target: Any) -> None:
        """Continue as an authentication of another target."""
        if self.target.reads_key_early and self._request is not None:
            self._request.unwatch(self)
        super().observe_as(target)
        self._key_object = _UNREAD

    def _read_key_object(self) -> Any:
        """Return the key object; it is read only once."""
        if self._key_object is _UNREAD:
            read = self.target.key
            self._key_object = behind(self.result if read is None else self._find_key_object(read))
        return self._key_object

    def _find_key_object(self, read: Reader) -> Any:
        if self.exc is not None and not (self.target.key_reads_exception or self.target.reads_key_early):
            return None
        if self.exc is not None or self.target.stored_names is not None:
            return self.guarded("key", _if_present, read, self)
        return self.guarded("key", read, self, None, otherwise=_UNREADABLE)

    def _denial(self, key: Any) -> str | None:
        """Return the reason of a denial, ``None`` if the call did not deny."""
        target = self.target
        if self.exc is not None and not self._is_application_error():
            return class_name(self.exc)
        if self.result is False or key is False:
            return "false"
        if target.valid is None or (key is None and target.valid_needs_key):
            return None
        if key is _UNREADABLE and target.valid_needs_key:
            return "valid"
        return None if self.holds("valid", target.valid, key) else "valid"

    def _is_application_error(self) -> bool:
        """Return whether a middleware or decorator passed on an exception of the wrapped application."""
        return self.exc is not None and self.target.reads_key_early and not is_denied_access(self.exc)

    def _is_factory(self) -> bool:
        return type(self.result) is not self.target.known_class() and report_factory_call(self, self.result)

    def _warn_of_no_request(self) -> None:
        if used_key() is None:
            self.report(STAGE_AUTHENTICATION, NoRequestError(missing_instrumentation_hint()))


def _if_present(read: Reader, call: AuthenticationCall) -> Any:
    """Return a value, ``None`` if it is missing: not every request has stored a key, and not every exception has one.

    Raises:
        MissingError: A step before the place where the application stores the key is missing.
    """
    names = call.target.stored_names
    try:
        return read(call, None)
    except MissingError as error:
        if names is not None and error.name not in names:
            raise
        return None


_CONCLUSION = (
    (STAGE_AUTHENTICATION, AuthenticationCall.determine_outcome),
    (STAGE_AUTHENTICATION, AuthenticationCall.read_key),
    (STAGE_TELEMETRY, AuthenticationCall.record),
)

_CHANGE = (
    (STAGE_AUTHENTICATION, AuthenticationCall.read_key),
    (STAGE_TELEMETRY, AuthenticationCall.record_change),
)
