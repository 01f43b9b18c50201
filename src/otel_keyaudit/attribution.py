"""Whose write is it: the key set by hand, the key of an open request, several, or none. Never a guess."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.trace import Span

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.request_state import RequestState, current_request, used_key


class Attribution(NamedTuple):
    """What a row can be given.

    Attributes:
        kind: ``attributed``, ``ambiguous``, ``none`` or ``failed``.
        key: The key, when attributed.
        ids: The ids, when ambiguous.
        request: The request around, open or ended.
        server_span: Its server span.
        has_ended: The request had a key, but has ended.
    """

    kind: str
    key: ApiKey | None = None
    ids: tuple[str, ...] = ()
    request: RequestState | None = None
    has_ended: bool = False

    @property
    def server_span(self) -> Span | None:
        """The server span of the request around."""
        return None if self.request is None else self.request.server_span

    def failed(self) -> Attribution:
        """Return what counts when the row could not be given what it should have."""
        return self if self.kind == names.NO_KEY else self._replace(kind=names.FAILED)


def attribute() -> Attribution:
    """Return what a row that is written now can be given."""
    request = current_request()
    used = used_key()
    if used is not None:
        return Attribution(names.ATTRIBUTED, key=used, request=request)
    if request is None:
        return Attribution(names.NO_KEY)
    with request.lock:
        if not request.is_open:
            ended = request.has_credential
            return Attribution(names.FAILED if ended else names.NO_KEY, request=request, has_ended=ended)
        if request.is_ambiguous:
            return Attribution(names.AMBIGUOUS_REQUEST, ids=request.ids, request=request)
        if request.key is not None:
            return Attribution(names.ATTRIBUTED, key=request.key, request=request)
        return Attribution(names.FAILED if request.has_credential else names.NO_KEY, request=request)
