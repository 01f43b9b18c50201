"""A secret that passes by is in no output: spans, metrics, logs, our members of rows, texts of our objects."""

import copy
import json
import logging
import pickle
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_keyaudit import AuditEvent, AuditTarget, ConfigurationError, KeyAuditInstrumentor, current_key
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.call import Call
from otel_keyaudit.testing import Recorder
from otel_keyaudit.testing.secret_search import finder
from support.modules import LoadModule

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
    """Put a secret wherever one can be; return objects of ours that were around."""
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
    """Yield our members of rows, as text."""
    for row in rows:
        if isinstance(row, dict):
            yield json.dumps(row.get("request_api_key")) + json.dumps(row.get("api_key"))


@pytest.fixture
def instrumented(recorder: Recorder, app: Any) -> Any:
    """The application, instrumented with functions that leak what they are given when they fail."""
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
    """Neither as it is, nor escaped, in base64, URL or hex form, with every logger at DEBUG."""
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
    """The search is worth something: faults of every stage are met and logged; nothing is printed."""
    use(recorder, instrumented, "S3cr3t-canary")
    stages = {stage for stage, _ in recorder.errors()}
    assert stages == {"authentication", "audit", "sampling", "merge", "collision"}
    assert len(caplog.records) >= len(stages)
    assert capfd.readouterr() == ("", "")


def test_a_call_tells_nothing_of_itself(recorder: Recorder, app: Any) -> None:
    """What functions of the user's are given shows no argument when it is printed."""
    seen: list[Call] = []
    target = AuditTarget(f"{app.__name__}:record", action=seen.append)
    recorder.instrument(audit_targets=[target])
    app.record("S3cr3t-canary", {})
    assert "S3cr3t" not in f"{seen[0]!r} {seen[0]}"


def test_a_snapshot_holds_no_more_than_its_fields(recorder: Recorder, instrumented: Any) -> None:
    """A key that is pickled holds what is written of it, nothing of the object it was read from."""
    with recorder.request():
        instrumented.verify("S3cr3t-canary", instrumented.Key("S3cr3t-canary"))
        key = current_key()
    assert b"S3cr3t" not in pickle.dumps(key)
    assert copy.deepcopy(key) == key


@pytest.mark.parametrize("field", ["id=secret", "name=key_hash", "owner=args.credential.token", "scopes=return._Token"])
def test_a_path_to_a_secret_is_refused(recorder: Recorder, app: Any, field: str) -> None:
    """A target that would write out a secret is a wrong option, before anything is read."""
    with pytest.raises(ConfigurationError, match="secret"):
        recorder.instrument(auth_targets=[f"{app.__name__}:verify?{field}"])


def test_a_hash_that_was_asked_for_is_written(recorder: Recorder, app: Any) -> None:
    """Only what an expression asks for: a hash, or the last characters."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?id=secret|sha256:16&name=secret|tail:4"])
    with recorder.request():
        app.verify("", app.Key("S3cr3t-canary"))
        key = current_key()
    assert key is not None
    assert len(key.id) == 16
    assert key.name == "nary"


def test_the_finder_finds(app: Any) -> None:
    """The search itself finds a secret in each form that is looked for."""
    held = finder("S3cr3t canary")
    assert held("x S3cr3t canary x")
    assert held(urllib.parse.quote("a S3cr3t canary b"))
    assert held(b"a S3cr3t canary b".hex())
