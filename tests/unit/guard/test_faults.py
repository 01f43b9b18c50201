"""Failures of the library: each is counted, and each kind is logged once per target."""

import logging
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard import faults as module
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.testing import Recorder
from support.environment.concurrency import at_once
from support.environment.modules import LoadModule


def fail(error: Exception) -> None:
    """Raise the error."""
    raise error


def counted(metrics: Metrics) -> dict[tuple[Any, Any], int]:
    """Return the failures by stage and class."""
    points = metrics.degraded.observe(CallbackOptions())
    return {tuple((point.attributes or {}).values()): int(point.value) for point in points}  # type: ignore[misc]


def test_a_stage_counts_once_per_call(caplog: pytest.LogCaptureFixture) -> None:
    """Other stages in between change nothing; the next call counts again and is not logged again."""
    metrics = Metrics()
    faults = Faults(metrics)
    for _ in range(2):
        call = GuardedCall(faults, "app:verify")
        for stage in ("authentication", "telemetry", "authentication", "telemetry"):
            assert call.guarded(stage, fail, ValueError("secret")) is None
    assert counted(metrics) == {("authentication", "ValueError"): 2, ("telemetry", "ValueError"): 2}
    assert caplog.messages == [
        "keyaudit: app:verify: authentication failed with ValueError",
        "keyaudit: app:verify: telemetry failed with ValueError",
    ]


def test_a_failure_without_a_stage_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A failure outside of a stage is not counted."""
    metrics = Metrics()
    assert GuardedCall(Faults(metrics), "app:verify").guarded("", fail, ValueError()) is None
    assert (counted(metrics), caplog.messages) == ({}, [])


def test_each_target_and_kind_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Every failure is counted, and each target and kind is logged once."""
    metrics = Metrics()
    faults = Faults(metrics)
    for target in ("app:a", "app:b"):
        for error in (ValueError(), KeyError(), ValueError()):
            GuardedCall(faults, target).guarded("merge", fail, error)
    assert caplog.messages == [
        f"keyaudit: {target}: merge failed with {kind}"
        for target in ("app:a", "app:b")
        for kind in ("ValueError", "KeyError")
    ]
    assert counted(metrics) == {("merge", "ValueError"): 4, ("merge", "KeyError"): 2}


def test_only_errors_of_ours_are_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """Messages of the library's errors name types and fields; other messages can hold a secret."""
    faults = Faults(Metrics())
    GuardedCall(faults, "app:record").guarded("audit", fail, UnreadableError("Event has no 'verb'"))
    GuardedCall(faults, "app:record").guarded("audit", fail, LookupError("sk_live_secret"))
    assert caplog.messages == [
        "keyaudit: app:record: audit failed with otel_keyaudit.errors.UnreadableError: Event has no 'verb'",
        "keyaudit: app:record: audit failed with LookupError",
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {("otel_keyaudit", logging.WARNING)}


@pytest.mark.parametrize("name", ["Err\nWARNING:root:admin logged in", "Err\r\x1b[2K", "Err\u2028x"])
def test_the_name_of_a_class_forges_no_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The name is escaped in the log line and in the metric."""
    metrics = Metrics()
    GuardedCall(Faults(metrics), "app:verify").guarded("merge", fail, type(name, (Exception,), {})())
    ((_, error_type),) = counted(metrics)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].isprintable()
    assert error_type.isprintable()


def test_the_name_of_a_target_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """The name of a target is escaped, because other people may write the configuration file."""
    GuardedCall(Faults(Metrics()), "app:verify\nERROR:root:x").guarded("merge", fail, KeyError())
    assert caplog.messages == [r"keyaudit: app:verify\nERROR:root:x: merge failed with KeyError"]


def test_a_warning_is_logged_once_per_occasion(caplog: pytest.LogCaptureFixture) -> None:
    """Each session logs the warning again."""
    for faults in (Faults(Metrics()), Faults(Metrics())):
        for _ in range(3):
            faults.warn_once(("late", "app:record"), "%s wrote %d rows late", "app:record", 2)
    assert caplog.messages == ["keyaudit: app:record wrote 2 rows late"] * 2


def test_occasions_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Exception classes can be made at run time, so memory and log are bounded."""
    monkeypatch.setattr(module, "MAX_WARNINGS", 3)
    faults = Faults(Metrics())
    for number in range(5):
        faults.warn_once((str(number),), "%d", number)
    faults.warn_once(("0",), "again")
    assert caplog.messages == ["keyaudit: 0", "keyaudit: 1", "keyaudit: 2"]


def test_the_log_line_names_the_target_as_written(
    recorder: Recorder, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """The user finds the line of the configuration by it."""
    app = load_module("def verify(key): return object()\n")
    target = f"{app.__name__}:verify?id=token.name"
    recorder.instrument(auth_targets=[target])
    with recorder.request():
        app.verify("k")
        app.verify("k")
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.startswith(f"keyaudit: {target}: authentication failed with ")


def test_threads_log_a_warning_once(caplog: pytest.LogCaptureFixture) -> None:
    """Threads in which the same occasion arises at once log one line."""
    faults = Faults(Metrics())

    def warn() -> None:
        for number in range(500):
            faults.warn_once((str(number),), "occasion %s", number)

    at_once(*[warn] * 4)
    assert sorted(caplog.messages) == sorted(f"keyaudit: occasion {number}" for number in range(500))
