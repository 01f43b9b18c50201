"""Which key is this request's: the only shared state, and never a wrong answer.

A request's state is one mutable object. It travels in a ``ContextVar`` through tasks and copied contexts of worker
threads; what those threads find out is written into the object, where the rest of the request sees it. A context
outlives its request (a task, a pipelined request, a lazily started worker), so the object knows when that has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from types import MappingProxyType, TracebackType
from typing import Any, Final, Protocol

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.attribution import ENDED, NOTHING, Acceptance, Attribution, attribution_of, with_one_more
from otel_keyaudit.finalizers import Setting, Variable
from otel_keyaudit.first_use import come_first

SPAN_MARK: Final = "otel_keyaudit_request"
"""Attribute of a span object that belongs to a request which no ASGI or WSGI call delimits."""


class Spans(Protocol):
    """Shows requests on their server spans."""

    def show(self, state: RequestState) -> None:
        """Show what is true of a request now; what fails is the caller's to count."""

    def show_alone(self, state: RequestState) -> None:
        """Do the same outside of any call of a target; nothing fails."""


CALL: Final[Variable[RequestState]] = Variable("otel_keyaudit_call")
"""The ASGI or WSGI call that code runs in, or the one that it was started in and that has ended."""

USED_KEY: Final[Variable[ApiKey]] = Variable("otel_keyaudit_used_key")
"""The key that an enclosing :class:`use_key` set."""

_Lock = type(RLock())  # RLock itself is a function around it, which costs more than it does

NOTHING_SHOWN: Final[Mapping[str, Any]] = MappingProxyType({})
NOTHING_SHOWN_YET: Final = (NOTHING_SHOWN, NOTHING_SHOWN, NOTHING_SHOWN)
_ACCEPTED: Final[Mapping[str, Any]] = MappingProxyType({names.OUTCOME: names.ACCEPTED})


class RequestState:
    """What is known of one request.

    Args:
        spans: Shows every change on the server span, under the lock.
        scope: The ASGI scope or WSGI environ.
        within: The request inside whose call this one was made by a CONSUMER span.

    Attributes:
        aliases: What others made of the scope for a mounted application.
        lasts: It goes on after its call has returned, as its body is still read.
        has_consumers: Spans inside the call have made requests of their own.
        attribution: Whose the request is.
        presented: The credentials that it presented, as long as it is open.
        used_key: A key that was set by hand around or inside it.
        outcome: What the server span shows of how the last authentication ended.
        last_write: What it shows of the last audit write.
        full_key_id: Id of a key whose whole snapshot a row was given.
        server_span: The server span.
        recorded_span: The same, if it was recorded when it was opened.
        shown: The attributes that it shows: of the key, the outcome and the last write.
        shown_for: The attribution with which those of the key were found, ``None`` when they are to be found anew.
    """

    # Slots, each set for every request: a class's default is found more slowly, and there is one of these per request.
    __slots__ = (
        "__weakref__", "_accepted", "_before", "_spans", "aliases", "attribution", "full_key_id", "has_consumers",
        "is_open", "last_write", "lasts", "lock", "outcome", "presented", "recorded_span", "scope", "server_span",
        "shown", "shown_for", "used_key", "within",
    )  # fmt: skip

    def __init__(self, spans: Spans, scope: Any = None, within: RequestState | None = None) -> None:
        self._spans = spans
        self.scope = scope
        self.within = within
        self.lock = _Lock()
        self.is_open = True
        self.lasts = self.has_consumers = False
        self.attribution = NOTHING
        self.used_key: ApiKey | None = None
        self.full_key_id: str | None = None
        self.server_span: trace.Span | None = None
        self.recorded_span: trace.Span | None = None
        self.outcome = self.last_write = NOTHING_SHOWN
        self.shown: tuple[Mapping[str, Any], ...] = NOTHING_SHOWN_YET
        self.shown_for: Attribution | None = None
        self.aliases: tuple[Any, ...] = ()
        self.presented: tuple[str, ...] = ()
        self._accepted: Sequence[tuple[ApiKey | None, Any]] = ()
        self._before: Setting | None = None

    def __repr__(self) -> str:
        """Show whether it is open, nothing of what it holds."""
        return f"<RequestState {'open' if self.is_open else 'ended'}>"

    def __enter__(self) -> None:
        """Become the current request."""
        self._before = CALL.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, unless it lasts, and make the outer request the current one again."""
        if not self.lasts:
            self.close()
        if self._before is not None:
            CALL.reset(self._before)

    def accept(self, key: ApiKey | None, authentication: Any) -> None:
        """Take note of a key that an authentication returned; ``None`` for one whose id cannot be read.

        Args:
            key: The key.
            authentication: The call that returned it, whose attribute ``within`` is the one around it.
        """
        with self.lock:
            if self._accepted or key is None:
                self._accepted = accepted = with_one_more(self._acceptances(), key, authentication)
                self.attribution = attribution_of(accepted)
            else:  # the only one so far, as nearly always
                self._accepted = ((key, authentication.within),)
                self.attribution = Attribution(names.ATTRIBUTED, key, (key.id,))
            self.outcome = _ACCEPTED
            if self.recorded_span is not None:
                self._spans.show(self)

    def _acceptances(self) -> list[Acceptance]:
        return [Acceptance(*one) for one in self._accepted]

    def withdraw(self, authentication: object) -> ApiKey | None:
        """Forget what was accepted inside an authentication that then denied; return the last key among it."""
        with self.lock:
            accepted = self._acceptances()
            withdrawn = [one for one in accepted if one.is_within(authentication)]
            if withdrawn:
                self._accepted = accepted = [one for one in accepted if not one.is_within(authentication)]
                self.attribution = attribution_of(accepted)
            return next((one.key for one in reversed(withdrawn) if one.key is not None), None)

    def deny(self, reason: str, key_id: str | None) -> None:
        """Take note of an authentication that denied; the last outcome stands.

        Args:
            reason: Class of the exception, ``valid`` or ``false``.
            key_id: Id of a key that was found all the same.
        """
        shown = {names.OUTCOME: names.DENIED, names.DENIED_REASON: reason}
        with self.lock:
            self.outcome = shown if key_id is None else {**shown, names.DENIED_KEY_ID: key_id}
            self._spans.show(self)

    def wrote(self, last_write: Mapping[str, Any], full_key: ApiKey | None) -> None:
        """Take note of an audit write, and of a key whose whole snapshot its row was given."""
        self.last_write = last_write
        if full_key is None and self.recorded_span is None:
            return
        with self.lock:
            if full_key is not None:
                shown = self.attribution.key or self.used_key
                self.full_key_id = full_key.id if shown is not None and shown.id == full_key.id else self.full_key_id
                self.shown_for = None
            self._spans.show(self)

    def use(self, key: ApiKey | None) -> None:
        """Take note of a key that was set by hand."""
        with self.lock:
            self.used_key = key
            self.shown_for = None
            self._spans.show_alone(self)

    def opened(self, server_span: trace.Span | None, used: ApiKey | None) -> None:
        """Take note of the server span, and of the key that was set by hand around it."""
        with self.lock:
            self.server_span = server_span
            self.used_key = used
            if server_span is not None and server_span.is_recording():
                self.recorded_span = server_span
            if used is not None or self.outcome or self.last_write:
                self._spans.show_alone(self)

    def close(self) -> None:
        """End the request: from now on its key is given to nothing, and nothing of it is kept alive."""
        with self.lock:
            self.is_open = False
            if self.attribution is not NOTHING:
                self.attribution = ENDED
            self.scope = self.server_span = self.recorded_span = self.used_key = None
            self.aliases = self._accepted = self.presented = ()


def current_request() -> RequestState | None:
    """Return the request this code runs in: an open one, else one that has ended but whose context is still around."""
    call = CALL.get()
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
    call = CALL.get()
    return call if call is not None and call.is_open else None


def leave_used_key() -> Setting:
    """Leave a key that was set by hand behind, where a server starts a request in the context of the previous one."""
    return USED_KEY.set(USED_KEY.get() if CALL.get() is None else None)


def set_used_key(key: ApiKey) -> Setting:
    """Set a key as :class:`use_key` does, but show it on no span around."""
    return USED_KEY.set(key)


def restore_used_key(before: Setting) -> None:
    """Undo :func:`leave_used_key` or :func:`set_used_key`."""
    USED_KEY.reset(before)


def current_attribution(request: RequestState | None) -> Attribution:
    """Return whose a row is that is written now.

    Args:
        request: The request around, if there is one.
    """
    used = USED_KEY.get()
    if used is not None:
        return Attribution(names.ATTRIBUTED, used)
    return NOTHING if request is None else request.attribution


def current_key() -> ApiKey | None:
    """Return the key of the request this code runs in.

    Returns:
        The key set by :class:`use_key`, else the request's own; ``None`` when there is no key, when the request showed
        several, and after its end.
    """
    used = USED_KEY.get()
    if used is not None:
        return used
    request = current_request()
    return request.attribution.key if request is not None else None


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
        self._before: list[Setting] = []

    def __enter__(self) -> ApiKey | None:
        """Set the key, and show it on the server span around."""
        come_first()
        if self._key is not None:
            self._before.append(USED_KEY.set(self._key))
            request = current_request()
            if request is not None and request.is_open:
                request.use(self._key)
        return self._key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Set what was there before."""
        if self._before:
            USED_KEY.reset(self._before.pop())
