"""A request that is on no span."""

from otel_keyaudit.request_state import RequestState


class _NoSpans:
    """Shows nothing."""

    def show(self, state: RequestState) -> None:
        """Show nothing."""

    show_alone = show


def unseen_request() -> RequestState:
    """Return the state of a request without a server span."""
    return RequestState(_NoSpans())
