"""Tell which OpenTelemetry instrumentation would make requests visible that no entry point of ours delimits."""

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
    """Return the remedy for a key that was accepted outside of every request, as the end of a sentence."""
    remedies = [
        f"install and activate {instrumentation} ({module} is imported)"
        for module, instrumentation in _INSTRUMENTATIONS.items()
        if module in sys.modules
    ]
    remedies.append("put `with use_key(key):` around the work")
    return ", or ".join(remedies)
