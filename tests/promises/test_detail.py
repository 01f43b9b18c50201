"""Sampling changes how much of a key a row has, and never whether a row exists or which key it names."""

from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from otel_keyaudit import AuditEvent
from otel_keyaudit.testing import Recorder

MINIMAL = {"id", "name", "digest", "detail", "trace_id", "span_id"}


def write(recorder: Recorder, shop: Any, requests: int) -> list[tuple[str, dict[str, Any]]]:
    """Serve requests that write five rows each, every other one of a selected action; return action and member."""
    for number in range(requests):
        with recorder.request():
            shop.verify(shop.ci_bot(f"k_{number}"))
            for step in range(5):
                action = "delete" if (number + step) % 2 else "read"
                shop.record(action, {"action": action})
    return [(row["action"], row["request_api_key"]) for row in shop.ROWS]


@pytest.mark.parametrize(
    "trace_sampler",
    [ALWAYS_ON, ALWAYS_OFF, TraceIdRatioBased(0.1), ParentBased(ALWAYS_OFF)],
    ids=Sampler.get_description,
)
def test_every_row_names_its_key(shop: Any, trace_sampler: Sampler) -> None:
    """Of 5,000 rows the selected ones are full, and all others have exactly the members of a minimal row."""
    recorder = Recorder(strict=False, keep_rows=False, trace_sampler=trace_sampler)
    shop.instrument(recorder, sampler="actions", sampler_arg="del*")
    rows = write(recorder, shop, 1000)
    assert [member["id"] for _, member in rows] == [f"k_{number // 5}" for number in range(5000)]
    for action, member in rows:
        wanted = MINIMAL | {"scopes", "allow_list"} if action == "delete" else MINIMAL
        assert member.keys() == wanted
    assert recorder.writes()["attributed"] == 5000
    assert recorder.errors() == {}


def test_a_sampler_that_raises_makes_every_row_full(recorder: Recorder, shop: Any) -> None:
    """Each failure counts, and no row lacks a member."""

    def fail(event: AuditEvent) -> object:
        raise LookupError

    shop.instrument(recorder, sampler=fail)
    rows = write(recorder, shop, 20)
    assert [member["detail"] for _, member in rows] == ["full"] * 100
    assert recorder.errors() == {("sampling", "LookupError"): 100}
