"""Which key is this request's: the only shared state, and never a wrong answer.

A request's state is one mutable object. It travels in a ``ContextVar`` through tasks and copied contexts of worker
threads; what those threads find out is written into the object, where the rest of the request sees it. A context
outlives its request (a task, a pipelined request, a lazily started worker), so the object knows when that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from threading import RLock
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar

from opentelemetry import trace

from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.first_use import come_first
from otel_keyaudit.guard import GuardedCall
from otel_keyaudit.names import ACCEPTED

SPAN_MARK: Final = "otel_keyaudit_request"
"""Attribute of a span object that belongs to a request which no ASGI or WSGI call delimits."""

Value = TypeVar("Value")
OnChange = Callable[["RequestState", GuardedCall | None], object]

_CALL: ContextVar[RequestState | None] = ContextVar("otel_keyaudit_call", default=None)
_USED_KEY: ContextVar[ApiKey | None] = ContextVar("otel_keyaudit_used_key", default=None)


class Outcome(NamedTuple):
    """How an authentication ended.

    Attributes:
        value: ``accepted`` or ``denied``.
        reason: Why it was denied: class of the exception, ``valid`` or ``false``.
        denied_key_id: Id of a key that was found all the same.
    """

    value: str
    reason: str | None = None
    denied_key_id: str | None = None


ACCEPTANCE: Final = Outcome(ACCEPTED)
"""The outcome of every authentication that accepted."""


class Acceptance(NamedTuple):
    """A key that an authentication returned; ``key`` is ``None`` when its id could not be read.

    Attributes:
        within: The authentication inside which it was returned, linked outwards, as long as that may still deny.
    """

    key: ApiKey | None
    within: Any

    @property
    def identity(self) -> tuple[str | None, Any]:
        """What it has in common with an earlier one that it replaces."""
        return (None if self.key is None else self.key.id), self.within

    def is_within(self, authentication: object) -> bool:
        """Say whether it was returned inside a given authentication."""
        enclosing = self.within
        while enclosing is not None and enclosing is not authentication:
            enclosing = enclosing.within
        return enclosing is not None

    def after(self, authentication: Any) -> Acceptance:
        """Return what it is when an authentication has accepted: what it found inside counts like what it returned."""
        return self._replace(within=authentication.within) if self.within is authentication else self

    def updated_by(self, later: Acceptance) -> Acceptance:
        """Return the later one, with what only the earlier one knew of the same key."""
        return later if self.key is None or later.key is None else self._replace(key=self.key.updated_by(later.key))


class RequestState:
    """What is known of one request.

    Args:
        on_change: Called after every change, under the lock, to show it on the server span; gets the call of a target
            that made it, if one did.
        scope: The ASGI scope or WSGI environ; ``aliases`` are what others made of it for a mounted application.
        within: The request inside whose call this one was made by a CONSUMER span.
    """

    def __init__(self, on_change: OnChange, scope: Any = None, within: RequestState | None = None) -> None:
        self.scope = scope
        self.aliases: tuple[Any, ...] = ()
        self.within = within
        self.is_open = True
        self.has_consumers = False
        self.key: ApiKey | None = None
        self.used_key: ApiKey | None = None
        self.ids: tuple[str, ...] = ()
        self.is_ambiguous = False
        self.outcome: Outcome | None = None
        self.server_span: trace.Span | None = None
        self.shown: dict[str, Any] = {}
        self.shown_parts: tuple[Mapping[str, Any], ...] = ({}, {}, {})
        self.last_write: Mapping[str, Any] = {}
        self.full_key_id: str | None = None
        self.lock = RLock()
        self._on_change = on_change
        self._acceptances: list[Acceptance] = []
        self._ended_with_credential = False

    def __repr__(self) -> str:
        """Show whether it is open, nothing of what it holds."""
        return f"<RequestState {'open' if self.is_open else 'ended'}>"

    @property
    def has_credential(self) -> bool:
        """Say whether any key was accepted, even one that cannot be named; still known after the end."""
        return self._ended_with_credential or bool(self._acceptances)

    @property
    def shown_key(self) -> ApiKey | None:
        """The key that the server span shows: the request's own, else one that was set by hand."""
        return self.key or self.used_key

    def accept(self, key: ApiKey | None, authentication: Any) -> None:
        """Take note of a key that an authentication returned; ``None`` for one whose id cannot be read."""
        with self.lock:
            if not self._acceptances:
                self._acceptances.append(Acceptance(key, authentication.within))
                self._settle()
                return
            gathered: dict[Any, Acceptance] = {}
            for one in (*self._acceptances, Acceptance(key, authentication)):
                acceptance = one.after(authentication)
                earlier = gathered.get(acceptance.identity)
                gathered[acceptance.identity] = acceptance if earlier is None else earlier.updated_by(acceptance)
            self._acceptances = list(gathered.values())
            self._settle()

    def withdraw(self, authentication: object) -> ApiKey | None:
        """Forget what was accepted inside an authentication that then denied; return the last key among it."""
        with self.lock:
            withdrawn = [one for one in self._acceptances if one.is_within(authentication)]
            if withdrawn:
                self._acceptances = [one for one in self._acceptances if not one.is_within(authentication)]
                self._settle()
            return next((one.key for one in reversed(withdrawn) if one.key is not None), None)

    def conclude(self, outcome: Outcome, call: GuardedCall | None = None) -> None:
        """Take note of how an authentication ended; the last one stands."""
        self.change(call, outcome=outcome)

    def wrote(self, last_write: Mapping[str, Any], full_key: ApiKey | None, call: GuardedCall | None = None) -> None:
        """Take note of an audit write, and of the key whose whole snapshot its row was given."""
        with self.lock:
            shown = self.shown_key
            if full_key is not None and shown is not None and full_key.id == shown.id:
                self.full_key_id = full_key.id
            self.change(call, last_write=last_write)

    def change(self, call: GuardedCall | None = None, **values: Any) -> None:
        """Set fields and show the change."""
        with self.lock:
            for name, value in values.items():
                setattr(self, name, value)
            self._on_change(self, call)

    def close(self) -> None:
        """End the request: from now on its key is given to nothing, and nothing of it is kept alive."""
        with self.lock:
            self._ended_with_credential = self.has_credential
            self.is_open = False
            self.scope = self.server_span = self.key = self.used_key = None
            self.aliases = ()
            self._acceptances = []

    def _settle(self) -> None:
        """Work out which key the acceptances leave: one, several (ambiguous), or none that can be named."""
        merged: dict[str, ApiKey] = {}
        for acceptance in self._acceptances:
            key = acceptance.key
            if key is not None:
                earlier = merged.get(key.id)
                merged[key.id] = key if earlier is None else earlier.updated_by(key)
        nameless = any(acceptance.key is None for acceptance in self._acceptances)
        self.ids = tuple(merged)
        self.is_ambiguous = len(merged) > 1 or (nameless and len(merged) == 1)
        self.key = None if self.is_ambiguous or not merged else merged[self.ids[0]]


def current_request() -> RequestState | None:
    """Return the request this code runs in: an open one, else one that has ended but whose context is still around."""
    call = _CALL.get()
    if call is not None and call.is_open and not call.has_consumers:
        return call
    mark = getattr(trace.get_current_span(), SPAN_MARK, None)
    made_by_span = mark if isinstance(mark, RequestState) else None
    if call is not None and call.is_open:
        return made_by_span if made_by_span is not None and made_by_span.within is call else call
    if made_by_span is not None and made_by_span.is_open:
        return made_by_span
    return call or made_by_span


def current_call() -> RequestState | None:
    """Return the open ASGI or WSGI call this code runs in."""
    call = _CALL.get()
    return call if call is not None and call.is_open else None


def enter_call(state: RequestState) -> Token[RequestState | None]:
    """Make a request the current one; give the token to :func:`leave_call` in the same frame."""
    return _CALL.set(state)


def leave_call(token: Token[RequestState | None]) -> None:
    """Make the outer request the current one again."""
    reset(_CALL, token)


def reset(variable: ContextVar[Value], token: Token[Value]) -> None:
    """Reset a context variable, if this is still the context in which it was set.

    It is another one where an abandoned coroutine or generator is cleaned up elsewhere: nothing to undo there.
    """
    try:  # noqa: SIM105 - suppress() costs more than the reset
        variable.reset(token)
    except ValueError:
        pass


def leave_used_key() -> Token[ApiKey | None]:
    """Leave a key that was set by hand behind, where a server starts a request in the context of the previous one."""
    return _USED_KEY.set(_USED_KEY.get() if _CALL.get() is None else None)


def set_used_key(key: ApiKey) -> Token[ApiKey | None]:
    """Set a key as :class:`use_key` does, but show it on no span around."""
    return _USED_KEY.set(key)


def restore_used_key(token: Token[ApiKey | None]) -> None:
    """Undo :func:`leave_used_key` or :func:`set_used_key`."""
    reset(_USED_KEY, token)


def used_key() -> ApiKey | None:
    """Return the key that an enclosing :class:`use_key` set."""
    return _USED_KEY.get()


def current_key() -> ApiKey | None:
    """Return the key of the request this code runs in.

    Returns:
        The key set by :class:`use_key`, else the request's own; ``None`` when there is no key, when the request showed
        several, and after its end.
    """
    used = _USED_KEY.get()
    if used is not None:
        return used
    request = current_request()
    return request.key if request is not None and request.is_open else None


class use_key:  # noqa: N801 - a context manager, named like those of contextlib
    """Set the key by hand for a block: in a worker, a script, a test. It wins over the request's own.

    Args:
        key: The key; ``None`` sets nothing.

    Example:
        ``with use_key(current_key()):`` around work that outlives the request.
    """

    def __init__(self, key: ApiKey | None) -> None:
        if key is not None and not isinstance(key, ApiKey):
            raise TypeError(f"use_key takes an ApiKey or None, not {type(key).__name__}")
        self._key = key
        self._tokens: list[Token[ApiKey | None]] = []

    def __enter__(self) -> ApiKey | None:
        """Set the key, and show it on the server span around."""
        come_first()
        if self._key is not None:
            self._tokens.append(_USED_KEY.set(self._key))
            request = current_request()
            if request is not None and request.is_open:
                request.change(used_key=self._key)
        return self._key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Set what was there before."""
        if self._tokens:
            reset(_USED_KEY, self._tokens.pop())
