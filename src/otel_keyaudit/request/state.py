"""The state of one request: its keys, the outcome of its authentication, its decisions, and its server span.

Authentication, authorization checks and audit writes share this state. Only its own methods change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from threading import RLock
from types import MappingProxyType
from typing import Any, Final

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.request.attribution import (
    ENDED,
    NO_DELEGATION,
    UNATTRIBUTED,
    Attribution,
    Delegation,
    OpenAuthentication,
)
from otel_keyaudit.request.decisions import DecisionLog
from otel_keyaudit.request.request_keys import RequestKeys
from otel_keyaudit.request.server_span import (
    DECISION,
    KEY,
    NO_ATTRIBUTES,
    OUTCOME,
    WRITE,
    Location,
    ServerSpan,
    ServerSpans,
    location_of,
)

_numbers = count(1)

_Lock = type(RLock())  # RLock itself is a Python function before 3.13

_ACCEPTED: Final[Mapping[str, Any]] = MappingProxyType({names.OUTCOME: names.ACCEPTED})

END_MARK: Final = "otel_keyaudit_opened"
"""Attribute of a span object whose end matters to a request."""

MAX_CREDENTIALS = 8
"""Maximum number of credentials that are remembered for one request."""

MAX_SUBJECTS = 1_024
"""Maximum number of stored keys whose snapshots are remembered for one request."""


class RequestState:
    """The state of one request.

    Args:
        spans: Serializes keys for server spans.
        scope: The ASGI scope or WSGI environ.

    Attributes:
        number: Identifies the request in this process.
        is_open: The request has not ended.
        lasts: The request goes on after its call returned, because the server still reads the response body.
        aliases: Scopes of mounted applications, derived from the scope of the request.
        attribution: The attribution of rows that are written in this request.
        presented: The credentials that the request presented; empty after its end.
        used_key: The key that :class:`use_key` set around or in the request.
        server_span: The server span.
        decisions: The decisions so far, ``None`` before the first.
        open_authentications: Calls whose key may be stored before they end.
    """

    # Class defaults: an ordinary request sets few of them.
    is_open = True
    lasts = False
    aliases: tuple[Any, ...] = ()
    attribution = UNATTRIBUTED
    presented: tuple[str, ...] = ()
    used_key: Attribution | None = None
    server_span: trace.Span | None = None
    decisions: DecisionLog | None = None
    open_authentications: tuple[Any, ...] = ()
    _shown: ServerSpan | None = None
    _keys: RequestKeys | None = None
    _subjects: dict[str, ApiKey] | None = None
    _full_key_id: str | None = None
    _is_outdated = False
    """A key was accepted or denied since the attribution began to be determined."""
    _outcome: Mapping[str, Any] = NO_ATTRIBUTES
    _last_write: Mapping[str, Any] = NO_ATTRIBUTES

    def __init__(self, spans: ServerSpans, scope: Any = None) -> None:
        self._spans = spans
        self.scope = scope
        self.number = next(_numbers)
        self._lock = _Lock()

    def __repr__(self) -> str:
        """Show whether the request is open, without its contents."""
        return f"<RequestState {'open' if self.is_open else 'ended'}>"

    # Authentication

    def accept(
        self,
        key: ApiKey | None,
        authentication: OpenAuthentication,
        delegation: Delegation = NO_DELEGATION,
        *,
        as_actor: bool = False,
    ) -> bool:
        """Record a key that an authentication accepted, ``None`` if its id is unreadable.

        Args:
            key: The key.
            authentication: The call that accepted it.
            delegation: The party on whose behalf the key acts, and its actors.
            as_actor: The target has ``role=actor``.

        Returns:
            Whether the key was recorded: the request may have ended meanwhile, in another thread.
        """
        with self._lock:
            if not self.is_open:
                return False
            keys = self._keys or RequestKeys(self._spans.max_items)
            keys = self._keys = self._keys or keys  # again, because a finalizer may accept a key meanwhile
            self._is_outdated = False
            self.attribution = keys.accept(key, delegation, authentication, as_actor=as_actor)
            self._outcome = _ACCEPTED
            if self._shown is not None:
                self._shown.show((KEY, self._key_attributes()), (OUTCOME, _ACCEPTED))
            if self._is_outdated:
                self._attribute_again(keys)
            self._is_outdated = True
            return True

    def _attribute_again(self, keys: RequestKeys) -> None:
        """Determine the attribution after a finalizer or a signal handler has accepted or denied a key meanwhile."""
        while self._is_outdated:
            self._is_outdated = False
            self.attribution = keys.attribution()
            self._show()

    def settle(self, authentication: OpenAuthentication) -> None:
        """Keep the keys that were accepted inside an authentication that ended without an outcome."""
        with self._lock:
            if self._keys is not None:
                self._keys.settle(authentication)
                self.attribution = self._keys.attribution()

    def deny(self, authentication: OpenAuthentication, reason: str, refused: ApiKey | None) -> ApiKey | None:
        """Record a denial. The last outcome of a request counts.

        Args:
            authentication: The call that denied. The keys that were accepted inside it are withdrawn.
            reason: Class of the exception, ``valid`` or ``false``.
            refused: The key that was read although the call denied.

        Returns:
            The key that was refused or withdrawn, if there was one.
        """
        with self._lock:
            if self._keys is not None:
                withdrawn = self._keys.withdraw(authentication)
                refused = refused or withdrawn
                self.attribution = self._keys.attribution()
                self._is_outdated = True
            self._outcome = {names.OUTCOME: names.DENIED, names.DENIED_REASON: reason}
            if refused is not None:
                self._outcome[names.DENIED_KEY_ID] = refused.id
            self._show()
            return refused

    def present(self, credentials: tuple[str, ...]) -> None:
        """Record credentials. Only the last ones are kept: a websocket may renew its token again and again."""
        with self._lock:
            if self.presented:
                credentials = tuple(dict.fromkeys((*self.presented, *credentials)))
            if self.is_open:
                self.presented = credentials[-MAX_CREDENTIALS:]

    def watch(self, authentication: Any) -> None:
        """Record an open authentication that may store its key before it ends."""
        with self._lock:
            self.open_authentications += (authentication,)
            self._mark_end()

    def _mark_end(self) -> None:
        """Have the keys read when the server span ends, because a middleware ends later than the response."""
        if self._shown is not None:
            setattr(self.server_span, END_MARK, self)

    def latest_attribution(self) -> Attribution:
        """Return the attribution of a row that is written now, also to a key that an open authentication has stored."""
        if self.open_authentications:
            self.read_open_keys()
        return self.attribution

    def read_open_keys(self) -> None:
        """Accept the keys that open authentications have stored so far: a row, a check or the span needs them now."""
        for authentication in self.open_authentications:
            authentication.read_early()

    def unwatch(self, authentication: Any) -> None:
        """Forget an authentication that has ended."""
        with self._lock:
            self.open_authentications = tuple(one for one in self.open_authentications if one is not authentication)

    # Decisions

    def decide(self, decision: Decision, *, max_items: int) -> None:
        """Record a decision about a key, and show it on the server span.

        Args:
            decision: The decision.
            max_items: Maximum length of a list on the span.
        """
        with self._lock:
            if self.decisions is None:
                self.decisions = DecisionLog()
            self.decisions.add(decision, max_items)
            if decision.outcome != names.GRANTED and self.attribution.key is not None:
                self._full_key_id = self.attribution.key.id
                self._show()
            elif self._shown is not None:
                self._shown.show((DECISION, self.decisions.shown))

    # Stored keys that the request changes

    def remember_subject(self, key: ApiKey, *, replaces: bool) -> None:
        """Remember a snapshot of a stored key.

        Args:
            key: The snapshot.
            replaces: A row about the key was written, so the snapshot replaces an earlier one.
        """
        with self._lock:
            subjects = {} if self._subjects is None else self._subjects
            if self.is_open and (replaces or key.id not in subjects):
                self._subjects = subjects
                subjects[key.id] = key
                if len(subjects) > MAX_SUBJECTS:
                    del subjects[next(iter(subjects))]

    def earlier_subject(self, key_id: str) -> ApiKey | None:
        """Return the remembered snapshot of a stored key."""
        subjects = self._subjects  # read once, because another thread may end the request
        return None if subjects is None else subjects.get(key_id)

    # Audit writes

    def wrote(self, last_write: Mapping[str, Any], full_key: ApiKey | None) -> None:
        """Record an audit write.

        Args:
            last_write: The attributes of the write for the server span; empty if the write has its own span.
            full_key: The key whose full snapshot the row received.
        """
        if full_key is None and last_write is self._last_write:
            return
        with self._lock:
            self._last_write = last_write
            if full_key is not None:
                shown = self.attribution.key or (self.used_key and self.used_key.key)
                if shown is not None and shown.id == full_key.id:
                    self._full_key_id = full_key.id
                self._show()
            elif self._shown is not None:
                self._shown.show((WRITE, last_write))

    # The server span, and the end

    def use(self, used_key: Attribution | None) -> None:
        """Record the key that :class:`use_key` set."""
        with self._lock:
            self.used_key = used_key
            self._show_guarded()

    def opened(self, server_span: trace.Span | None, used_key: Attribution | None) -> None:
        """Record the server span, and the key that :class:`use_key` set around it."""
        with self._lock:
            self.server_span = server_span
            self.used_key = used_key
            if server_span is not None and server_span.is_recording():
                self._shown = ServerSpan(server_span)
                if self.open_authentications:
                    self._mark_end()
                if used_key is not None or self._outcome or self._last_write:
                    self._show_guarded()

    @property
    def location(self) -> Location | None:
        """Trace and span id of the server span."""
        server_span = self.server_span
        return None if server_span is None else location_of(server_span)

    def _show_guarded(self) -> None:
        self._spans.guarded(self._show)

    @property
    def shows_lists_of(self) -> str | None:
        """The digest of the key whose lists are on the server span."""
        server_span = self._shown  # as above
        return None if server_span is None else server_span.lists_digest

    def _show(self) -> None:
        """Show the current key, outcome, write and decision on the server span."""
        if self._shown is not None:
            decision = NO_ATTRIBUTES if self.decisions is None else self.decisions.shown
            self._shown.show(
                (KEY, self._key_attributes()),
                (OUTCOME, self._outcome),
                (WRITE, self._last_write),
                (DECISION, decision),
            )

    def _key_attributes(self) -> Mapping[str, Any]:
        attribution = self.attribution
        if attribution is UNATTRIBUTED and self.used_key is not None:
            attribution = self.used_key
        return self._spans.of_key(attribution, self._full_key_id)

    def close(self) -> None:
        """End the request: later rows do not receive its key, and its objects are released."""
        with self._lock:
            if self._shown is not None and self._shown.changed:  # during a collection, when nothing is set
                self._spans.guarded(self._shown.show)
            self.is_open = False
            if self.attribution is not UNATTRIBUTED:
                self.attribution = ENDED
            self.scope = self.server_span = self._shown = self.used_key = None
            self._keys = self._subjects = None
            self.aliases = self.presented = self.open_authentications = ()
