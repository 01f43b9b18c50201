"""Explains why code runs outside of every request, and what to do about it."""

from __future__ import annotations

import sys

_INSTRUMENTATIONS = {
    "aiohttp.web": "opentelemetry-instrumentation-aiohttp-server",
    "tornado.web": "opentelemetry-instrumentation-tornado",
    "grpc": "opentelemetry-instrumentation-grpc",
    "sanic": "opentelemetry-instrumentation-asgi (with Sanic under an ASGI server)",
    "pika": "opentelemetry-instrumentation-pika",
    "kafka": "opentelemetry-instrumentation-kafka-python",
    "confluent_kafka": "opentelemetry-instrumentation-confluent-kafka",
    "aiokafka": "opentelemetry-instrumentation-aiokafka",
    "celery": "opentelemetry-instrumentation-celery",
}
"""Packages whose requests are delimited by the SERVER or CONSUMER spans of an instrumentation, by module."""


def missing_instrumentation_hint() -> str:
    """Return how to delimit requests: with the instrumentation of a framework that is imported, or by hand."""
    by_hand = "put `with use_key(key):` around the work"
    found = [package for module, package in _INSTRUMENTATIONS.items() if module in sys.modules]
    if not found:
        return f"{by_hand}, or serve the application by ASGI or WSGI"
    return f"install and enable {' or '.join(found)}, or {by_hand}"
