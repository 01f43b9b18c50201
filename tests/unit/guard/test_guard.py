"""What becomes of a failure of our own: counted once per stage and call, logged once per target, never raised."""

import logging
from typing import Any

import pytest

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.guard import run_silently
from support.keyaudit import KeyAudit, LoadModule


class Tally(list[tuple[str, str]]):
    """Shows what is counted."""

    def add(self, stage: str, kind: str) -> None:
        self.append((stage, kind))


class Counted:
    """Stands where the metrics are."""

    def __init__(self) -> None:
        self.degraded = Tally()


@pytest.fixture
def counted() -> Any:
    """Return metrics that can be looked at."""
    return Counted()


def fail(error: Exception) -> None:
    """Raise the error."""
    raise error


def test_work_that_succeeds_returns_its_result(counted: Any) -> None:
    """With the arguments as given, and nothing counted."""
    call = GuardedCall(Faults(counted), "app:verify")
    assert call.guarded("merge", divmod, 7, 2) == (3, 1)
    assert run_silently(divmod, 7, 2) == (3, 1)
    assert counted.degraded == []


def test_each_stage_that_fails_counts_once_in_a_call(counted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Also when another one fails in between; another call counts anew, and the log has one line for each stage."""
    faults = Faults(counted)
    for _ in range(2):
        call = GuardedCall(faults, "app:verify")
        for stage in ("authentication", "telemetry", "authentication", "telemetry"):
            assert call.guarded(stage, fail, ValueError("secret")) is None
    assert counted.degraded == [("authentication", "ValueError"), ("telemetry", "ValueError")] * 2
    assert caplog.messages == [
        "keyaudit: app:verify: authentication failed with ValueError",
        "keyaudit: app:verify: telemetry failed with ValueError",
    ]


def test_each_target_and_kind_is_logged_once(counted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What is new in any of the three is another occasion; each is counted."""
    faults = Faults(counted)
    for target in ("app:a", "app:b"):
        for error in (ValueError(), KeyError(), ValueError()):
            GuardedCall(faults, target).guarded("merge", fail, error)
    assert caplog.messages == [
        f"keyaudit: {target}: merge failed with {kind}"
        for target in ("app:a", "app:b")
        for kind in ("ValueError", "KeyError")
    ]
    assert len(counted.degraded) == 6


def test_our_own_errors_explain_themselves(counted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an error of ours names types only, so it stands in the log; that of a foreign one never does."""
    GuardedCall(Faults(counted), "app:record").guarded("audit", fail, UnreadableError("Event has no 'verb'"))
    (record,) = caplog.records
    kind = "otel_keyaudit.errors.UnreadableError"
    assert record.getMessage() == f"keyaudit: app:record: audit failed with {kind}: Event has no 'verb'"
    assert (record.name, record.levelno) == ("otel_keyaudit", logging.WARNING)
    assert counted.degraded == [("audit", kind)]


def test_a_warning_comes_once_for_its_occasion(counted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With its arguments put in, and from another ``instrument()`` again."""
    for faults in (Faults(counted), Faults(counted)):
        for _ in range(3):
            faults.warn_once(("late", "app:record"), "%s wrote %d rows late", "app:record", 2)
    assert caplog.messages == ["app:record wrote 2 rows late"] * 2


def test_work_without_an_audience_fails_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Neither an exception nor a log line."""
    assert run_silently(fail, ValueError("secret")) is None
    assert caplog.records == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_goes_through(counted: Any, kind: type[BaseException]) -> None:
    """It belongs to the application, and is not counted."""

    def leave() -> None:
        raise kind

    with pytest.raises(kind):
        GuardedCall(Faults(counted), "app:verify").guarded("merge", leave)
    with pytest.raises(kind):
        run_silently(leave)
    assert counted.degraded == []


def test_a_target_is_named_as_it_was_written(
    keyaudit: KeyAudit, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """The log line leads to the line of the configuration that is wrong for the call."""
    app = load_module("def verify(key): return object()\n")
    target = f"{app.__name__}:verify?name=token.name"
    keyaudit.instrument(auth_targets=[target])
    with keyaudit.request():
        app.verify("k")
        app.verify("k")
    assert [
        message for message in caplog.messages if message.startswith(f"keyaudit: {target}: authentication failed with")
    ]
    assert len(caplog.messages) == 1
