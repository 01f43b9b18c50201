"""The library's own work never raises into the application, and a log line cannot be forged."""

import logging
import warnings
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler

from otel_keyaudit.guard.guard import Guard, boxed, log, quietly


class Reporting(Guard):
    """Keeps the stage and the class of every error."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, type]] = []

    def report(self, stage: str, error: BaseException) -> None:
        """Keep the stage and the class."""
        self.reported.append((stage, type(error)))


def fail(error: BaseException) -> None:
    """Raise the error."""
    raise error


def test_guarded_work_returns_its_result() -> None:
    """The work receives its arguments, and no failure is reported."""
    guard = Reporting()
    assert guard.guarded("merge", divmod, 7, 2) == (3, 1)
    assert quietly(divmod, 7, 2) == (3, 1)
    assert guard.reported == []


def test_failed_work_returns_none_and_is_reported_under_its_stage() -> None:
    """The error does not reach the caller, and its stage is reported."""
    guard = Reporting()
    assert guard.guarded("merge", fail, ValueError("secret")) is None
    assert guard.reported == [("merge", ValueError)]


def test_steps_after_a_failed_step_still_run() -> None:
    """Each failure is reported under its own stage, in order."""
    guard = Reporting()
    done: list[Guard] = []
    guard.run((("audit", done.append), ("sampling", lambda _: fail(KeyError())), ("merge", done.append)))
    assert done == [guard, guard]
    assert guard.reported == [("sampling", KeyError)]


def test_silent_work_fails_without_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """Silent work neither raises nor logs."""
    assert quietly(fail, ValueError("secret")) is None
    assert caplog.records == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_base_exceptions_reach_the_application(kind: type[BaseException]) -> None:
    """Such exceptions are not reported."""
    guard = Reporting()
    with pytest.raises(kind):
        guard.guarded("merge", fail, kind())
    with pytest.raises(kind):
        guard.run((("merge", lambda _: fail(kind())),))
    with pytest.raises(kind):
        quietly(fail, kind())
    assert guard.reported == []


def test_result_of_none_differs_from_a_failure() -> None:
    """A failure is ``None``, and a result of ``None`` is in a tuple."""
    assert quietly(boxed, lambda: None) == (None,)
    assert quietly(boxed, fail, ValueError()) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Err\nWARNING:root:admin logged in", r"Err\nWARNING:root:admin logged in"),
        ("Err\r\x1b[2Kall well", r"Err\r\x1b[2Kall well"),
        ("Err\u2028WARNING", r"Err\u2028WARNING"),
        ("Err\u202eNRAW", r"Err\u202eNRAW"),
        ("Größe", "Größe"),
    ],
)
def test_a_log_line_is_printable(name: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks, terminal sequences and invisible characters are escaped, and letters are not."""
    log(logging.WARNING, "%s failed", name)
    assert caplog.messages == [f"keyaudit: {shown} failed"]
    assert caplog.messages[0].isprintable()


def test_a_percent_sign_without_arguments_is_no_placeholder(caplog: pytest.LogCaptureFixture) -> None:
    """A percent sign in a finished message or an argument is printed as it is."""
    log(logging.WARNING, "100 %s of it")
    log(logging.WARNING, "%s of it", "100 %d")
    assert caplog.messages == ["keyaudit: 100 %s of it", "keyaudit: 100 %d of it"]


def test_a_disabled_level_formats_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The arguments are not converted to strings."""

    class Costly:
        def __str__(self) -> str:
            raise AssertionError

    caplog.set_level(logging.WARNING, "otel_keyaudit")
    log(logging.INFO, "%s", Costly())
    assert caplog.records == []


def test_a_log_handler_that_raises_does_no_harm() -> None:
    """The exception of the log handler ends in the guard."""

    class Failing(logging.Handler):
        calls = 0

        def emit(self, record: logging.LogRecord) -> None:
            type(self).calls += 1
            raise OSError

    handler: Any = Failing()
    logger = logging.getLogger("otel_keyaudit")
    logger.addHandler(handler)
    try:
        log(logging.WARNING, "it is wrong")
    finally:
        logger.removeHandler(handler)
    assert Failing.calls == 1


@pytest.mark.parametrize(
    ("level", "has_own_handler", "printed"),
    [
        (logging.WARNING, False, "keyaudit: target shop:verify is wrong\n"),
        (logging.INFO, False, ""),
        (logging.WARNING, True, ""),
    ],
)
def test_a_warning_that_only_telemetry_receives_is_printed(
    level: int,
    has_own_handler: bool,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OpenTelemetry's log handler on the root logger does not hide a warning of a service without log handlers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK recommends the handler of another package
        handler = LoggingHandler(logger_provider=LoggerProvider())
    own_handlers = [logging.NullHandler()] if has_own_handler else []
    caplog.set_level(logging.INFO, "otel_keyaudit")
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(logging.getLogger("otel_keyaudit"), "handlers", own_handlers)
    log(level, "target %s is wrong", "shop:verify")
    assert capsys.readouterr().err == printed


def test_a_warning_without_any_handler_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python itself prints the warnings of a service that configures no logging."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log(logging.WARNING, "it is wrong")
    assert capsys.readouterr().err == "keyaudit: it is wrong\n"
