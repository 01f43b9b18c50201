"""The library's own work never raises into the application, and a log line cannot be forged."""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler

from otel_keyaudit.guard.guard import FieldGuard, Guard, log, quietly


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


def test_unreadable_field_is_reported_by_its_name() -> None:
    """The guard knows afterwards whether any field could not be read."""
    reported: list[tuple[str, str]] = []
    guard = FieldGuard(lambda field, error: reported.append((field, str(error))))
    assert guard.guarded("name", lambda: "ci-bot") == "ci-bot"
    had_failed = guard.has_failed
    assert guard.guarded("owner", fail, ValueError("unreadable")) is None
    assert (had_failed, guard.has_failed) == (False, True)
    assert reported == [("owner", "unreadable")]


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
    """A failure returns the value that the caller chose for it."""
    callers: list[Any] = [quietly, partial(Reporting().guarded, "merge")]
    for guarded in callers:
        assert guarded(lambda: None, otherwise=1) is None
        assert guarded(fail, ValueError(), otherwise=1) == 1


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


@pytest.fixture
def telemetry() -> logging.Handler:
    """OpenTelemetry's log handler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK recommends the handler of another package
        return LoggingHandler(logger_provider=LoggerProvider())


@pytest.fixture
def set_handlers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[..., None]:
    """Return a function that sets the handlers of the root logger and of the library's logger."""
    caplog.set_level(logging.INFO, "otel_keyaudit")

    def set_handlers(root: list[logging.Handler], own: list[logging.Handler], *, propagate: bool = True) -> None:
        logger = logging.getLogger("otel_keyaudit")
        monkeypatch.setattr(logging.getLogger(), "handlers", root)
        monkeypatch.setattr(logger, "handlers", own)
        monkeypatch.setattr(logger, "propagate", propagate)

    return set_handlers


LINE = "keyaudit: target shop:verify is wrong\n"


@pytest.mark.parametrize(
    ("level", "has_own_handler", "printed"),
    [
        (logging.WARNING, False, LINE),
        (logging.ERROR, False, LINE),
        (logging.INFO, False, ""),
        (logging.ERROR, True, ""),
    ],
)
@pytest.mark.parametrize("is_on_root", [True, False])
def test_a_warning_that_only_telemetry_receives_is_printed(
    level: int,
    has_own_handler: bool,
    printed: str,
    is_on_root: bool,
    telemetry: logging.Handler,
    set_handlers: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OpenTelemetry's log handler does not hide a warning of a service without log handlers."""
    other: list[logging.Handler] = [logging.NullHandler()] if has_own_handler else []
    set_handlers([telemetry], other) if is_on_root else set_handlers(other, [telemetry])
    log(level, "target %s is wrong", "shop:verify")
    assert capsys.readouterr().err == printed


@pytest.mark.parametrize(("propagate", "printed"), [(True, ""), (False, LINE)])
def test_handlers_that_a_warning_does_not_reach_do_not_count(
    propagate: bool,
    printed: str,
    telemetry: logging.Handler,
    set_handlers: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The application can keep the library's lines from the root logger."""
    set_handlers([logging.NullHandler()], [telemetry], propagate=propagate)
    log(logging.WARNING, "target %s is wrong", "shop:verify")
    assert capsys.readouterr().err == printed


def test_a_warning_that_the_application_filters_is_not_printed(
    telemetry: logging.Handler,
    set_handlers: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A filter of the logger applies, as it does without OpenTelemetry's handler."""
    set_handlers([telemetry], [])
    monkeypatch.setattr(
        logging.getLogger("otel_keyaudit"), "filters", [lambda record: "wrong" not in record.msg % record.args]
    )
    log(logging.WARNING, "it is wrong")
    log(logging.WARNING, "it is right")
    assert capsys.readouterr().err == "keyaudit: it is right\n"


def test_a_printed_warning_is_an_ordinary_record(
    telemetry: logging.Handler, set_handlers: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application may replace Python's last handler, or have none."""
    records: list[logging.LogRecord] = []

    class Last(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    set_handlers([telemetry], [])
    monkeypatch.setattr(logging, "lastResort", Last(logging.ERROR))
    for level in (logging.WARNING, logging.ERROR, logging.CRITICAL):
        log(level, "%d %%", level)
    monkeypatch.setattr(logging, "lastResort", None)
    log(logging.CRITICAL, "it is wrong")
    assert [(record.name, record.levelno, record.getMessage()) for record in records] == [
        ("otel_keyaudit", logging.ERROR, "keyaudit: 40 %"),
        ("otel_keyaudit", logging.CRITICAL, "keyaudit: 50 %"),
    ]


def test_a_warning_without_any_handler_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python itself prints the warnings of a service that configures no logging."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log(logging.WARNING, "it is wrong")
    assert capsys.readouterr().err == "keyaudit: it is wrong\n"
