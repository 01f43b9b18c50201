"""Calls that are not meant, and authentications inside others: what counts, and what is withdrawn."""

from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuthTarget, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.modules import LoadModule

APP = """
class Key:
    def __init__(self, id, kind="api"):
        self.id = id
        self.kind = kind

ROWS = []
CALLS = []

def verify(value, source="header"):
    if isinstance(value, BaseException):
        raise value
    return value

def look_up(value):
    return value

def check(value, error=None):
    key = look_up(value)
    if error is not None:
        raise error
    return key

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

def build(action):
    if isinstance(action, BaseException):
        raise action
    CALLS.append(action)
    return {"action": action}
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application with sessions and keys."""
    return load_module(APP)


def denials(recorder: Recorder) -> int | float:
    """Return how many authentications were counted as denied."""
    return recorder.count("keyaudit.authentications", {"keyaudit.outcome": "denied"})


def test_a_call_that_is_not_meant_is_no_authentication(recorder: Recorder, app: Any) -> None:
    """A session token that passes through the same function leaves nothing."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=kind|is:api"])
    with recorder.request():
        app.verify(app.Key("s_1", kind="session"))
        assert current_key() is None
        app.verify(app.Key("k_1"))
        assert current_key() is not None
    assert recorder.server_span()["keyaudit.key.id"] == "k_1"
    assert recorder.count("keyaudit.authentications") == 1


def test_a_when_that_cannot_be_read_passes_through_and_is_counted(recorder: Recorder, app: Any) -> None:
    """What cannot be read is as if it were no target, and is counted once."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=kinds"])
    with recorder.request():
        app.verify(app.Key("k_1"))
        assert current_key() is None
    assert recorder.server_span() == {}
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


def test_a_call_that_raises_is_meant_when_only_its_result_would_tell(recorder: Recorder, app: Any) -> None:
    """Without a result, a when that needs it counts as truthy: the denial is not lost."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=return.kind|is:api"])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert denials(recorder) == 1


def test_a_call_that_raises_is_not_meant_when_its_arguments_tell(recorder: Recorder, app: Any) -> None:
    """A when that is read from the arguments holds for a call that raises, too."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=args.source|is:header"])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source="cookie")
    assert recorder.server_span() == {}


@pytest.mark.parametrize(("source", "expected"), [("header", 1), ("cookie", 0)])
def test_a_when_function_may_tell_from_the_arguments(recorder: Recorder, app: Any, source: str, expected: int) -> None:
    """A function of the user's decides about a call that raises as well."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.args["source"] == "header")
    recorder.instrument(auth_targets=[target])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source=source)
    assert denials(recorder) == expected


def test_a_when_function_that_needs_the_result_counts_as_truthy(recorder: Recorder, app: Any) -> None:
    """A function that fails for want of a result counts as truthy, which is not a fault."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.result.kind == "api")
    recorder.instrument(auth_targets=[target])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert denials(recorder) == 1
    assert recorder.errors() == {}


def test_the_key_is_found_once(recorder: Recorder, app: Any) -> None:
    """A function that finds the key is called once, though when and the fields need the key as well."""
    calls = []

    def find(call: Any) -> object:
        calls.append(call)
        return call.result

    target = AuthTarget(
        f"{app.__name__}:verify",
        key=find,
        when="kind|is:api",
        valid="kind",
    )
    recorder.instrument(auth_targets=[target])
    with recorder.request():
        app.verify(app.Key("k_1"))
    assert len(calls) == 1


def test_a_key_found_inside_a_denied_check_is_withdrawn(recorder: Recorder, app: Any) -> None:
    """A look-up inside a check that then denies leaves no key behind, but its id on the denial."""
    recorder.instrument(auth_targets=[f"{app.__name__}:look_up", f"{app.__name__}:check"])
    with recorder.request():
        with pytest.raises(PermissionError):
            app.check(app.Key("k_1"), PermissionError())
        assert current_key() is None
    shown = recorder.server_span()
    assert shown["keyaudit.outcome"] == "denied"
    assert shown["keyaudit.denied.key.id"] == "k_1"
    assert shown["keyaudit.key.id"] == ""
    assert recorder.count("keyaudit.authentications") == 2


def test_a_key_accepted_before_a_denied_check_stays(recorder: Recorder, app: Any) -> None:
    """What was accepted before, outside of the check, stays the request's key; the last outcome stands."""
    recorder.instrument(auth_targets=[f"{app.__name__}:look_up", f"{app.__name__}:check"])
    with recorder.request():
        app.look_up(app.Key("k_1"))
        with pytest.raises(PermissionError):
            app.check(app.Key("k_2"), PermissionError())
        key = current_key()
    assert key is not None
    assert key.id == "k_1"
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.denied.key.id"]) == ("k_1", "k_2")
    assert shown["keyaudit.ambiguous"] is False


def test_an_acceptance_after_a_denial_blanks_the_reason(recorder: Recorder, app: Any) -> None:
    """The last outcome of a request stands, and what no longer holds is overwritten."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    with recorder.request():
        with pytest.raises(LookupError):
            app.verify(LookupError())
        app.verify(app.Key("k_1"))
    shown = recorder.server_span()
    assert shown["keyaudit.outcome"] == "accepted"
    assert shown["keyaudit.denied.reason"] == ""


def test_an_audit_call_that_is_not_meant_is_untouched(recorder: Recorder, app: Any) -> None:
    """Its fields are the caller's own object, it has no span, and it is no write."""
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record?when=args.action|is:api.*"]
    )
    fields: dict[str, object] = {}
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.record("session.create", fields)
        app.record("api.create", fields)
    assert app.ROWS[0] is fields
    assert app.ROWS[1]["request_api_key"]["id"] == "k_1"
    assert len(recorder.audit_spans()) == 1
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}


def test_an_audit_when_that_cannot_be_read_is_counted(recorder: Recorder, app: Any) -> None:
    """It passes through, as if it were no target, and is counted as degraded."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?when=args.action.kind"])
    app.record("create", {})
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.MissingError"): 1}
    assert sum(recorder.writes().values()) == 0


def test_a_when_of_the_result_passes_through_without_a_trace(recorder: Recorder, app: Any) -> None:
    """Where only the result tells, a call that is not meant starts no span that would never end."""
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action|is:api.*"],
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        assert app.build("session.create") == {"action": "session.create"}
        row = app.build("api.create")
    assert row["request_api_key"]["id"] == "k_1"
    assert [span.name for span in recorder.audit_spans()] == ["audit api.create"]
    assert row["request_api_key"]["span_id"] == f"{recorder.audit_spans()[0].context.span_id:016x}"
    assert recorder.writes()["attributed"] == 1
    assert sum(recorder.writes().values()) == 1


def test_a_builder_that_raises_counts_although_when_needs_its_result(recorder: Recorder, app: Any) -> None:
    """A when that needs the result of a call that raised counts as truthy: the write is counted, its span says why."""
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"],
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        with pytest.raises(LookupError):
            app.build(LookupError())
    assert recorder.writes()["failed"] == 1
    assert (recorder.audit_spans()[0].attributes or {})["error.type"] == "LookupError"


def test_no_span_is_started_late_where_none_is_wanted(recorder: Recorder, app: Any) -> None:
    """Also not for a call that raises before its result could tell whether it is meant."""
    recorder.instrument(audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"], audit_spans=False)
    with use_key(ApiKey("k_1")):
        assert app.build("api.create")["request_api_key"]["id"] == "k_1"
        with pytest.raises(LookupError):
            app.build(LookupError())
    assert recorder.audit_spans() == []
