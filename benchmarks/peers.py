"""What others charge for comparable work, where they are installed (``requirements/bench.txt``): measured, not quoted.

None of them does the same. Each is given one request's worth of what it can do: to say who it was, on a span.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from typing import Any

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span

from benchmarks.application import Key, make_key
from benchmarks.figures import Figure, Skipped
from benchmarks.measure import Effort, cpu_per_call, interleaved

Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""The work, and the same without what is to be measured."""


def peer_figures(effort: Effort) -> Iterator[Figure | Skipped]:
    """Measure each peer that is installed."""
    key = make_key()
    for name, title, make in (
        ("contrib", "contrib's server_request_hook with four attributes", contrib_hook),
        ("logfire", "Logfire's span with four attributes", logfire_span),
        ("ddtrace", "Datadog's track_user with metadata", datadog_track_user),
    ):
        try:
            work, without = make(key)
        except ImportError as error:
            yield Skipped(f"peer.{name}", f"{error.name} is not installed (requirements/bench.txt)")
            continue
        pair = {"work": work, "without": without}
        batches = {variant: partial(cpu_per_call, function, effort.calls) for variant, function in pair.items()}
        times = interleaved(batches, effort.rounds)
        yield Figure(f"peer.{name}", title, round(median(times["work"]) - median(times["without"]), 2), unit="µs")


def attributes_of(key: Key) -> dict[str, Any]:
    """Return what each peer is to show."""
    return {"key.id": key.id, "key.name": key.name, "key.scopes": key.scopes, "key.allow_list": key.allow_list}


def contrib_hook(key: Key) -> Pair:
    """Return contrib's ASGI middleware with a hook that shows the key, and without."""
    provider = TracerProvider(shutdown_on_exit=False)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing."""

    def hook(span: Span, scope: Any) -> None:
        for name, value in attributes_of(key).items():
            span.set_attribute(name, value)

    def request(middleware: OpenTelemetryMiddleware) -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "server": ("localhost", 80)}
        try:
            middleware(scope, None, None).send(None)  # type: ignore[arg-type]
        except StopIteration:
            return

    with_hook = OpenTelemetryMiddleware(application, tracer_provider=provider, server_request_hook=hook)
    without = OpenTelemetryMiddleware(application, tracer_provider=provider)
    return partial(request, with_hook), partial(request, without)


def logfire_span(key: Key) -> Pair:
    """Return a span of Logfire with the key, and nothing."""
    logfire = importlib.import_module("logfire")
    logfire.configure(send_to_logfire=False, console=False, metrics=False)

    attributes = {name.replace(".", "_"): value for name, value in attributes_of(key).items()}

    def work() -> None:
        with logfire.span("audit create", **attributes):
            pass

    return work, lambda: None


def datadog_track_user(key: Key) -> Pair:
    """Return a request of Datadog's tracer in which the user is tracked, and one in which nobody is."""
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
