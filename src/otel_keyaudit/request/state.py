"""The state of one request: its key, outcome and last write, and what its server span shows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from types import MappingProxyType
from typing import Any, Final, Protocol

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import ENDED, NOTHING, Acceptance, Attribution, attribution_of, with_one_more


class Spans(Protocol):
    """Shows requests on their server spans."""

    def show(self, state: RequestState) -> None:
        """Show what is true of a request now; what fails is the caller's to count."""

    def show_alone(self, state: RequestState) -> None:
        """Do the same outside of any call of a target; nothing fails."""


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
        "__weakref__", "_accepted", "_spans", "aliases", "attribution", "full_key_id", "has_consumers",
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

    def __repr__(self) -> str:
        """Show whether it is open, nothing of what it holds."""
        return f"<RequestState {'open' if self.is_open else 'ended'}>"

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
