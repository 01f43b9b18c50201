"""Sampling changes how much of a key a row has, and never whether a row exists or which key it names."""

from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from otel_keyaudit import AuditEvent
from otel_keyaudit.testing import Recorder
from support.modules import LoadModule

APP = """
class Key:
    def __init__(self, id):
        self.id = id
    name = "ci-bot"
    scopes = ["a:read"]
    allow_list = ["a:1"]

ROWS = []

def verify(key_id):
    return Key(key_id)

def record(action, additional_fields=None):
    ROWS.append((action, additional_fields["request_api_key"]))
"""
MINIMAL = {"id", "name", "digest", "detail", "trace_id", "span_id"}


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose rows need a key."""
    return load_module(APP)


def write(recorder: Recorder, app: Any, requests: int) -> None:
    """Serve requests that write five rows each, every other one of a selected action."""
    for number in range(requests):
        with recorder.request():
            app.verify(f"k_{number}")
            for step in range(5):
                app.record("delete" if (number + step) % 2 else "read", {})


@pytest.mark.parametrize(
    "trace_sampler",
    [ALWAYS_ON, ALWAYS_OFF, TraceIdRatioBased(0.1), ParentBased(ALWAYS_OFF)],
    ids=Sampler.get_description,
)
def test_every_row_names_its_key(app: Any, trace_sampler: Sampler) -> None:
    """Of 5,000 rows the selected ones are full, and all others have exactly the members of a minimal row."""
    recorder = Recorder(strict=False, keep_rows=False, trace_sampler=trace_sampler)
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:record"],
        sampler="actions",
        sampler_arg="del*",
    )
    write(recorder, app, 1000)
    assert [member["id"] for _, member in app.ROWS] == [f"k_{number // 5}" for number in range(5000)]
    for action, member in app.ROWS:
        wanted = MINIMAL | {"scopes", "allow_list"} if action == "delete" else MINIMAL
        assert member.keys() == wanted
    assert recorder.writes()["attributed"] == 5000
    assert recorder.errors() == {}


def test_a_sampler_that_raises_makes_every_row_full(recorder: Recorder, app: Any) -> None:
    """Each failure counts, and no row lacks a member."""

    def fail(event: AuditEvent) -> object:
        raise LookupError

    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"], sampler=fail)
    write(recorder, app, 20)
    assert {member["detail"] for _, member in app.ROWS} == {"full"}
    assert recorder.errors() == {("sampling", "LookupError"): 100}
