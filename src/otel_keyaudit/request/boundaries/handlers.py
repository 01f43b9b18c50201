"""Create the handler of each entry point: a function that wraps the original function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request.boundaries.calls import CallBoundaries
from otel_keyaudit.request.boundaries.entry_points import EntryPoint
from otel_keyaudit.request.boundaries.pushed_contexts import PushedContexts
from otel_keyaudit.request.boundaries.spans import SpanBoundaries
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.workers.schedulers import starting_jobs
from otel_keyaudit.request.workers.shared_workers import putting, taking, taking_later


class Boundaries:
    """Delimits requests while the library is active.

    Args:
        spans: Shows the state of a request on its server span.
    """

    def __init__(self, spans: ServerSpans) -> None:
        boundaries = CallBoundaries(spans), SpanBoundaries(spans), PushedContexts(spans)
        self._handlers = dict(_WORKER_HANDLERS)
        for each in boundaries:
            self._handlers |= each.handlers

    def handler(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Create the handler for an entry point."""
        return self._handlers[entry.protocol](entry, original)


_WORKER_HANDLERS: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
    "jobs": lambda _, original: starting_jobs(original),
    "put": lambda entry, original: putting(entry.subject, original),
    "put_later": lambda entry, original: putting(entry.subject, original),
    "take": lambda entry, original: taking(entry.subject, original),
    "take_later": lambda entry, original: taking_later(entry.subject, original),
}
