"""Audit events that are logged: the rows of an allowed, a denied and an anonymous request, as a handler gets them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.requests import assert_rows_name_the_key, requests
from presets.serving import serving_wsgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Collects the records that reach the root logger."""
    handler = Kept()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def _sent(write: Callable[[], object], recorder: Recorder) -> None:
    """Send an allowed, a denied and an anonymous request to an application that logs."""
    from presets.apps.audit_app import CREDENTIAL, application  # noqa: PLC0415 - not everywhere

    serving = serving_wsgi(application(write), recorder)
    assert requests(serving, "open", CREDENTIAL.allowed, CREDENTIAL.denied, {}) == [201] * 3


def _line_of(record: logging.LogRecord) -> tuple[str, str]:
    return record.filename, record.funcName or ""


def test_an_audit_logger_has_the_key_in_extra(keyaudit_recorder: Recorder, kept: Kept) -> None:
    """The record has the key as an attribute, and its line number is still that of the application."""
    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415 - not everywhere

    extra = {"action": "note.create", "title": "tea"}

    def write() -> None:
        logging.getLogger("shop.audit").info("a note %s", "tea", extra=extra)
        logging.getLogger("shop.auditing").info("no audit log", extra=extra)

    keyaudit_recorder.instrument(presets=["flask-httpauth", "logging"])
    _sent(write, keyaudit_recorder)

    records = [record for record in kept.records if record.name.startswith("shop.")]
    assert {_line_of(record) for record in records} == {("test_audit_logs.py", "write")}
    assert [record.getMessage() for record in records] == ["a note tea", "no audit log"] * 3
    names = {"action", "title", "request_api_key"}
    rows = [{name: vars(record)[name] for name in names & vars(record).keys()} for record in records]
    assert rows[1::2] == [extra] * 3
    assert_rows_name_the_key(keyaudit_recorder, CREDENTIAL, rows[::2], [extra] * 3, "note.create")
    assert extra == {"action": "note.create", "title": "tea"}


def test_a_logger_of_any_name_is_an_audit_log_by_a_target(keyaudit_recorder: Recorder, kept: Kept) -> None:
    """A target can select a logger by its name, without a preset."""
    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415 - not everywhere

    target = "logging:Logger.makeRecord?fields=args.extra&when=args.name|is:journal*&action=args.name"
    keyaudit_recorder.instrument(presets="flask-httpauth", audit_targets=[target])

    _sent(lambda: logging.getLogger("journal.notes").info("a note"), keyaudit_recorder)

    allowed, *others = [vars(record) for record in kept.records if record.name == "journal.notes"]
    assert_names({"request_api_key": allowed["request_api_key"]}, CREDENTIAL.snapshot["id"])
    assert not any("request_api_key" in other for other in others)


def _processors() -> dict[str, list[Any]]:
    import structlog  # noqa: PLC0415 - not everywhere

    where = structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.FUNC_NAME])
    return {
        "JSON": [where, structlog.processors.JSONRenderer()],
        "logfmt": [where, structlog.processors.LogfmtRenderer()],
        "key and value": [where, structlog.processors.KeyValueRenderer()],
        "console": [where, structlog.dev.ConsoleRenderer(colors=False)],
    }


def _structlog_write(renderer: str, output: StringIO) -> Callable[[], object]:
    import structlog  # noqa: PLC0415 - not everywhere

    logger = structlog.wrap_logger(structlog.PrintLogger(output), processors=_processors()[renderer])

    def write() -> None:
        logger.info("a note", logger="shop.audit", action="note.create")
        logger.info("no audit log", logger="shop")

    return write


def test_an_event_of_structlog_has_the_key(keyaudit_recorder: Recorder) -> None:
    """The preset adds the key after structlog found the calling line and before the event is rendered."""
    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415 - not everywhere

    output = StringIO()
    keyaudit_recorder.instrument(presets=["flask-httpauth", "structlog"])
    _sent(_structlog_write("JSON", output), keyaudit_recorder)

    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    event = {"event": "a note", "logger": "shop.audit", "action": "note.create", "func_name": "write"}
    assert lines[1::2] == [{"event": "no audit log", "logger": "shop", "func_name": "write"}] * 3
    assert_rows_name_the_key(keyaudit_recorder, CREDENTIAL, lines[::2], [event] * 3, "note.create")


@pytest.mark.parametrize("renderer", ["logfmt", "key and value", "console"])
def test_each_renderer_of_structlog_is_reached(renderer: str, keyaudit_recorder: Recorder) -> None:
    """The rendered event of the allowed request names the key in every format."""
    output = StringIO()
    keyaudit_recorder.instrument(presets=["flask-httpauth", "structlog"])
    _sent(_structlog_write(renderer, output), keyaudit_recorder)

    assert ["key-1" in line for line in output.getvalue().splitlines()] == [True, *[False] * 5]
    assert keyaudit_recorder.degraded() == {}


@pytest.mark.parametrize("renderer", ["render_to_log_kwargs", "render_to_log_args_and_kwargs"])
def test_structlog_over_the_standard_library_has_the_key_in_extra(
    renderer: str, keyaudit_recorder: Recorder, kept: Kept
) -> None:
    """The name of the logger selects it as an audit log."""
    import structlog  # noqa: PLC0415 - not everywhere

    if not hasattr(structlog.stdlib, renderer):
        pytest.skip("this release of structlog has no such renderer")
    keyaudit_recorder.instrument(presets=["flask-httpauth", "structlog"])
    processors = [getattr(structlog.stdlib, renderer)]
    logger = structlog.wrap_logger(logging.getLogger("shop.audit"), processors, structlog.stdlib.BoundLogger)

    _sent(lambda: logger.info("a note", title="tea"), keyaudit_recorder)

    records = [vars(record) for record in kept.records if record.name == "shop.audit"]
    assert [record["title"] for record in records] == ["tea"] * 3
    assert ["request_api_key" in record for record in records] == [True, False, False]
    assert keyaudit_recorder.degraded() == {}


@pytest.fixture
def loguru_lines() -> Iterator[list[dict[str, Any]]]:
    """The records that a JSON sink of loguru receives."""
    from loguru import logger  # noqa: PLC0415 - not everywhere

    lines: list[dict[str, Any]] = []
    logger.remove()
    sink = logger.add(lambda message: lines.append(json.loads(message)["record"]), serialize=True, level="INFO")
    yield lines
    logger.remove(sink)


def test_an_event_of_loguru_has_the_key(keyaudit_recorder: Recorder, loguru_lines: list[dict[str, Any]]) -> None:
    """The key is in ``extra``; message and calling line stay the application's."""
    from loguru import logger  # noqa: PLC0415 - not everywhere

    from presets.apps.audit_app import CREDENTIAL  # noqa: PLC0415

    def write() -> None:
        logger.bind(logger="shop.audit", action="note.create").info("a note {} {{}}", "tea", title="tea")
        logger.bind(logger="shop.audit").debug("below the level")
        logger.info("no audit log")

    keyaudit_recorder.instrument(presets=["flask-httpauth", "loguru"])
    _sent(write, keyaudit_recorder)

    assert {(line["function"], line["file"]["name"]) for line in loguru_lines} == {("write", "test_audit_logs.py")}
    assert [line["message"] for line in loguru_lines] == ["a note tea {}", "no audit log"] * 3
    extra = {"logger": "shop.audit", "action": "note.create", "title": "tea"}
    rows = [line["extra"] for line in loguru_lines]
    assert rows[1::2] == [{}] * 3
    assert_rows_name_the_key(keyaudit_recorder, CREDENTIAL, rows[::2], [extra] * 3, "note.create")


def test_each_sink_of_loguru_receives_the_key(keyaudit_recorder: Recorder, loguru_lines: list[dict[str, Any]]) -> None:
    """Each sink receives the key, and the record that they share is not changed."""
    from loguru import logger  # noqa: PLC0415 - not everywhere

    from otel_keyaudit import ApiKey, use_key  # noqa: PLC0415

    received: list[Any] = []
    sink = logger.add(received.append, format="{message} {extra}")
    keyaudit_recorder.instrument(presets="loguru")
    with keyaudit_recorder.request(), use_key(ApiKey("k_1")):
        logger.bind(name="audit").info("a note")
    logger.remove(sink)

    assert_names(loguru_lines[0]["extra"], "k_1")
    (message,) = received
    assert_names(message.record["extra"], "k_1")
    assert "'id': 'k_1'" in str(message)
    assert keyaudit_recorder.writes()["attributed"] == 2
    assert keyaudit_recorder.degraded() == {}


MARKED: list[dict[str, Any]] = [
    {"audit": True}, {"logger": "shop.audit"}, {"logger_name": "audit_log"}, {"channel": "audit"},
    {"category": "Audit"}, {"log_type": "security.audit"},
]  # fmt: skip
UNMARKED: list[dict[str, Any]] = [
    {},
    {"audit": False},
    {"audit": "yes"},
    {"channel": "auditing"},
    {"category": 5},
    {"logger": "shop.audit_utils"},
]


def _named(recorder: Recorder, preset: str, write: Callable[..., object], events: list[dict[str, Any]]) -> None:
    """Write events in a request with a key."""
    from otel_keyaudit import ApiKey, use_key  # noqa: PLC0415

    recorder.instrument(presets=preset)
    with recorder.request(), use_key(ApiKey("k_1")):
        for event in events:
            write(**event)


def test_marked_records_have_the_key(keyaudit_recorder: Recorder, kept: Kept) -> None:
    """A logger of any name writes audit events if a member of ``extra`` or the level says so."""
    logger = logging.getLogger("shop.notes")
    _named(keyaudit_recorder, "logging", lambda **event: logger.info("a note", extra=event), MARKED + UNMARKED)
    found = ["request_api_key" in vars(record) for record in kept.records if record.name == "shop.notes"]
    assert found == [True] * len(MARKED) + [False] * len(UNMARKED)


def test_the_level_audit_of_logging(keyaudit_recorder: Recorder, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application names its level ``AUDIT``; ``extra`` is optional."""
    monkeypatch.setitem(logging._levelToName, 25, "AUDIT")
    _named(keyaudit_recorder, "logging", lambda: logging.getLogger("shop.notes").log(25, "a note"), [{}])
    (record,) = [record for record in kept.records if record.name == "shop.notes"]
    assert_names(vars(record), "k_1")


def test_marked_events_of_structlog_have_the_key(keyaudit_recorder: Recorder) -> None:
    """A member of the event marks it, also the level."""
    import structlog  # noqa: PLC0415 - not everywhere

    output = StringIO()
    processors: list[Any] = [structlog.processors.JSONRenderer()]
    logger = structlog.wrap_logger(structlog.PrintLogger(output), processors)
    events = [*MARKED, {"level": "audit"}, *UNMARKED]
    _named(keyaudit_recorder, "structlog", lambda **event: logger.info("a note", **event), events)
    found = ["request_api_key" in json.loads(line) for line in output.getvalue().splitlines()]
    assert found == [True] * (len(MARKED) + 1) + [False] * len(UNMARKED)


def test_marked_events_of_loguru_have_the_key(keyaudit_recorder: Recorder, loguru_lines: list[dict[str, Any]]) -> None:
    """A bound member marks the event, also the level."""
    from loguru import logger  # noqa: PLC0415 - not everywhere

    logger.level("AUDIT", no=25)
    events = [*MARKED, {"level": "AUDIT"}, *UNMARKED]

    def write(level: str = "INFO", **event: Any) -> None:
        logger.bind(**event).log(level, "a note")

    _named(keyaudit_recorder, "loguru", write, events)
    found = ["request_api_key" in line["extra"] for line in loguru_lines]
    assert found == [True] * (len(MARKED) + 1) + [False] * len(UNMARKED)
