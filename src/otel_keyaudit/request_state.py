"""Which key is this request's: the only shared state, and never a wrong answer.

A request's state is one mutable object. It travels in a ``ContextVar`` through tasks and copied contexts of worker
threads; what those threads find out is written into the object, where the rest of the request sees it. A context
outlives its request (a task, a pipelined request, a lazily started worker), so the object knows when that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


_CALL: Variable[RequestState] = Variable("otel_keyaudit_call")
_USED_KEY: Variable[ApiKey] = Variable("otel_keyaudit_used_key")
_Lock = type(RLock())  # RLock itself is a function around it, which costs more than it does

used_key: Callable[[], ApiKey | None] = _USED_KEY.get
"""Returns the key that an enclosing :class:`use_key` set."""

last_call: Callable[[], RequestState | None] = _CALL.get
"""Returns the ASGI or WSGI call that this code runs in, or the one that it was started in and that has ended."""

call_in_context: Callable[[], RequestState | None] = _CALL.in_context.get
"""The same, where no garbage is being collected."""

used_key_in_context: Callable[[], ApiKey | None] = _USED_KEY.in_context.get
"""The key that an enclosing :class:`use_key` set, where no garbage is being collected."""

NOTHING_SHOWN: Final[Mapping[str, Any]] = MappingProxyType({})
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
        shown: The attributes that it shows: of the key, the outcome and the last write.
    """

    is_open = True
    lasts = False
    has_consumers = False
    aliases: tuple[Any, ...] = ()
    attribution = NOTHING
    presented: tuple[str, ...] = ()
    used_key: ApiKey | None = None
    outcome = NOTHING_SHOWN
    server_span: trace.Span | None = None
    last_write = NOTHING_SHOWN
    full_key_id: str | None = None
    shown: tuple[Mapping[str, Any], ...] = (NOTHING_SHOWN, NOTHING_SHOWN, NOTHING_SHOWN)
    _acceptances: Sequence[Acceptance] = ()
    _before: Setting | None = None

    def __init__(self, spans: Spans, scope: Any = None, within: RequestState | None = None) -> None:
        self.scope = scope
        self.within = within
        self.lock = _Lock()
        self._spans = spans

    def __repr__(self) -> str:
        """Show whether it is open, nothing of what it holds."""
        return f"<RequestState {'open' if self.is_open else 'ended'}>"

    def __enter__(self) -> RequestState:
        """Become the current request."""
        self._before = _CALL.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, unless it lasts, and make the outer request the current one again."""
        if not self.lasts:
            self.close()
        if self._before is not None:
            _CALL.reset(self._before)

    def accept(self, key: ApiKey | None, authentication: Any) -> None:
        """Take note of a key that an authentication returned; ``None`` for one whose id cannot be read.

        Args:
            key: The key.
            authentication: The call that returned it, whose attribute ``within`` is the one around it.
        """
        with self.lock:
            if self._acceptances or key is None:
                self._acceptances = with_one_more(self._acceptances, key, authentication)
                self.attribution = attribution_of(self._acceptances)
            else:  # the only one so far, as nearly always
                self._acceptances = (Acceptance(key, authentication.within),)
                self.attribution = Attribution(names.ATTRIBUTED, key, (key.id,))
            self.outcome = _ACCEPTED
            self._spans.show(self)

    def withdraw(self, authentication: object) -> ApiKey | None:
        """Forget what was accepted inside an authentication that then denied; return the last key among it."""
        with self.lock:
            withdrawn = [one for one in self._acceptances if one.is_within(authentication)]
            if withdrawn:
                self._acceptances = [one for one in self._acceptances if not one.is_within(authentication)]
                self.attribution = attribution_of(self._acceptances)
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
        with self.lock:
            if full_key is not None:
                shown = self.attribution.key or self.used_key
                self.full_key_id = full_key.id if shown is not None and shown.id == full_key.id else self.full_key_id
            self.last_write = last_write
            self._spans.show(self)

    def use(self, key: ApiKey | None) -> None:
        """Take note of a key that was set by hand."""
        with self.lock:
            self.used_key = key
            self._spans.show_alone(self)

    def opened(self, server_span: trace.Span | None, used: ApiKey | None) -> None:
        """Take note of the server span, and of the key that was set by hand around it."""
        with self.lock:
            self.server_span = server_span
            self.used_key = used
            if used is not None or self.outcome or self.last_write:
                self._spans.show_alone(self)

    def close(self) -> None:
        """End the request: from now on its key is given to nothing, and nothing of it is kept alive."""
        with self.lock:
            self.is_open = False
            if self.attribution is not NOTHING:
                self.attribution = ENDED
            self.scope = self.server_span = self.used_key = None
            self.aliases = self._acceptances = self.presented = ()


def current_request() -> RequestState | None:
    """Return the request this code runs in: an open one, else one that has ended but whose context is still around."""
    call = last_call()
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
    call = last_call()
    return call if call is not None and call.is_open else None


def enter_call(state: RequestState) -> Setting:
    """Make a request the current one; give what is returned to :func:`leave_call` in the same frame."""
    return _CALL.set(state)


def leave_call(before: Setting) -> None:
    """Make the outer request the current one again."""
    _CALL.reset(before)


def leave_used_key() -> Setting:
    """Leave a key that was set by hand behind, where a server starts a request in the context of the previous one."""
    return _USED_KEY.set(_USED_KEY.get() if _CALL.get() is None else None)


def set_used_key(key: ApiKey) -> Setting:
    """Set a key as :class:`use_key` does, but show it on no span around."""
    return _USED_KEY.set(key)


def restore_used_key(before: Setting) -> None:
    """Undo :func:`leave_used_key` or :func:`set_used_key`."""
    _USED_KEY.reset(before)


def current_attribution(request: RequestState | None) -> Attribution:
    """Return whose a row is that is written now.

    Args:
        request: The request around, if there is one.
    """
    used = used_key()
    if used is not None:
        return Attribution(names.ATTRIBUTED, used)
    return NOTHING if request is None else request.attribution


def current_key() -> ApiKey | None:
    """Return the key of the request this code runs in.

    Returns:
        The key set by :class:`use_key`, else the request's own; ``None`` when there is no key, when the request showed
        several, and after its end.
    """
    used = used_key()
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
            self._before.append(_USED_KEY.set(self._key))
            request = current_request()
            if request is not None and request.is_open:
                request.use(self._key)
        return self._key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Set what was there before."""
        if self._before:
            _USED_KEY.reset(self._before.pop())
