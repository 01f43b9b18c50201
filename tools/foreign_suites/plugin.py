"""A pytest plugin that instruments the process with the options in FOREIGN_SUITE_OPTIONS before tests are imported."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

caller = SimpleNamespace(id="k_foreign", name="foreign suite", scopes=("tests:run",), allow_list=())


def instrument() -> Callable[[], str]:
    """Instrument with an SDK that records everything, and return a function that reports the observed calls."""
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - not in the run without the library
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    from otel_keyaudit import KeyAuditInstrumentor  # noqa: PLC0415

    instrumentor = KeyAuditInstrumentor()
    options = json.loads(os.environ["FOREIGN_SUITE_OPTIONS"])
    meter_provider = MeterProvider([InMemoryMetricReader()])
    instrumentor.instrument(tracer_provider=TracerProvider(), meter_provider=meter_provider, **options)

    def report() -> str:
        return json.dumps([[one.target, one.state, one.reason, one.calls] for one in instrumentor.status()])

    return report


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Instrument before the project's conftest.py imports anything."""
    if "FOREIGN_SUITE_OPTIONS" in os.environ:
        early_config.stash[REPORT] = instrument()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the states of the targets to the file that the runner reads."""
    if report := config.stash.get(REPORT, None):
        Path(os.environ["FOREIGN_SUITE_STATUS"]).write_text(report(), encoding="utf-8")


REPORT = pytest.StashKey[Callable[[], str]]()
