"""A request that is on no span."""

from otel_keyaudit.request.context import running
from otel_keyaudit.request.state import RequestState


class _NoSpans:
    """Shows nothing."""

    def show(self, state: RequestState) -> None:
        """Show nothing."""

    show_alone = show


def unseen_request() -> running:
    """Return a block that runs as a request without a server span."""
    return running(RequestState(_NoSpans()))
