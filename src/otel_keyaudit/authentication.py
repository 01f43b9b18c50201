"""The first moment: what happens around a call that authenticates."""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.binding import Binding
from otel_keyaudit.calls import Call, ObservedCall, Plan, Reader
from otel_keyaudit.errors import MissingError, class_name
from otel_keyaudit.expressions import Expression
from otel_keyaudit.finalizers import Setting, Variable
from otel_keyaudit.guard import boxed
from otel_keyaudit.handlers import Observe
from otel_keyaudit.key_types import KeyFields, is_relative
from otel_keyaudit.names import STAGE_AUTHENTICATION
from otel_keyaudit.request_state import RequestState, current_request
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.targets import AuthTarget, Source
from otel_keyaudit.tripwire import Credentials, Tripwire, all_presented, harmless

_UNREAD = object()
"""Stands for a key object that has not been looked for."""

_UNREADABLE = object()
"""Stands for a key object that cannot be read: there is a key, and nobody can say which."""

_CURRENT: Variable[AuthenticationMoment] = Variable("otel_keyaudit_authentication")


class Authentication(Plan):
    """A target that authenticates, compiled for the function it was found to be."""

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
        self.fields = KeyFields(fields, fields.keys() & sources.keys(), runtime.key_types, deferred=runtime.deferred)
        self.tripwire = Tripwire(binding)
        self.count_accepted = runtime.metrics.authentications.counter(names.ACCEPTED, None)
        self.last_class: type = type(None)
        """The class of the last key object: nearly always that of the next one."""


def observer(plan: Authentication) -> Observe:
    """Return what observes the calls of an authentication target."""
    return partial(AuthenticationMoment, plan)


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
    _presented: Credentials = ()
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
            self.guarded(STAGE_AUTHENTICATION, self._conclude)

    def pause(self) -> None:
        """Leave without an outcome."""

    def returned(self, result: Any) -> Any:
        """Take note of the result, which the caller gets as it is."""
        self.result = result
        self.guarded(STAGE_AUTHENTICATION, self._conclude)
        return result

    def _conclude(self) -> None:
        plan = self.watched
        if plan.when is not None and not self._is_meant(plan.when):
            return
        key = self.result if plan.key is None else self._key()
        reason = self._denial(key)
        request = current_request()
        state = request if request is not None and request.is_open else None
        if state is not None:
            self._presented = self.guarded(STAGE_AUTHENTICATION, plan.tripwire.presented, self, state.scope) or ()
            if self._presented and self._presented != state.presented:
                state.presented = all_presented(state.presented, self._presented)
        if reason is not None:
            self._deny(state, reason, key)
        elif key is not None:
            self._accept(state, key)
        if self.exc is None and type(key) is not plan.last_class:
            self._remember_class(type(key))

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

    def _deny(self, state: RequestState | None, reason: str, key: Any) -> None:
        exception = None if self.exc is None else reason
        self.watched.runtime.metrics.authentications.add(names.DENIED, exception)
        if state is None:
            return
        withdrawn = state.withdraw(self)
        was_found = key is not None and key is not _UNREADABLE and reason != "false"
        refused = (self._read(key) if was_found else None) or withdrawn
        state.deny(reason, None if refused is None else refused.id, self)

    def _accept(self, state: RequestState | None, key: Any) -> None:
        self.watched.count_accepted()
        found = None if key is _UNREADABLE else self._read(key)
        if state is not None:
            state.accept(found, self)

    def _remember_class(self, kind: type) -> None:
        """Remember what class API keys are of: an audit row may be about one."""
        authentication = self.watched
        classes = authentication.runtime.key_classes
        if kind.__module__ != "builtins" and kind not in classes:
            classes[kind] = authentication.fields.of_object(kind)
        authentication.last_class = kind

    def _read(self, key: Any) -> ApiKey | None:
        found = self.watched.fields.of(type(key)).read(self, STAGE_AUTHENTICATION, self, key)
        if found is None or not self._presented:
            return found
        return harmless(self, STAGE_AUTHENTICATION, found, self._presented)


def _if_there(read: Reader, call: Call) -> Any:
    """Return what is read, or ``None`` where it leads to nothing: not every exception leads to a key."""
    try:
        return read(call, None)
    except MissingError:
        return None
