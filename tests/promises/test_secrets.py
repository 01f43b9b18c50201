"""A secret that passes through the application is in no output: spans, metrics, logs, members of rows, reprs."""

import copy
import json
import logging
import pickle
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_keyaudit import AuditEvent, AuditTarget, ConfigurationError, KeyAuditInstrumentor, current_key, names
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.call import Call
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from otel_keyaudit.testing.secret_search import finder
from support.environment.effort import examples
from support.environment.modules import LoadModule

APP = """
class Key:
    def __init__(self, secret, trips=False, allow_list=("a:1", "a:2")):
        self.id = "k_1"
        self.secret = self.key_hash = self.token = secret
        self.trips = trips
        self.scopes = ["a:read"]
        self.allow_list = allow_list

    @property
    def name(self):
        if self.trips:
            raise ValueError(self.secret)
        return "ci-bot"

    def __repr__(self):
        return f"Key({self.secret})"
    __str__ = __repr__

class Named:
    def __init__(self, secret):
        self.secret = secret

    def __repr__(self):
        return self.secret
    __str__ = __repr__

ROWS = []

def verify(credential, answer):
    if isinstance(answer, BaseException):
        raise answer
    return answer

def record(action, additional_fields=None, subject=None, fails=None):
    ROWS.append(additional_fields)
    if fails is not None:
        raise fails
"""
ALPHABETS = st.sampled_from([st.characters(max_codepoint=127), st.characters()])
SECRETS = st.builds(
    lambda text, length: ("S3cr3t" + text * 512)[:length],
    ALPHABETS.flatmap(lambda alphabet: st.text(alphabet, min_size=1, max_size=40)),
    st.integers(8, 512),
)
"""ASCII and not, of 8 to 512 characters."""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application through which a secret passes."""
    return load_module(APP)


def use(recorder: Recorder, app: Any, secret: str) -> list[object]:
    """Put a secret into every place and return the library's objects of the call."""
    met: list[object] = []
    with recorder.request():
        app.verify(secret, app.Key(secret))
        app.verify(secret, app.Key(secret, trips=True))
        met += [current_key(), current_request()]
        met += [pickle.dumps(current_key()).decode("utf-8", "replace"), KeyAuditInstrumentor().status()]
        app.record("create", {"payload": secret, "request_api_key": {"id": secret}}, app.Key(secret))
        app.verify(secret, app.Key(secret, allow_list=["a:1", app.Named(secret)]))
        app.record("create", json.dumps({"payload": secret}))
        app.record("create", secret)
        app.record("create", [secret])
        app.record(app.Named(secret), {secret: secret})
        with suppress(PermissionError):
            app.record("create", {}, fails=PermissionError(secret))
        with suppress(PermissionError):
            app.verify(secret, PermissionError(secret))
        app.verify(secret, {"id": app.Named(secret)})
        app.verify(secret, app.Named(secret))
        app.record("create", {})
    return met


def ours(rows: list[Any]) -> Iterator[str]:
    """Yield the library's members of rows as strings."""
    for row in rows:
        if isinstance(row, dict):
            yield json.dumps(row.get("request_api_key")) + json.dumps(row.get("api_key"))


@pytest.fixture
def instrumented(recorder: Recorder, app: Any) -> Any:
    """The application, instrumented with functions that leak their arguments when they fail."""
    name = app.__name__

    def sampler(event: AuditEvent) -> object:
        raise LookupError(repr(event), app.ROWS)

    target = AuditTarget(f"{name}:record", subject="args.subject", resource_id=lambda call: app.Named("x").missing)
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[target], sampler=sampler)
    return app


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("S3cr3t'\"\\\n\r\t\x00\x1b%s{}\u2028\u202e")
@example("S3cr3t" + "x" * 512)
@given(secret=SECRETS)
def test_the_secret_is_nowhere(
    recorder: Recorder, instrumented: Any, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    """The secret is in no output, plain or encoded, with every logger at DEBUG."""
    caplog.set_level(logging.DEBUG)
    recorder.clear()
    caplog.clear()
    instrumented.ROWS.clear()
    met = use(recorder, instrumented, secret)
    outputs = {
        "spans": [span.to_json() for span in recorder.spans],
        "metrics": [data.to_json()] if (data := recorder.metric_reader.get_metrics_data()) else [],
        "logs": [f"{record.getMessage()} {record.__dict__}" for record in caplog.records],
        "rows": list(ours(instrumented.ROWS)),
        "texts": [f"{one!r} {one} {getattr(one, '__dict__', '')}" for one in met],
    }
    held = finder(secret)
    assert [(kind, text) for kind, texts in outputs.items() for text in texts if held(text)] == []


def test_the_faults_above_do_happen(
    recorder: Recorder, instrumented: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Faults of every stage occur and are logged, so the search above is meaningful."""
    use(recorder, instrumented, "S3cr3t-canary")
    stages = {stage for stage, _ in recorder.errors()}
    assert stages == {"authentication", "audit", "sampling", "merge", "collision"}
    assert len(caplog.records) >= len(stages)
    assert capfd.readouterr() == ("", "")


def test_repr_of_a_call_shows_no_argument(recorder: Recorder, app: Any) -> None:
    """The repr of a call, which users' functions receive, shows no argument."""
    seen: list[Call] = []
    target = AuditTarget(f"{app.__name__}:record", action=seen.append)
    recorder.instrument(audit_targets=[target])
    app.record("S3cr3t-canary", {})
    assert "S3cr3t" not in f"{seen[0]!r} {seen[0]}"


def test_a_snapshot_holds_no_more_than_its_fields(recorder: Recorder, instrumented: Any) -> None:
    """A pickled key holds only its recorded fields, and nothing else of the key object."""
    with recorder.request():
        instrumented.verify("S3cr3t-canary", instrumented.Key("S3cr3t-canary"))
        key = current_key()
    assert b"S3cr3t" not in pickle.dumps(key)
    assert copy.deepcopy(key) == key


@pytest.mark.parametrize("field", ["id=secret", "name=key_hash", "owner=args.credential.token", "scopes=return._Token"])
def test_a_path_to_a_secret_is_refused(recorder: Recorder, app: Any, field: str) -> None:
    """A target that would write a secret is a wrong option."""
    with pytest.raises(ConfigurationError, match="secret"):
        recorder.instrument(auth_targets=[f"{app.__name__}:verify?{field}"])


def test_a_hash_that_was_asked_for_is_written(recorder: Recorder, app: Any) -> None:
    """Only the hash or the last characters that an expression asks for are written."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?id=secret|sha256:16&name=secret|tail:4"])
    with recorder.request():
        app.verify("", app.Key("S3cr3t-canary"))
        key = current_key()
    assert key is not None
    assert len(key.id) == 16
    assert key.name == "nary"


def test_the_finder_finds(app: Any) -> None:
    """The search finds a secret in each encoding."""
    held = finder("S3cr3t canary")
    assert held("x S3cr3t canary x")
    assert held(urllib.parse.quote("a S3cr3t canary b"))
    assert held(b"a S3cr3t canary b".hex())


class Inventing:
    """A key object with some members, which invents all others."""

    def __init__(self, known: dict[str, Any]) -> None:
        vars(self).update(known)

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"invented {name}"


class Tripping:
    """A key object whose members raise, except the id."""

    id = "k_1"

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


DECLARED = {"id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"}
DECLARED_ATTRIBUTES = {value for name, value in vars(names).items() if name.isupper() and str(value).startswith("key")}
SCRUBBED = re.compile(
    r"password|passwd|mysql_pwd|secret|auth(?!ors?\b)|credential|private[._ -]?key|api[._ -]?key|session|cookie|"
    r"social[._ -]?security|credit[._ -]?card|(\b|_)(csrf|xsrf|jwt|ssn)(\b|_)|token|bearer|.*api_key.*",
    re.IGNORECASE,
)
"""Attribute names that well-known scrubbers blank; test_scrubbers.py runs some of the scrubbers."""

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.binary() | st.floats()


@settings(
    max_examples=examples(2_000, quick=300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(known=st.dictionaries(st.sampled_from(["id", "name", "scopes", "allow_list", "owner", "email", "key"]), VALUES))
def test_only_declared_members_leave(recorder: Recorder, shop: Any, known: dict[str, Any]) -> None:
    """Whatever a key object has or invents, rows and spans have the declared names and plain values."""
    if not recorder.status():
        shop.instrument(recorder)
    recorder.clear()
    shop.ROWS.clear()
    with recorder.request():
        shop.verify(Inventing(known))
        shop.record("create", {})
    member = shop.ROWS[0].get("request_api_key", {})
    assert member.keys() <= DECLARED
    for span in recorder.spans:
        shown = keyaudit_attributes(span)
        assert shown.keys() <= DECLARED_ATTRIBUTES
        elements = [one for value in shown.values() for one in (value if isinstance(value, tuple) else (value,))]
        assert all(isinstance(one, (str, int)) for one in elements)


def test_a_key_whose_members_raise(recorder: Recorder, shop: Any) -> None:
    """Only the id of the key is known."""
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(Tripping())
        shop.record("create", {})
    assert shop.ROWS[0]["request_api_key"].keys() == {"id", "digest", "detail", "trace_id", "span_id"}


def test_names_survive_scrubbers() -> None:
    """No attribute's name is one that the default scrubbers of well-known vendors blank."""
    attributes = DECLARED_ATTRIBUTES - {names.METRIC_AUTHENTICATIONS}
    assert len(attributes) > 20
    assert [name for name in attributes if SCRUBBED.search(name)] == []
