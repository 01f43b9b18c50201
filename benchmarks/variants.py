"""The variants of a request that are compared: the plain request, code by hand, and the library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.metrics import Counter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from benchmarks import application
from benchmarks.by_hand import ByHand
from benchmarks.requests import Request, asgi_request
from otel_keyaudit import KeyAuditInstrumentor

ACTION: Final = ("create", "workspace", "w_1")
TARGETS: Final = {
    "auth_targets": ["benchmarks.application:verify"],
    "audit_targets": ["benchmarks.application:record"],
}
ROWS: Final = {"text": application.TEXT, "dict": application.FIELDS}
"""Additional fields as JSON text and as a dict. Each figure of a call is the mean of both."""


@dataclass(frozen=True)
class Scenario:
    """The conditions of a request.

    Attributes:
        telemetry: ``recorded``: spans are recorded; ``dropped``: the sampler drops them; ``none``: there is no SDK.
        audit_spans: Whether each write has a span.
    """

    telemetry: str = "recorded"
    audit_spans: bool = False

    @property
    def name(self) -> str:
        """The name in ``baseline.json``."""
        return f"{self.telemetry}.{'audit_span' if self.audit_spans else 'no_audit_span'}"

    @property
    def title(self) -> str:
        """The name for people."""
        telemetry = "no SDK" if self.telemetry == "none" else f"spans {self.telemetry}"
        return f"{telemetry}, {'with' if self.audit_spans else 'without'} audit span"


SCENARIOS: Final = tuple(
    Scenario(telemetry, spans) for telemetry in ("recorded", "dropped", "none") for spans in (False, True)
)


def tracer_provider(telemetry: str) -> TracerProvider | None:
    """Return the provider for a kind of telemetry; ``None`` is the API without an SDK."""
    if telemetry == "none":
        return None
    return TracerProvider(ALWAYS_OFF if telemetry == "dropped" else ALWAYS_ON, shutdown_on_exit=False)


def counters() -> tuple[Counter, Counter]:
    """Return the two counters of F3."""
    meter = MeterProvider(shutdown_on_exit=False).get_meter("benchmarks")
    return meter.create_counter("authentications"), meter.create_counter("writes")


def endpoint(fields: Any) -> Any:
    """Authenticate a request and write a row; the library adds the key."""
    application.verify(application.CREDENTIAL)
    return application.record(*ACTION, fields)


class Variants:
    """The variants of one request in one scenario.

    Args:
        scenario: The conditions.
        fields: The additional fields of its row.
    """

    def __init__(self, scenario: Scenario, fields: Any) -> None:
        self._scenario = scenario
        self._provider = tracer_provider(scenario.telemetry)
        tracer = trace.get_tracer("benchmarks", tracer_provider=self._provider)
        hands = {
            "F1": ByHand(tracer, scenario.audit_spans),
            "F2": ByHand(tracer, scenario.audit_spans, is_careful=True),
            "F3": ByHand(tracer, scenario.audit_spans, is_careful=True, counters=counters()),
        }
        endpoints: dict[str, Callable[[], Any]] = {
            "plain": partial(endpoint, fields),
            **{name: partial(hand.handle, application.CREDENTIAL, ACTION, fields) for name, hand in hands.items()},
            "ours": partial(endpoint, fields),
        }
        self._requests = {name: asgi_request(tracer, run) for name, run in endpoints.items()}

    @contextmanager
    def request(self, name: str) -> Iterator[Request]:
        """Yield the request of a variant. Only the variant ``ours`` is instrumented."""
        if name != "ours":
            yield self._requests[name]
            return
        with instrumented(self._provider, audit_spans=self._scenario.audit_spans):
            yield self._requests[name]


@contextmanager
def instrumented(provider: TracerProvider | None = None, **options: Any) -> Iterator[None]:
    """Instrument the application."""
    KeyAuditInstrumentor().instrument(tracer_provider=provider, **{**TARGETS, **options})
    try:
        yield
    finally:
        KeyAuditInstrumentor().uninstrument()
