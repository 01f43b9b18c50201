"""Set a key by hand: in a worker, a script, a test."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.key import canonical
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import Delegation
from otel_keyaudit.request.context import USED_KEY, Request, UsedKey, attribution_of, current_request, used_key
from otel_keyaudit.request.first_request import prepare_first_request
from otel_keyaudit.request.reports import report_left_elsewhere


class use_key:  # noqa: N801 - a context manager, named like those of contextlib
    """Set the key by hand for a block. It overrides the key of the request.

    A block inside a request ends with the request at the latest. In a task or thread that the application started, it
    lasts until the block is left.

    Args:
        key: The key; ``None`` sets nothing.
        on_behalf_of: The party on whose behalf the key acts.
        actors: The parties through which the key acts, the current actor first.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A string is longer than 16,384 characters.

    Example:
        ``with use_key(current_key()):`` around work that outlives the request.
    """

    def __init__(
        self, key: ApiKey | None, *, on_behalf_of: str | None = None, actors: Sequence[str] | None = None
    ) -> None:
        if key is not None and not isinstance(key, ApiKey):
            raise TypeError(f"use_key takes an ApiKey or None, not {type(key).__name__}")
        if on_behalf_of is not None and not isinstance(on_behalf_of, str):
            raise TypeError(f"on_behalf_of takes a string or None, not {type(on_behalf_of).__name__}")
        self._key = key
        through = _checked(actors)
        party = None if on_behalf_of is None else canonical.as_string(on_behalf_of)
        self._delegation = Delegation(party, through, len(through))
        self._entered: list[tuple[UsedKey, UsedKey | None, UsedKey | None, Any]] = []

    def __enter__(self) -> ApiKey | None:
        """Set the key, and show it on the server span around the block."""
        prepare_first_request()
        if self._key is not None:
            request = current_request()
            used = self._used(self._key, request)
            self._entered.append((used, used_key(), USED_KEY.get(), USED_KEY.set(used)))
            if request is not None and request.is_open:
                request.use(attribution_of(used))
        return self._key

    def _used(self, key: ApiKey, request: Request | None) -> UsedKey:
        is_job = request is not None and not (request.is_open and quietly(request.is_own_flow))
        return UsedKey(key, self._delegation, request=request, is_job=is_job)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the previous key."""
        if not self._entered:
            return
        used, outer, before, setting = self._entered.pop()
        current = USED_KEY.get()
        if current is not used:  # an inner block is still open, or this is another context
            if current is before and not used.has_ended_with_request():
                report_left_elsewhere()
            used.leave(outer)
            return
        USED_KEY.reset(setting)
        if USED_KEY.get() is used:
            used.leave(outer)
            report_left_elsewhere()


def _checked(actors: Sequence[str] | None) -> tuple[str, ...]:
    """Return the actors as a tuple.

    Raises:
        TypeError: The actors are not a list of strings.
        ValueError: An actor is longer than 16,384 characters.
    """
    if actors is None:
        return ()
    if isinstance(actors, str) or not isinstance(actors, Sequence):
        raise TypeError(f"actors takes a list of strings or None, not {type(actors).__name__}")
    for actor in actors:
        if not isinstance(actor, str):
            raise TypeError(f"actors takes a list of strings, not of {type(actor).__name__}")
    return canonical.as_strings(actors)
