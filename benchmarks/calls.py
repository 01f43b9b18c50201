"""CPU added to one authenticated and audited call, ours against the same by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import Tracer

from benchmarks import application, by_hand
from benchmarks.figures import Figure
from benchmarks.measure import Batch, Effort, added, cpu_per_call, interleaved
from benchmarks.requests import Endpoint, Request, asgi_request, span_request
from otel_keyaudit import KeyAuditInstrumentor

VARIANTS = ("plain", "by hand", "ours")
ROWS = {"text": application.TEXT, "dict": application.FIELDS}
WARM_UP = 20
ACTION = ("create", "workspace", "w_1")
TARGETS = {
    "auth_targets": ["benchmarks.application:verify"],
    "audit_targets": ["benchmarks.application:record"],
}


@dataclass(frozen=True)
class Scenario:
    """Under which circumstances calls are measured.

    Attributes:
        telemetry: ``recorded``, ``dropped`` by the trace sampler, or ``none``: no SDK is configured.
        audit_spans: With an audit span for each write.
        times: How many times the scopes and the allow list.
        request: Makes a request.
    """

    name: str
    title: str
    goal: float | None
    telemetry: str
    audit_spans: bool
    times: int = 1
    request: Callable[[Tracer, Endpoint], Request] = asgi_request


SCENARIOS = (
    Scenario("call.recorded.no_audit_span", "call, spans recorded, audit_spans=false", 1.0, "recorded", False),
    Scenario("call.recorded.audit_span", "call, spans recorded, with the audit span", 1.0, "recorded", True),
    Scenario("call.dropped.no_audit_span", "call, spans dropped, audit_spans=false", 1.2, "dropped", False),
    Scenario("call.dropped.audit_span", "call, spans dropped, with the audit span", 1.2, "dropped", True),
    Scenario("call.no_sdk.no_audit_span", "call, no SDK, audit_spans=false", 1.2, "none", False),
    Scenario("call.no_sdk.audit_span", "call, no SDK, with the audit span", 1.2, "none", True),
)
SPAN_ONLY = tuple(
    replace(one, name=f"{one.name}.span_only", title=f"{one.title}; request by its span alone", request=span_request)
    for one in SCENARIOS[:2]
)
LARGE = tuple(
    replace(one, name=f"{one.name}.10x", title=f"{one.title}; 10 x the lists", goal=None, times=10)
    for one in SCENARIOS[:2]
)


def call_figures(effort: Effort) -> Iterator[Figure]:
    """Measure every scenario, and the same key with ten times the lists."""
    figures = {one.name: measured(one, effort) for one in (*SCENARIOS, *SPAN_ONLY, *LARGE)}
    yield from figures.values()
    for small, large in zip(SCENARIOS, LARGE, strict=False):
        yield growth(small, figures[small.name], figures[large.name])


def measured(scenario: Scenario, effort: Effort) -> Figure:
    """Measure one scenario: the ratio of what ours and code by hand add, JSON text and dict summed."""
    application.present(application.make_key(scenario.times))
    bench = Bench(scenario)
    bench.check_rows()
    batches = {f"{variant} {rows}": bench.batch(variant, rows, effort.calls) for variant in VARIANTS for rows in ROWS}
    times = interleaved(batches, effort.rounds)
    cost = {
        f"{variant} {rows}": added(times[f"{variant} {rows}"], times[f"plain {rows}"])
        for variant in VARIANTS[1:]
        for rows in ROWS
    }
    ours, hand = (sum(cost[f"{variant} {rows}"] for rows in ROWS) for variant in ("ours", "by hand"))
    details = {f"{name}, µs": round(value, 2) for name, value in cost.items()}
    return Figure(scenario.name, scenario.title, ours / hand, scenario.goal, details=details)


def growth(scenario: Scenario, small: Figure, large: Figure) -> Figure:
    """Return how much more a call of ours costs with ten times the lists, and the same by hand."""

    def ratio(variant: str) -> float:
        one, ten = (sum(figure.details[f"{variant} {rows}, µs"] for rows in ROWS) for figure in (small, large))
        return float(ten / one)

    span = "with the audit span" if scenario.audit_spans else "audit_spans=false"
    return Figure(
        f"growth.{scenario.name.rpartition('.')[2]}",
        f"10 x the lists against 1 x, {span}",
        ratio("ours"),
        1.5,
        details={"by hand": round(ratio("by hand"), 3)},
    )


def tracer_provider(telemetry: str) -> TracerProvider | None:
    """Return the provider for a kind of telemetry; ``None`` is the API without an SDK, as nothing is set globally."""
    if telemetry == "none":
        return None
    return TracerProvider(ALWAYS_OFF if telemetry == "dropped" else ALWAYS_ON, shutdown_on_exit=False)


@contextmanager
def instrumented(provider: TracerProvider | None, **options: Any) -> Iterator[None]:
    """Have the library on for a while; code by hand is measured without it."""
    KeyAuditInstrumentor().instrument(tracer_provider=provider, **{**TARGETS, **options})
    try:
        yield
    finally:
        KeyAuditInstrumentor().uninstrument()


class Bench:
    """The requests of a scenario.

    Args:
        scenario: Under which circumstances.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.provider = tracer_provider(scenario.telemetry)
        self.tracer = trace.get_tracer("benchmarks", tracer_provider=self.provider)

    def request(self, variant: str, rows: str) -> Request:
        """Return a request whose endpoint authenticates and writes a row."""
        endpoint = self._by_hand if variant == "by hand" else _endpoint
        return self.scenario.request(self.tracer, partial(endpoint, ROWS[rows]))

    def _by_hand(self, fields: Any) -> Any:
        key = by_hand.authenticate(application.CREDENTIAL)
        if self.scenario.audit_spans:
            return by_hand.record_in_span(self.tracer, key, *ACTION, fields)
        return by_hand.record(key, *ACTION, fields)

    def switched(self, variant: str) -> Any:
        """Return a context in which the library is on for ours and off for the others."""
        if variant != "ours":
            return nullcontext()
        return instrumented(self.provider, audit_spans=self.scenario.audit_spans)

    def batch(self, variant: str, rows: str, calls: int) -> Batch:
        """Return what measures a number of requests, after some that warm up."""
        request = self.request(variant, rows)

        def run() -> float:
            with self.switched(variant):
                cpu_per_call(request, WARM_UP)
                return cpu_per_call(request, calls)

        return run

    def check_rows(self) -> None:
        """Make sure that both write the same rows, or the comparison is worth nothing."""
        for rows in ROWS:
            written = {variant: self._member(variant, rows) for variant in VARIANTS}
            if written["plain"] is not None or written["ours"] != written["by hand"] or written["ours"] is None:
                raise AssertionError(f"{self.scenario.name}: the rows differ: {written}")

    def _member(self, variant: str, rows: str) -> Any:
        with self.switched(variant):
            row = self.request(variant, rows)()
        row = json.loads(row) if isinstance(row, str) else row
        return _comparable(row.get("request_api_key"))


def _endpoint(fields: Any) -> Any:
    application.verify(application.CREDENTIAL)
    return application.record(*ACTION, fields)


def _comparable(member: dict[str, Any] | None) -> Any:
    """Return a member with the span's ids, which differ from request to request, as how long they are."""
    if member is None:
        return None
    return {name: len(value) if name in ("trace_id", "span_id") else value for name, value in member.items()}
