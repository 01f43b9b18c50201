"""KeyHandover: the work that runs elsewhere with the key of the request that handed it over."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.request.context import UsedKey
from otel_keyaudit.request.workers.propagation import Job, KeyHandover, begin_job
from otel_keyaudit.testing import Recorder

FULL = ApiKey("k_1", "Zoë", ["b:write", "a:read"], [], "u_1", "2026-11-23T16:00:00Z")


def used() -> UsedKey:
    """Return a key as a job carries it, in the process that uses it."""
    return UsedKey(FULL, is_job=True)


def test_without_a_key_there_is_no_job() -> None:
    """The work itself is returned."""
    handover = KeyHandover(Faults(Metrics()))
    assert begin_job() is None
    assert handover.with_key(print) is print


def test_job_has_its_key_until_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """Afterwards the outer key is current again, and nothing is logged."""
    job = Job(used())
    with use_key(ApiKey("k_2")):
        for _ in range(2):
            with job:
                assert current_key() == FULL
                assert trace.get_current_span() is trace.INVALID_SPAN
            assert current_key() == ApiKey("k_2")
    assert caplog.records == []


def test_a_job_is_in_the_trace_of_its_request_unless_it_has_a_span(recorder: Recorder) -> None:
    """A worker that opens a span for each job has the better trace."""
    with recorder.tracer.start_as_current_span("request") as request:
        pass
    job: Any = Job(used(), request.get_span_context())
    with job:
        assert trace.get_current_span().get_span_context() == request.get_span_context()
        assert not trace.get_current_span().is_recording()
    with recorder.tracer.start_as_current_span("job") as own, job:
        assert trace.get_current_span() is own
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_job_without_a_key_restores_the_key_around() -> None:
    """A key that a job sets by hand and does not leave ends with the job."""
    with use_key(ApiKey("k_2")):
        with Job(None):
            use_key(FULL).__enter__()
            assert current_key() == FULL
        assert current_key() == ApiKey("k_2")
