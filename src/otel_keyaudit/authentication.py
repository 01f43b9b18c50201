"""The first moment: what happens around a call that authenticates."""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.binding import Binding
from otel_keyaudit.calls import Call, ObservedCall, Reader, reader
from otel_keyaudit.errors import MissingError, class_name
from otel_keyaudit.expressions import Expression
from otel_keyaudit.extraction import read_key
from otel_keyaudit.guard import run_silently
from otel_keyaudit.handlers import Observe
from otel_keyaudit.key_types import KeyFields, is_relative
from otel_keyaudit.names import STAGE_AUTHENTICATION
from otel_keyaudit.request_state import ACCEPTANCE, Outcome, RequestState, current_request, reset
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.targets import AuthTarget, Source

_UNREADABLE = object()
"""Stands for a key object that cannot be read: there is a key, and nobody can say which."""

_CURRENT: ContextVar[AuthenticationMoment | None] = ContextVar("otel_keyaudit_authentication", default=None)


class Authentication:
    """A target that authenticates, compiled for the function it was found to be."""

    def __init__(self, runtime: Runtime, target: AuthTarget, binding: Binding) -> None:
        self.runtime = runtime
        self.target = target
        self.binding = binding
        sources = target.sources
        self.key = self._reader(sources.get("key"))
        self.when = self._reader(sources.get("when"))
        self.valid = self._reader(sources.get("valid"))
        self.valid_needs_key = is_relative(sources.get("valid"))
        when = sources.get("when")
        self.when_is_function = when is not None and not isinstance(when, Expression)
        self.when_needs_key = isinstance(when, Expression) and None in when.roots
        self.when_needs_result = _needs_result(when, sources.get("key"))
        self.key_from_exception = isinstance(key := sources.get("key"), Expression) and "exc" in key.roots
        fields = target.key_sources()
        self.fields = KeyFields(fields, fields.keys() & sources.keys(), runtime.key_types, deferred=runtime.deferred)

    def _reader(self, source: Source | None) -> Reader | None:
        return None if source is None else reader(source, deferred=self.runtime.deferred)

    def observe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AuthenticationMoment:
        """Begin to observe a call."""
        return AuthenticationMoment(self, args, kwargs)


def observer(runtime: Runtime, target: AuthTarget, binding: Binding) -> Observe:
    """Return what observes the calls of an authentication target."""
    return Authentication(runtime, target, binding).observe


def _needs_result(source: Source | None, base: Source | None) -> bool:
    """Say whether an expression can only be read once there is a result; ``base`` is where relative paths start."""
    if not isinstance(source, Expression):
        return False
    return "return" in source.roots or (None in source.roots and (base is None or _needs_result(base, None)))


class AuthenticationMoment(ObservedCall):
    """One call of an authentication target."""

    __slots__ = ("_authentication", "_found", "_token", "within")

    lasts = False

    def __init__(self, authentication: Authentication, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = Call(authentication.binding, args, kwargs)
        super().__init__(authentication.runtime.faults, authentication.target.written, call)
        self._authentication = authentication
        self._found: tuple[Any] | None = None
        self._token: Token[AuthenticationMoment | None] | None = None
        self.within: AuthenticationMoment | None = None

    def __enter__(self) -> None:
        """Be the authentication inside which others may happen."""
        self.within = _CURRENT.get()
        self._token = _CURRENT.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of an exception; a cancellation or an exit is no outcome."""
        if self._token is not None:
            reset(_CURRENT, self._token)
        if isinstance(error, Exception):
            self._call.exc = error
            self.guarded(STAGE_AUTHENTICATION, self._conclude)

    def pause(self) -> None:
        """Leave without an outcome."""

    def returned(self, result: Any) -> Any:
        """Take note of the result, which the caller gets as it is."""
        self._call.result = result
        self.guarded(STAGE_AUTHENTICATION, self._conclude)
        return result

    def _conclude(self) -> None:
        if not self._is_meant():
            return
        key = self._key()
        reason = self._denial(key)
        request = current_request()
        state = request if request is not None and request.is_open else None
        if reason is not None:
            self._deny(state, reason, key)
        elif key is not None:
            self._accept(state, key)
        if self._call.exc is None:
            self._remember_class(type(key))

    def _is_meant(self) -> bool:
        """Say whether the call is meant; what cannot be read is counted and passed through."""
        authentication, call = self._authentication, self._call
        when = authentication.when
        if when is None:
            return True
        if call.exc is not None and authentication.when_is_function:
            return run_silently(_truth, when, call, None) is not False  # it may need a result, and counts as truthy
        if call.exc is not None and authentication.when_needs_result:
            return True
        key = self._key() if authentication.when_needs_key else None
        return key is not _UNREADABLE and bool(self.guarded(STAGE_AUTHENTICATION, _truth, when, call, key))

    def _key(self) -> Any:
        """Return the key object, which is read once."""
        if self._found is None:
            self._found = self._find_key()
        return self._found[0]

    def _find_key(self) -> tuple[Any]:
        """Find the key object; after an exception, one that the exception leads to."""
        authentication = self._authentication
        if authentication.key is None:
            return (self._call.result,)  # which is None after an exception
        if self._call.exc is None:
            found = self.guarded(STAGE_AUTHENTICATION, _boxed, authentication.key, self._call)
            return found or (_UNREADABLE,)
        if not authentication.key_from_exception:
            return (None,)
        found = self.guarded(STAGE_AUTHENTICATION, _boxed_if_there, authentication.key, self._call)
        return found or (None,)

    def _denial(self, key: Any) -> str | None:
        """Return why the authentication denied, or ``None``."""
        authentication, call = self._authentication, self._call
        if call.exc is not None:
            return class_name(call.exc)
        if call.result is False or key is False:
            return "false"
        if authentication.valid is None or (key is None and authentication.valid_needs_key):
            return None
        if key is _UNREADABLE and authentication.valid_needs_key:
            return "valid"
        return None if self.guarded(STAGE_AUTHENTICATION, _truth, authentication.valid, call, key) else "valid"

    def _deny(self, state: RequestState | None, reason: str, key: Any) -> None:
        exception = None if self._call.exc is None else reason
        self._authentication.runtime.metrics.authentications.add(names.DENIED, exception)
        if state is None:
            return
        withdrawn = state.withdraw(self)
        was_found = key is not None and key is not _UNREADABLE and reason != "false"
        refused = (self._read(key) if was_found else None) or withdrawn
        state.conclude(Outcome(names.DENIED, reason, None if refused is None else refused.id), self)

    def _accept(self, state: RequestState | None, key: Any) -> None:
        self._authentication.runtime.metrics.authentications.add(names.ACCEPTED, None)
        found = None if key is _UNREADABLE else self._read(key)
        if state is not None:
            state.accept(found, self)
            state.conclude(ACCEPTANCE, self)

    def _remember_class(self, kind: type) -> None:
        """Remember what class API keys are of: an audit row may be about one."""
        classes = self._authentication.runtime.key_classes
        if kind.__module__ != "builtins" and kind not in classes:
            classes[kind] = self._authentication.fields.of_object(kind)

    def _read(self, key: Any) -> ApiKey | None:
        return read_key(self, STAGE_AUTHENTICATION, self._authentication.fields.of(type(key)), self._call, key)


def _truth(read: Reader, call: Call, base: Any) -> bool:
    return bool(read(call, base))


def _boxed(read: Reader, call: Call) -> tuple[Any]:
    """Return a value in a tuple, which tells a value of ``None`` from one that cannot be read."""
    return (read(call, None),)


def _boxed_if_there(read: Reader, call: Call) -> tuple[Any]:
    """Return the same for what need not be there: not every exception leads to a key."""
    try:
        return _boxed(read, call)
    except MissingError:
        return (None,)
