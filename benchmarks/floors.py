"""Physical floors: what the parts cost that nobody can do without, beside which the library's own time can be seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from statistics import median
from typing import Any

import orjson
import wrapt
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from benchmarks import application
from benchmarks.calls import ACTION
from benchmarks.figures import Figure
from benchmarks.measure import Effort, cpu_per_call, interleaved
from otel_keyaudit import ApiKey, names
from otel_keyaudit.key.snapshot import Snapshot
from otel_keyaudit.patching.code_exchange import Hook, handled_code

CALLS = 10
"""How many times the calls of an effort: a floor is a small thing."""

SEVEN = {f"keyaudit.attribute_{index}": f"value {index}" for index in range(7)}
HUNDRED = {"keyaudit.key.scopes": tuple(f"workspace:action_{index}" for index in range(100))}


def floor_figures(effort: Effort) -> Iterator[Figure]:
    """Measure every part; an empty loop's turn is subtracted."""
    parts = _parts()
    batches = {title: partial(cpu_per_call, function, effort.calls * CALLS) for title, function in parts.items()}
    times = interleaved(batches, effort.rounds)
    empty = median(times["nothing"])
    for title in parts:
        if title != "nothing":
            yield Figure(f"floor.{title}", title, round(median(times[title]) - empty, 3), unit="µs")


def _parts() -> dict[str, Callable[[], Any]]:
    recording = TracerProvider(shutdown_on_exit=False).get_tracer("benchmarks")
    dropping = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("benchmarks")
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("benchmarks")
    counter = meter.create_counter("benchmarks")
    variable: ContextVar[int | None] = ContextVar("benchmarks", default=None)
    span = recording.start_span("floor")
    key = application.make_key()
    snapshot = Snapshot(ApiKey(key.id, key.name, key.scopes, key.allow_list), None, max_items=128)
    of_key = {**snapshot.shown_full, names.OUTCOME: names.ACCEPTED}
    of_write = dict(zip((names.ACTION, names.RESOURCE_TYPE, names.RESOURCE_ID), ACTION, strict=True))
    arguments = (*ACTION, application.FIELDS)

    def plain(action: str, kind: str, name: str, fields: Any = None) -> Any:
        return fields

    def exchanged(action: str, kind: str, name: str, fields: Any = None) -> Any:
        return fields

    exchanged.__code__ = handled_code(exchanged.__code__, Hook(lambda args, kwargs: plain(*args, **kwargs)))
    wrapped = wrapt.FunctionWrapper(plain, lambda function, instance, args, kwargs: function(*args, **kwargs))

    def set_and_reset() -> None:
        variable.reset(variable.set(1))

    return {
        "nothing": lambda: None,
        "a plain call": lambda: plain(*arguments),
        "a call through our trampoline": lambda: exchanged(*arguments),
        "a call through wrapt": lambda: wrapped(*arguments),
        "a context variable set and reset": set_and_reset,
        "one set_attribute": lambda: span.set_attribute("keyaudit.key.id", "k_7Qm"),
        "one set_attributes of 7": lambda: span.set_attributes(SEVEN),
        "the ten attributes of a call": lambda: (span.set_attributes(of_key), span.set_attributes(of_write)),
        "one set_attributes of a list of 100": lambda: span.set_attributes(HUNDRED),
        "one span": lambda: recording.start_span("floor", kind=SpanKind.INTERNAL).end(),
        "one span with 7 attributes": lambda: recording.start_span("floor", attributes=SEVEN).end(),
        "one dropped span": lambda: dropping.start_span("floor", attributes=SEVEN).end(),
        "one Counter.add": lambda: counter.add(1, {"keyaudit.outcome": "accepted"}),
        "json.loads and dumps of the row": lambda: json.dumps(json.loads(application.TEXT)),
        "orjson.loads of the row": lambda: orjson.loads(application.TEXT),
        "a copy of the row as a dict": application.FIELDS.copy,
    }
