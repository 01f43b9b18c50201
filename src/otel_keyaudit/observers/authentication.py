"""The first moment: what happens around a call that authenticates."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.errors import MissingError, class_name
from otel_keyaudit.guard.collection import Setting, Variable
from otel_keyaudit.guard.guard import Step, boxed
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.names import STAGE_AUTHENTICATION, STAGE_TELEMETRY
from otel_keyaudit.observers.components import Runtime
from otel_keyaudit.observers.observed_call import ObservedCall, Plan
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.context import current_request
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.targets import presented_credential
from otel_keyaudit.targets.call import Call, Reader
from otel_keyaudit.targets.expression import Expression
from otel_keyaudit.targets.key_classes import is_generic_class
from otel_keyaudit.targets.key_source import KeySource, is_relative
from otel_keyaudit.targets.presented_credential import Credentials, CredentialSource
from otel_keyaudit.targets.target import AuthTarget, Source

_UNREAD = object()
"""Stands for a key object that has not been looked for."""

_UNREADABLE = object()
"""Stands for a key object that cannot be read: there is a key, and nobody can say which."""

_CURRENT: Variable[AuthenticationMoment] = Variable("otel_keyaudit_authentication")


class Authentication(Plan):
    """A target that authenticates, compiled for the function it was found to be.

    Attributes:
        conclude: What is done when a call has ended.
    """

    conclude: Sequence[Step] = ()

    def __init__(self, runtime: Runtime, target: AuthTarget, binding: Binding) -> None:
        super().__init__(runtime, target, binding)
        sources = target.sources
        key, when, valid = (sources.get(name) for name in ("key", "when", "valid"))
        self.key = self.reader(key)
        self.key_from_exception = isinstance(key, Expression) and "exc" in key.roots
        self.when_needs_key = isinstance(when, Expression) and None in when.roots
        self.when_needs_result = _needs_result(when, key)
        self.valid = self.reader(valid)
        self.valid_needs_key = is_relative(valid)
        fields = target.key_sources()
        self.key_source = KeySource(
            fields, fields.keys() & sources.keys(), runtime.key_types, deferred=runtime.deferred, target=target.written
        )
        self.credentials = CredentialSource(binding)
        self.count_accepted = runtime.metrics.authentications.counter(names.ACCEPTED, None).increment
        self.last_class: type = type(None)
        """The class of the last key object: nearly always that of the next one."""


def observer(plan: Authentication) -> Observe:
    """Return what observes the calls of an authentication target."""
    plan.conclude = _CONCLUDE

    def observe(args: tuple[Any, ...], kwargs: dict[str, Any], _: object) -> AuthenticationMoment | None:
        return AuthenticationMoment(plan, args, kwargs) if plan.is_on else None

    return observe


def _needs_result(source: Source | None, base: Source | None) -> bool:
    """Say whether an expression can only be read once there is a result; ``base`` is where relative paths start."""
    if not isinstance(source, Expression):
        return False
    return "return" in source.roots or (None in source.roots and (base is None or _needs_result(base, None)))


class AuthenticationMoment(ObservedCall):
    """One call of an authentication target."""

    watched: Authentication
    lasts = False
    within: AuthenticationMoment | None = None
    _found: Any = _UNREAD
    _was_meant = False
    _verdict: str | None = None
    _reason = ""
    _state: RequestState | None = None
    _presented: Credentials = ()
    _snapshot: ApiKey | None = None
    _before: Setting | None = None

    def __enter__(self) -> None:
        """Be the authentication inside which others may happen."""
        self.within = _CURRENT.get()
        self._before = _CURRENT.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of an exception; a cancellation or an exit is no outcome."""
        if self._before is not None:
            _CURRENT.reset(self._before)
        if error is not None and isinstance(error, Exception):
            self.exc = error
            self.run(self.watched.conclude, self)

    def pause(self) -> None:
        """Leave without an outcome."""

    def returned(self, result: Any) -> Any:
        """Take note of the result, which the caller gets as it is."""
        self.result = result
        self.run(self.watched.conclude, self)
        return result

    # The outcome.

    def _judge(self) -> None:
        """Tell whether the call is meant, in which request it is, and how it ended."""
        plan = self.watched
        if plan.when is not None and not self._is_meant(plan.when):
            return
        self._was_meant = True
        key = self._found = self.result if plan.key is None else self._key()
        request = current_request()
        if request is not None and request.is_open:
            self._state = request
        reason = self._denial(key)
        if reason is not None:
            self._verdict, self._reason = names.DENIED, reason
            plan.runtime.metrics.authentications.add(names.DENIED, None if self.exc is None else reason)
        elif key is not None:
            self._verdict = names.ACCEPTED
            plan.count_accepted()

    def _find_presented(self) -> None:
        """Tell what was presented as the credential, which is never written out."""
        state = self._state
        if state is not None:
            self._presented = self.watched.credentials.read(self, state.scope)
            if self._presented:
                state.presented = presented_credential.merge(state.presented, self._presented)

    def _read_key(self) -> None:
        """Read the snapshot of the key object, without what was presented as the credential."""
        if not self._has_key():
            return
        reader = self.watched.key_source.reader_for(type(self._found))
        snapshot = reader.read(self, self._found, self._unreadable)
        if snapshot is not None and self._presented:
            snapshot = presented_credential.without_credentials(snapshot, self._presented, self._unreadable)
        self._snapshot = snapshot

    def _unreadable(self, error: BaseException) -> None:
        self.report(STAGE_AUTHENTICATION, error)

    def _tell(self) -> None:
        """Tell the request, which shows it on its server span."""
        state = self._state
        if state is None or self._verdict is None:
            return
        if self._verdict is names.ACCEPTED:
            state.accept(self._snapshot, self)
            return
        withdrawn = state.withdraw(self)
        refused = self._snapshot or withdrawn
        state.deny(self._reason, None if refused is None else refused.id)

    def _remember_class(self) -> None:
        """Remember what class API keys are of: an audit row may be about one."""
        authentication, kind = self.watched, type(self._found)
        if not self._was_meant or self.exc is not None or kind is authentication.last_class:
            return
        classes = authentication.runtime.key_classes
        if not is_generic_class(kind) and kind not in classes:
            classes[kind] = authentication.key_source
        authentication.last_class = kind

    def _has_key(self) -> bool:
        """Say whether there is a key to be read: one that was accepted, or one that was refused all the same."""
        key = self._found
        if key is None or key is _UNREADABLE or self._verdict is None:
            return False
        return self._verdict is names.ACCEPTED or (self._state is not None and self._reason != "false")

    def _is_meant(self, when: Reader) -> bool:
        """Say whether the call is meant; what cannot be read is counted and passed through."""
        authentication = self.watched
        if self.exc is not None and authentication.when_is_function:
            return self.may_hold(when)
        if self.exc is not None and authentication.when_needs_result:
            return True
        key = self._key() if authentication.when_needs_key else None
        return key is not _UNREADABLE and self.holds(STAGE_AUTHENTICATION, when, key)

    def _key(self) -> Any:
        """Return the key object, which is read once."""
        if self._found is _UNREAD:
            read = self.watched.key
            self._found = self.result if read is None else self._find_key(read)  # no result after an exception
        return self._found

    def _find_key(self, read: Reader) -> Any:
        """Find the key object; after an exception, one that the exception leads to."""
        if self.exc is None:
            found = self.guarded(STAGE_AUTHENTICATION, boxed, read, self, None)
            return _UNREADABLE if found is None else found[0]
        return self.guarded(STAGE_AUTHENTICATION, _if_there, read, self) if self.watched.key_from_exception else None

    def _denial(self, key: Any) -> str | None:
        """Return why the authentication denied, or ``None``."""
        authentication = self.watched
        if self.exc is not None:
            return class_name(self.exc)
        if self.result is False or key is False:
            return "false"
        if authentication.valid is None or (key is None and authentication.valid_needs_key):
            return None
        if key is _UNREADABLE and authentication.valid_needs_key:
            return "valid"
        return None if self.holds(STAGE_AUTHENTICATION, authentication.valid, key) else "valid"


def _if_there(read: Reader, call: Call) -> Any:
    """Return what is read, or ``None`` where it leads to nothing: not every exception leads to a key."""
    try:
        return read(call, None)
    except MissingError:
        return None


_CONCLUDE: list[Step] = [
    (STAGE_AUTHENTICATION, AuthenticationMoment._judge),
    (STAGE_AUTHENTICATION, AuthenticationMoment._find_presented),
    (STAGE_AUTHENTICATION, AuthenticationMoment._read_key),
    (STAGE_TELEMETRY, AuthenticationMoment._tell),
    (STAGE_AUTHENTICATION, AuthenticationMoment._remember_class),
]
"""What is done when an authentication has ended."""
