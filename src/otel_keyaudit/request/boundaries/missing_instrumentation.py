"""Name the OpenTelemetry instrumentation that makes requests visible for frameworks without an entry point here."""

from __future__ import annotations

import sys
from typing import Final

_INSTRUMENTATIONS: Final = {
    "aiohttp.web": "opentelemetry-instrumentation-aiohttp-server",
    "tornado.web": "opentelemetry-instrumentation-tornado",
    "grpc": "opentelemetry-instrumentation-grpc",
    "sanic": "opentelemetry-instrumentation-sanic",
    "celery": "opentelemetry-instrumentation-celery",
    "aio_pika": "opentelemetry-instrumentation-aio-pika",
    "aiokafka": "opentelemetry-instrumentation-aiokafka",
    "confluent_kafka": "opentelemetry-instrumentation-confluent-kafka",
    "kafka": "opentelemetry-instrumentation-kafka-python",
    "pika": "opentelemetry-instrumentation-pika",
    "remoulade": "opentelemetry-instrumentation-remoulade",
}
"""Distributions that open a span for each request or message, by the module of the framework."""


def missing_instrumentation_hint() -> str:
    """Return the remedy for a key that was accepted outside of any request, as the end of a sentence."""
    by_hand = "put `with use_key(key):` around the work"
    imported = [(module, package) for module, package in _INSTRUMENTATIONS.items() if module in sys.modules]
    # An enabled instrumentation imports its framework even if the application does not use it.
    missing = [(module, package) for module, package in imported if _module(package) not in sys.modules]
    found = [f"{package} ({module} is imported)" for module, package in missing or imported]
    if missing:
        return f"install and enable {' or '.join(found)}, or {by_hand}"
    if imported:
        return f"{by_hand}, because {' or '.join(found)} opened no span of a request around it"
    return f"{by_hand}, or serve the application by ASGI or WSGI"


def _module(package: str) -> str:
    return package.replace("opentelemetry-instrumentation-", "opentelemetry.instrumentation.").replace("-", "_")
