"""A request without a server span."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import get_current

from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.key.snapshot import Snapshots
from otel_keyaudit.request.boundaries.running import leave
from otel_keyaudit.request.call_stack import task_or_thread
from otel_keyaudit.request.context import CALL, USED_KEY, Request
from otel_keyaudit.request.server_span import ServerSpans

MAX_ITEMS = 128
"""As in the default settings."""


def unseen_state() -> Request:
    """Return the state of a request that nobody runs in."""
    return Request(ServerSpans(Snapshots(None, MAX_ITEMS), always_full=False, faults=Faults(Metrics())))


@contextmanager
def unseen_request() -> Iterator[Request]:
    """Run a block as a request without a server span."""
    request = unseen_state()
    request.flow = task_or_thread()
    before = CALL.get(), USED_KEY.get(), get_current()
    CALL.set(request)
    try:
        yield request
    finally:
        leave(request, *before)
