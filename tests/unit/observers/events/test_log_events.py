"""Log events, through the SDK's own logger provider."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider

from otel_keyaudit.testing import Recorder
from support.environment.log_events import recording_provider


class Events:
    """Instruments with a logger provider, and returns the records."""

    def __init__(self, recorder: Recorder, shop: Any, authz: str = "require", **options: Any) -> None:
        provider, self.exporter = recording_provider()
        shop.instrument(recorder, authz_targets=[f"{shop.__name__}:{authz}"], logger_provider=provider, **options)

    @property
    def records(self) -> list[Any]:
        """The records so far."""
        return [one.log_record for one in self.exporter.get_finished_logs()]


def test_denied_authentication(recorder: Recorder, shop: Any) -> None:
    """A warning in the trace of the request, with the reason and no body."""
    events = Events(recorder, shop, events="denials")
    with recorder.request() as span, pytest.raises(PermissionError):
        shop.verify(None, PermissionError())
    (record,) = events.records
    assert (record.event_name, record.severity_number, record.body) == ("keyaudit.denial", SeverityNumber.WARN, None)
    assert dict(record.attributes) == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "PermissionError"}
    assert record.trace_id == span.get_span_context().trace_id


@pytest.mark.parametrize(("error", "severity"), [(PermissionError(), "WARN"), (RuntimeError(), "ERROR")])
def test_refused_decision(recorder: Recorder, shop: Any, error: Exception, severity: str) -> None:
    """A denial is a warning, a failed check an error; both name the key and the decision."""
    events = Events(recorder, shop, events=["denials"])
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.require("a:read")
        with pytest.raises(type(error)):
            shop.require("a:delete", error)
    (record,) = events.records
    assert record.severity_number is SeverityNumber[severity]
    assert record.attributes["keyaudit.key.id"] == "k_1"
    assert tuple(record.attributes["keyaudit.decision.required"]) == ("a:delete",)


def test_decision_about_a_refused_key(recorder: Recorder, shop: Any) -> None:
    """The function also authenticates and refused the key, so both events name it as refused."""
    events = Events(recorder, shop, authz="verify?granted=return.active", auth="?valid=active", events="denials")
    with recorder.request():
        shop.verify(shop.Key("k_1", active=False))
    for record in events.records:
        assert "keyaudit.key.id" not in record.attributes
    assert [record.attributes["keyaudit.denied.key.id"] for record in events.records] == ["k_1", "k_1"]


def test_audit_write(recorder: Recorder, shop: Any) -> None:
    """The attributes of the audit span, with the lists of a full row; a write that raises is an error."""
    events = Events(recorder, shop, events="audits")
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create")
        with pytest.raises(LookupError):
            shop.record("delete", error=LookupError())
    first, second = events.records
    assert (first.event_name, first.severity_number) == ("keyaudit.audit", SeverityNumber.INFO)
    assert first.attributes["keyaudit.action"] == "create"
    assert tuple(first.attributes["keyaudit.key.scopes"]) == ("a:read", "a:write")
    assert (second.severity_number, second.attributes["error.type"]) == (SeverityNumber.ERROR, "LookupError")
    assert first.span_id == recorder.audit_spans()[0].context.span_id


def test_usage_is_sent_when_the_library_is_removed(recorder: Recorder, shop: Any) -> None:
    """Per key: requests, and decisions by permission and outcome in parallel lists."""
    events = Events(recorder, shop, events="usage")
    for _ in range(3):
        with recorder.request():
            shop.verify(shop.ci_bot("k_1"))
            shop.require("a:read")
            with pytest.raises(PermissionError):
                shop.require("a:delete", PermissionError())
    assert events.records == []
    recorder.uninstrument()
    (record,) = events.records
    attributes = dict(record.attributes)
    assert record.event_name == "keyaudit.usage"
    assert (attributes["keyaudit.key.id"], attributes["keyaudit.usage.requests"]) == ("k_1", 3)
    pairs = zip(*(attributes[f"keyaudit.usage.{name}"] for name in ("permissions", "outcomes", "counts")), strict=True)
    assert sorted(pairs) == [("a:delete", "denied", 3), ("a:read", "granted", 3)]
    assert attributes["keyaudit.usage.from"].endswith("Z")


class Broken(LoggerProvider):
    """A provider whose loggers raise."""

    def get_logger(self, *_: Any, **__: Any) -> Any:
        """Raise an error."""
        raise RuntimeError("no logger")


def test_event_that_cannot_be_sent_is_counted(recorder: Recorder, shop: Any) -> None:
    """Each stage counts once a call, and the usage once a key."""
    shop.instrument(recorder, logger_provider=Broken(shutdown_on_exit=False), events="audits,usage")
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create")
    assert recorder.errors() == {("telemetry", "RuntimeError"): 1}
    recorder.uninstrument()
    assert recorder.errors() == {("telemetry", "RuntimeError"): 2}


def test_missing_provider_is_logged_once(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Without a logger provider nothing is sent, and one line says so."""
    shop.instrument(recorder, events="denials")
    for _ in range(2):
        with recorder.request(), pytest.raises(PermissionError):
            shop.verify(None, PermissionError())
    assert [one for one in caplog.messages if "logger provider" in one] == [
        "keyaudit: no logger provider is configured, so no event is sent"
    ]
