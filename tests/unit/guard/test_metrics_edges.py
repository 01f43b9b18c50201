"""What the counters are called and say of themselves, what a full tally tells apart, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from otel_keyaudit.guard import metrics
from otel_keyaudit.guard.metrics import Tally, metrics_for
from otel_keyaudit.version import __version__
from support.keyaudit import KeyAudit, LoadModule

APP = """
def verify(key):
    if not key:
        raise PermissionError
    return {"id": key}

def record(additional_fields=None):
    return additional_fields
"""


def test_each_counter_says_what_it_counts(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """By its name, its unit and a description, under the name and version of this package."""
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
    with keyaudit.request():
        app.verify("k_1")
        app.record(7)
    data: Any = keyaudit.reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("otel_keyaudit", __version__)
    assert {metric.name: (metric.unit, metric.description) for metric in scope.metrics} == {
        "keyaudit.authentications": ("1", "Authentications, by outcome"),
        "keyaudit.audit.writes": ("1", "Calls of audit targets, by what could be attributed"),
        "keyaudit.degraded": ("1", "What went wrong in the instrumentation itself"),
    }


def test_an_authentication_counts_by_its_outcome(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """And by the class of an exception that denied it."""
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    app.verify("k_1")
    with pytest.raises(PermissionError):
        app.verify("")
    assert {attributes: value for (_, attributes), value in keyaudit.metrics().items()} == {
        frozenset({("keyaudit.outcome", "accepted")}): 1,
        frozenset({("keyaudit.outcome", "denied"), ("error.type", "PermissionError")}): 1,
    }


def test_a_full_tally_counts_what_is_new_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it knows counts as before, and so does what has no error."""
    monkeypatch.setattr(metrics, "MOST_COUNTS", 3)
    tally = Tally("stage", "detail", "error.type")
    for error in ("A", "B", "C", "D", "E", "A"):
        tally.add("audit", "x", error)
    tally.add("audit", "x", None)
    tally.add(None, "x", "A")
    tally.add(None, None, "A")
    counted = {tuple((one.attributes or {}).values()): one.value for one in tally.observe(CallbackOptions())}
    assert counted == {
        ("audit", "x", "A"): 2,
        ("audit", "x", "B"): 1,
        ("audit", "x", "C"): 1,
        ("audit", "x", "_OTHER"): 2,
        ("audit", "x"): 1,
        ("x", "_OTHER"): 1,
        ("_OTHER",): 1,
    }


def test_the_counters_of_the_global_provider_go_on_in_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first a stand-in is the global provider; the one that is set later has the same counts, any other has none."""
    first = metrics_for(None)
    assert metrics_for(get_meter_provider()) is first
    real, other = MeterProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: real)
    assert metrics_for(None) is metrics_for(real) is first
    assert metrics_for(other) is metrics_for(other) is not first
