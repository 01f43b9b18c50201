"""The testing kit: its example passes, its records are right, and each assertion can fail."""

import asyncio
import base64
import gc
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_keyaudit import ApiKey, ConfigurationError, KeyAuditInstrumentor, use_key
from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key
from support.environment.modules import LoadModule

EXAMPLE = Path(__file__).parents[3] / "examples" / "testing"
SECRET = 'pa"ss/wörd+1'
NAMED: dict[str, Any] = {"a": 1, "request_api_key": {"id": "k_1", "detail": "full"}}
AMBIGUOUS: dict[str, Any] = {"request_api_key": {"ambiguous": True, "ids": ["k_1", "k_2"]}}
APPLICATION = """
    def verify(key):
        return key

    def record(additional_fields=None):
        return additional_fields

    def record_all(rows):
        raise OSError("the disk is full")

    async def build(rows):
        return {"rows": rows}
"""


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A recorder, uninstrumented afterwards."""
    with Recorder() as one:
        yield one


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python in a folder, without settings from outside."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MUTANT_", "OTEL_", "PYTEST_"))
    }
    command = [sys.executable, "-B", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_example() -> None:
    """The tests of the example pass, by the command in its README and with pytest's own defaults."""
    own_configuration = ["-c", os.devnull, "--rootdir", "."]
    done = python("-m", "pytest", "-p", "no:cacheprovider", *own_configuration, cwd=EXAMPLE)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "python -m pytest\n" in (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_without_pytest(tmp_path: Path) -> None:
    """Without pytest everything but the fixture works."""
    program = """
import sys
sys.modules["pytest"] = None
from otel_keyaudit import testing
print(hasattr(testing, "keyaudit_recorder"))
with testing.Recorder() as recorder:
    recorder.instrument(auth_targets=["json:loads"])
    print(recorder.writes())
"""
    done = python("-c", program, cwd=tmp_path)

    assert done.stdout.splitlines() == ["False", "{'attributed': 0, 'ambiguous': 0, 'none': 0, 'failed': 0}"], (
        done.stderr
    )


@pytest.mark.parametrize(
    "row",
    [
        NAMED,
        '{"request_api_key": {"id": "k_1"}}',
        b'{"request_api_key": {"id": "k_1"}}',
        {"action": "x", "additional_fields": NAMED},
        {"action": "x", "additional_fields": '{"request_api_key": {"id": "k_1"}}'},
    ],
)
def test_a_row_names_a_key(row: Any) -> None:
    """A row can be a mapping, JSON, or hold its additional fields, and its snapshot is returned."""
    assert assert_names(row, "k_1")["id"] == "k_1"


def test_the_subject_of_a_row() -> None:
    """Another member is checked if it is named."""
    assert_names({"api_key": {"id": "k_3"}} | NAMED, "k_3", member="api_key")
    assert_names_no_key(NAMED, member="api_key")


@pytest.mark.parametrize("row", [NAMED | {"request_api_key": {"id": "k_2"}}, {}, None, "", b"null", AMBIGUOUS])
def test_a_row_that_names_another_key(row: Any) -> None:
    """The assertion fails for another key, no key and several keys."""
    with pytest.raises(AssertionError, match="does not name 'k_1'"):
        assert_names(row, "k_1")


@pytest.mark.parametrize("row", [{}, {"a": 1}, None, "", "{}", b"null", {"additional_fields": None}])
def test_a_row_without_a_key(row: Any) -> None:
    """A row without a key passes, whatever its type."""
    assert_names_no_key(row)


@pytest.mark.parametrize("row", [NAMED, AMBIGUOUS, {"additional_fields": '{"request_api_key": {"id": "k_1"}}'}])
def test_a_row_that_should_name_no_key(row: Any) -> None:
    """The assertion fails for one key and for several keys."""
    with pytest.raises(AssertionError, match="request_api_key is present"):
        assert_names_no_key(row)


def test_rows_and_counts(recorder: Recorder, load_module: LoadModule) -> None:
    """The rows are those that the application's function received, and the counts match the metrics."""
    module = load_module(APPLICATION)
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"], audit_targets=[f"{module.__name__}:record"])
    tracer = recorder.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        module.verify(SimpleNamespace(id="k_1"))
        given = {"a": 1}
        module.record(given)
        module.verify(False)
    module.record()

    named, nameless = recorder.rows
    assert_names(named, "k_1")
    assert given == {"a": 1}
    assert_names_no_key(nameless)
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 1, "failed": 0}
    assert recorder.authentications() == {"accepted": 1, "denied": 1}
    assert recorder.degraded() == {}
    assert [span.name for span in recorder.spans] == ["audit", "GET /", "audit"]


def test_row_is_recorded_once_after_another_instrument(recorder: Recorder, load_module: LoadModule) -> None:
    """A test can uninstrument and instrument again, also with other options."""
    app = load_module("def record(action, additional_fields=None):\n    return additional_fields\n")
    for options in ({}, {"audit_spans": False}):
        recorder.instrument(audit_targets=[f"{app.__name__}:record"], **options)
        app.record("create", {"number": 1})
        recorder.uninstrument()
        app.record("create", {"number": 2})
    assert [row["number"] for row in recorder.rows] == [1, 2, 1, 2]


def test_server_spans(recorder: Recorder) -> None:
    """All server spans are listed, and the attributes of the only one are returned."""
    with recorder.request("GET /first"), recorder.tracer.start_as_current_span("inner"):
        pass
    assert [span.name for span in recorder.server_spans()] == ["GET /first"]
    assert recorder.server_span() == {}
    with recorder.request("GET /second"):
        pass
    assert [span.name for span in recorder.server_spans()] == ["GET /first", "GET /second"]
    with pytest.raises(AssertionError, match=r"^2 server spans have ended, not one$"):
        recorder.server_span()


def test_counts_are_sums(recorder: Recorder, load_module: LoadModule) -> None:
    """Counts are added up over all reasons, and a count of zero is included."""
    module = load_module("def verify(error):\n    raise error\n")
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"])
    assert recorder.authentications() == {"accepted": 0, "denied": 0}
    for error in (KeyError(), ValueError(), ValueError()):
        with pytest.raises(type(error)):
            module.verify(error)
    assert recorder.authentications() == {"accepted": 0, "denied": 3}


def test_rows_of_a_list(recorder: Recorder, load_module: LoadModule) -> None:
    """Each element of a list is a row, also when the write fails."""
    module = load_module(APPLICATION)
    recorder.instrument(audit_targets=[f"{module.__name__}:record_all?fields=args.rows[]"])
    with use_key(ApiKey("k_1")), pytest.raises(OSError, match="the disk is full"):
        module.record_all([{"a": 1}, {"a": 2}])

    assert [assert_names(row, "k_1")["id"] for row in recorder.rows] == ["k_1", "k_1"]


def test_rows_that_are_passed_by_name(recorder: Recorder, load_module: LoadModule) -> None:
    """A keyword-only parameter is recorded."""
    module = load_module("def record(*, additional_fields=None): pass")
    recorder.instrument(audit_targets=[f"{module.__name__}:record"])
    module.record(additional_fields={"a": 1})

    assert recorder.rows == [{"a": 1}]


def test_providers_can_be_replaced(recorder: Recorder, load_module: LoadModule) -> None:
    """``instrument()`` takes the providers of ``KeyAuditInstrumentor().instrument()``, too."""
    app = load_module(APPLICATION)
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], logger_provider=None, tracer_provider=None)
    with use_key(ApiKey("k_1")):
        app.record()
    assert recorder.audit_spans() == []
    assert_names(recorder.rows[0], "k_1")


def test_rows_that_are_built(recorder: Recorder, load_module: LoadModule) -> None:
    """With ``fields=return`` the row is the result that the caller gets."""
    module = load_module(APPLICATION)
    recorder.instrument(audit_targets=[f"{module.__name__}:build?fields=return"])
    with use_key(ApiKey("k_1")):
        built = asyncio.run(module.build(3))

    assert recorder.rows == [built]
    assert_names(built, "k_1")


def test_fields_that_cannot_be_read(recorder: Recorder, load_module: LoadModule) -> None:
    """The application's call continues although there is no row, and the loss is counted by stage."""
    module = load_module(APPLICATION)
    recorder.instrument(audit_targets=[f"{module.__name__}:record?fields=args.additional_fields.meta"])
    with use_key(ApiKey("k_1")):
        assert module.record(7) == 7

    assert recorder.rows == []
    assert recorder.degraded() == {"merge": 1}
    assert recorder.writes()["failed"] == 1


def test_a_wrong_target(recorder: Recorder, load_module: LoadModule) -> None:
    """A missing target is an error unless ``strict=False``, and nothing stays instrumented."""
    module = load_module(APPLICATION)
    with pytest.raises(ConfigurationError, match="recrod"):
        recorder.instrument(audit_targets=[f"{module.__name__}:record", f"{module.__name__}:recrod"])
    recorder.instrument(audit_targets=[f"{module.__name__}:recrod"], strict=False)

    assert KeyAuditInstrumentor().status()[0].state == "wrong"


def test_everything_is_restored(load_module: LoadModule) -> None:
    """After the block functions and logging are as before."""
    module = load_module(APPLICATION)
    functions = (module.record, module.build)
    before = [function.__code__ for function in functions]
    handlers = logging.getLogger().handlers.copy()
    with Recorder() as one:
        one.instrument(audit_targets=[f"{module.__name__}:record", f"{module.__name__}:build?fields=return"])
        assert [function.__code__ for function in functions] != before

    assert [function.__code__ for function in functions] == before
    assert logging.getLogger().handlers == handlers
    assert KeyAuditInstrumentor().status() == []


def test_recorder_can_be_collected() -> None:
    """A test suite makes thousands of recorders, which must not live until the interpreter ends."""
    with Recorder() as one:
        providers: list[Any] = [weakref.ref(one.tracer_provider), weakref.ref(one.meter_provider)]
    del one
    gc.collect()
    assert [provider() for provider in providers] == [None, None]


def test_instrumented_already(recorder: Recorder, load_module: LoadModule) -> None:
    """A second recorder would record nothing, so it raises."""
    target = f"{load_module(APPLICATION).__name__}:record"
    recorder.instrument(audit_targets=[target])
    message = "^keyaudit is instrumented already, so nothing would be recorded here$"
    with Recorder() as second, pytest.raises(RuntimeError, match=message):
        second.instrument(audit_targets=[target])


def in_basic_auth(text: str) -> str:
    """Encode a string as a password, with a user name of any length."""
    return "Basic " + base64.b64encode(f"u:{text}".encode()).decode()


FORMS: dict[str, Callable[[str], Any]] = {
    "as it is": lambda text: f"<{text}>",
    "as bytes": lambda text: text.encode(),
    "escaped as JSON": lambda text: f'{{"a": "{text}"}}'.replace(text, text.replace('"', '\\"')),
    "read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "base64, 0 bytes in": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, 1 byte in": lambda text: base64.urlsafe_b64encode(b"?" + text.encode() + b"xy").decode(),
    "base64, 2 bytes in": in_basic_auth,
    "URL": lambda text: "/?key=" + quote(text),
    "form": lambda text: quote_plus(text).lower(),
    "hex": lambda text: "0x" + text.encode().hex().upper(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["span", "event", "status", "metric", "log", "log extra", "exception", "row"])
def test_a_secret_is_found(recorder: Recorder, place: str, form: str) -> None:
    """The assertion fails for a secret in any place and encoding, and its message does not repeat it."""
    recorder.assert_no_secret(SECRET)
    put_secret(recorder, place, FORMS[form](SECRET))

    recorder.assert_no_secret("another one")
    with pytest.raises(AssertionError, match="secret 1 is in ") as caught:
        recorder.assert_no_secret("another one", SECRET.encode())
    assert SECRET not in str(caught.value)


def put_secret(recorder: Recorder, place: str, value: Any) -> None:
    """Put a value into one of the places that are searched."""
    text = value.decode() if isinstance(value, bytes) else value
    with recorder.tracer_provider.get_tracer("test").start_as_current_span("span") as span:
        if place == "span":
            span.set_attribute("list", ["a", text])
        elif place == "event":
            span.add_event("event", {"a": text})
        elif place == "status":
            span.set_status(Status(StatusCode.ERROR, text))
    if place == "metric":
        recorder.meter_provider.get_meter("test").create_counter("count").add(1, {"a": text})
    elif place == "log":
        logging.getLogger("test").warning("said %s", text)
    elif place == "log extra":
        logging.getLogger("test").warning("said", extra={"headers": {"x": [text]}})
    elif place == "exception":
        logging.getLogger("test").warning("said", exc_info=ValueError(text))
    elif place == "row":
        recorder.rows.append({"a": [value]})


@pytest.mark.parametrize("secret", ["", "abc", b"abc"])
def test_a_secret_that_is_too_short(recorder: Recorder, secret: str | bytes) -> None:
    """A secret that short could be found by chance."""
    with pytest.raises(ValueError, match="fewer than 4 bytes"):
        recorder.assert_no_secret(secret)
