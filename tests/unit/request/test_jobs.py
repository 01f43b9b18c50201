"""A key on its way to another thread or process: as a text that nothing but a key can be, and around the work."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.request.propagation import MAX_BYTES, Job, Jobs, begin_job, packed, unpacked
from support.keyaudit import KeyAudit

FULL = ApiKey("k_1", "Zoë", ["b:write", "a:read"], [], "u_1", "2026-11-23T16:00:00Z")


def of_length(size: int) -> ApiKey:
    """Return a key whose text has so many bytes."""
    scopes = [f"{number:05}" + "s" * 995 for number in range(size // 1_003)]
    rest = size - len(packed(ApiKey("k_1", scopes=[*scopes, ""])))
    return ApiKey("k_1", scopes=[*scopes, "r" * rest])


@pytest.mark.parametrize("key", [FULL, ApiKey("k_1"), ApiKey("k_1", scopes=[]), of_length(MAX_BYTES)])
def test_a_key_arrives_as_it_was(key: ApiKey) -> None:
    """All of it, as far as it is known; up to a length that every broker takes."""
    assert unpacked(packed(key)) == key


def test_some_fields_may_be_left_behind() -> None:
    """Those that are named go, if they are known."""
    assert packed(FULL, ("id", "name")) == '{"id":"k_1","name":"Zoë"}'
    assert packed(ApiKey("k_1"), ("id", "name")) == '{"id":"k_1"}'


def test_a_key_that_is_too_long_stays() -> None:
    """The error says what the limit is."""
    with pytest.raises(UnreadableError, match=r"^a key of more than 32,768 bytes is not handed over as a whole$"):
        packed(of_length(MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "a key comes as a text of limited length"),
        (b'{"id":"k_1"}', "a key comes as a text of limited length"),
        ('{"id":"k_1"}' + " " * MAX_BYTES, "a key comes as a text of limited length"),
        ('["id"]', "a key comes as an object with the fields of a key"),
        ('"id"', "a key comes as an object with the fields of a key"),
        ("{}", "a key comes as an object with the fields of a key"),
        ('{"name":"n"}', "a key comes as an object with the fields of a key"),
        ('{"id":"k_1","secret":"s"}', "a key comes as an object with the fields of a key"),
        ('{"id": "k_1"}', "a key comes in the form in which it was handed over"),
        ('{"id":1}', "a key comes in the form in which it was handed over"),
        ('{"name":"n","id":"k_1"}', "a key comes in the form in which it was handed over"),
        ('{"id":"k_1","name":null}', "a key comes in the form in which it was handed over"),
        ('{"id":"k_1","scopes":["a","a"]}', "a key comes in the form in which it was handed over"),
    ],
)
def test_what_was_not_handed_over_as_a_key_is_none(text: object, reason: str) -> None:
    """Whoever can send messages sends no key that way but such as this library writes."""
    with pytest.raises(UnreadableError) as caught:
        unpacked(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ["", "k_1", '{"id":"k_1"', '{"id":[]}', '{"id":""}'])
def test_what_is_no_text_of_a_key_is_an_error_of_its_value(text: str) -> None:
    """Whatever the parser, or the key itself, says."""
    with pytest.raises(ValueError, match=r".+"):
        unpacked(text)


def test_without_a_key_there_is_no_job() -> None:
    """The work is what it was."""
    jobs = Jobs(Faults(Metrics()))
    assert begin_job() is None
    assert jobs.with_key(print) is print


def test_a_job_has_its_key_until_it_is_put_down(caplog: pytest.LogCaptureFixture) -> None:
    """Or until its end; nothing is left of it, and nothing is logged."""
    job = Job(FULL)
    with use_key(ApiKey("k_2")):
        for puts_down in (True, False):
            with job:
                assert current_key() == FULL
                assert trace.get_current_span() is trace.INVALID_SPAN
                if puts_down:
                    job.put_down()
                    job.put_down()
                    assert current_key() == ApiKey("k_2")
            assert current_key() == ApiKey("k_2")
    assert caplog.records == []


def test_a_job_is_in_the_trace_of_its_request_unless_it_has_a_span(keyaudit: KeyAudit) -> None:
    """A worker that opens a span for each job knows better."""
    with keyaudit.tracer.start_as_current_span("request") as request:
        pass
    job: Any = Job(FULL, request.get_span_context())
    with job:
        assert trace.get_current_span().get_span_context() == request.get_span_context()
        assert not trace.get_current_span().is_recording()
    with keyaudit.tracer.start_as_current_span("job") as own, job:
        assert trace.get_current_span() is own
    assert trace.get_current_span() is trace.INVALID_SPAN
