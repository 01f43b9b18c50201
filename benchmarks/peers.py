"""Measure the cost of comparable work in other products, if they are installed (``requirements/bench.txt``).

No other product does the same work. Each records the key or user of one request on a span, as far as it can.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from timeit import Timer
from typing import Any

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span

from benchmarks.application import Key, make_key
from benchmarks.figure import Figure
from benchmarks.requests import run

Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""The work, and the same work without the measured part."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each peer that is installed."""
    key = make_key()
    rounds, calls = (3, 10) if quick else (31, 100)
    for name, title, make in (
        ("contrib", "contrib's server_request_hook with four attributes (no row, no counters)", contrib_hook),
        ("logfire", "Logfire's span with four attributes (no row, no server span)", logfire_span),
        ("ddtrace", "Datadog's track_user with metadata (no row, no span of its own)", datadog_track_user),
    ):
        try:
            work, without = make(key)
        except ImportError as error:
            print(f"skipped: {error.name} is not installed (requirements/bench.txt)", file=sys.stderr)
            continue
        differences = [_microseconds(work, calls) - _microseconds(without, calls) for _ in range(rounds)]
        yield Figure(f"peer.{name}", f"CPU time of {title}, µs", median(differences))


def _microseconds(work: Callable[[], Any], calls: int) -> float:
    return Timer(work, timer=time.process_time).timeit(calls) / calls * 1e6


def attributes_of(key: Key) -> dict[str, Any]:
    """Return the attributes that each peer records."""
    return {"key.id": key.id, "key.name": key.name, "key.scopes": key.scopes, "key.allow_list": key.allow_list}


def contrib_hook(key: Key) -> Pair:
    """Return contrib's ASGI middleware with and without a hook that records the key."""
    provider = TracerProvider(shutdown_on_exit=False)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        """Send no response."""

    def hook(span: Span, scope: Any) -> None:
        for name, value in attributes_of(key).items():
            span.set_attribute(name, value)

    def request(middleware: OpenTelemetryMiddleware) -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "server": ("localhost", 80)}
        run(middleware(scope, None, None))  # type: ignore[arg-type]

    with_hook = OpenTelemetryMiddleware(application, tracer_provider=provider, server_request_hook=hook)
    without = OpenTelemetryMiddleware(application, tracer_provider=provider)
    return partial(request, with_hook), partial(request, without)


def logfire_span(key: Key) -> Pair:
    """Return a function that opens a Logfire span with the key, and a function that does nothing."""
    logfire = importlib.import_module("logfire")
    logfire.configure(send_to_logfire=False, console=False, metrics=False)

    attributes = {name.replace(".", "_"): value for name, value in attributes_of(key).items()}

    def work() -> None:
        with logfire.span("audit create", **attributes):
            pass

    return work, lambda: None


def datadog_track_user(key: Key) -> Pair:
    """Return a request of Datadog's tracer with and without a tracked user."""
    os.environ.update(DD_TRACE_AGENT_URL="http://127.0.0.1:1", DD_INSTRUMENTATION_TELEMETRY_ENABLED="false")
    os.environ.update(DD_APPSEC_ENABLED="true", DD_REMOTE_CONFIGURATION_ENABLED="false")
    tracer = importlib.import_module("ddtrace.trace").tracer
    track_user = importlib.import_module("ddtrace.appsec.track_user_sdk").track_user
    metadata = {name: str(value) for name, value in attributes_of(key).items()}

    def request(inside: Callable[[], AbstractContextManager[None]]) -> None:
        with tracer.trace("request", span_type="web"), inside():
            pass

    def tracked() -> AbstractContextManager[None]:
        track_user(key.name, user_id=key.id, metadata=metadata)
        return nullcontext()

    return partial(request, tracked), partial(request, nullcontext)
