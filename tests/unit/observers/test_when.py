"""Calls that are not meant, and authentications inside others: what counts, and what is withdrawn."""

from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuthTarget, current_key, use_key
from support.keyaudit import KeyAudit, LoadModule

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


def denials(keyaudit: KeyAudit) -> int | float:
    """Return how many authentications were counted as denied."""
    return keyaudit.count("keyaudit.authentications", {"keyaudit.outcome": "denied"})


def test_a_call_that_is_not_meant_is_no_authentication(keyaudit: KeyAudit, app: Any) -> None:
    """A session token that passes through the same function leaves nothing."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when=kind|is:api"])
    with keyaudit.request():
        app.verify(app.Key("s_1", kind="session"))
        assert current_key() is None
        app.verify(app.Key("k_1"))
        assert current_key() is not None
    assert keyaudit.server_span()["keyaudit.key.id"] == "k_1"
    assert keyaudit.count("keyaudit.authentications") == 1


def test_a_when_that_cannot_be_read_passes_through_and_is_counted(keyaudit: KeyAudit, app: Any) -> None:
    """What cannot be read is as if it were no target, and is counted once."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when=kinds"])
    with keyaudit.request():
        app.verify(app.Key("k_1"))
        assert current_key() is None
    assert keyaudit.server_span() == {}
    assert keyaudit.degraded() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


def test_a_call_that_raises_is_meant_when_only_its_result_would_tell(keyaudit: KeyAudit, app: Any) -> None:
    """Without a result, a when that needs it counts as truthy: the denial is not lost."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when=return.kind|is:api"])
    with keyaudit.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert denials(keyaudit) == 1


def test_a_call_that_raises_is_not_meant_when_its_arguments_tell(keyaudit: KeyAudit, app: Any) -> None:
    """A when that is read from the arguments holds for a call that raises, too."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when=args.source|is:header"])
    with keyaudit.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source="cookie")
    assert keyaudit.server_span() == {}


@pytest.mark.parametrize(("source", "expected"), [("header", 1), ("cookie", 0)])
def test_a_when_function_may_tell_from_the_arguments(keyaudit: KeyAudit, app: Any, source: str, expected: int) -> None:
    """A function of the user's decides about a call that raises as well."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.args["source"] == "header")
    keyaudit.instrument(auth_targets=[target])
    with keyaudit.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source=source)
    assert denials(keyaudit) == expected


def test_a_when_function_that_needs_the_result_counts_as_truthy(keyaudit: KeyAudit, app: Any) -> None:
    """A function that fails for want of a result counts as truthy, which is not a fault."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.result.kind == "api")
    keyaudit.instrument(auth_targets=[target])
    with keyaudit.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert denials(keyaudit) == 1
    assert keyaudit.degraded() == {}


def test_the_key_is_found_once(keyaudit: KeyAudit, app: Any) -> None:
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
    keyaudit.instrument(auth_targets=[target])
    with keyaudit.request():
        app.verify(app.Key("k_1"))
    assert len(calls) == 1


def test_a_key_found_inside_a_denied_check_is_withdrawn(keyaudit: KeyAudit, app: Any) -> None:
    """A look-up inside a check that then denies leaves no key behind, but its id on the denial."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:look_up", f"{app.__name__}:check"])
    with keyaudit.request():
        with pytest.raises(PermissionError):
            app.check(app.Key("k_1"), PermissionError())
        assert current_key() is None
    shown = keyaudit.server_span()
    assert shown["keyaudit.outcome"] == "denied"
    assert shown["keyaudit.denied.key.id"] == "k_1"
    assert shown["keyaudit.key.id"] == ""
    assert keyaudit.count("keyaudit.authentications") == 2


def test_a_key_accepted_before_a_denied_check_stays(keyaudit: KeyAudit, app: Any) -> None:
    """What was accepted before, outside of the check, stays the request's key; the last outcome stands."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:look_up", f"{app.__name__}:check"])
    with keyaudit.request():
        app.look_up(app.Key("k_1"))
        with pytest.raises(PermissionError):
            app.check(app.Key("k_2"), PermissionError())
        key = current_key()
    assert key is not None
    assert key.id == "k_1"
    shown = keyaudit.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.denied.key.id"]) == ("k_1", "k_2")
    assert shown["keyaudit.ambiguous"] is False


def test_an_acceptance_after_a_denial_blanks_the_reason(keyaudit: KeyAudit, app: Any) -> None:
    """The last outcome of a request stands, and what no longer holds is overwritten."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    with keyaudit.request():
        with pytest.raises(LookupError):
            app.verify(LookupError())
        app.verify(app.Key("k_1"))
    shown = keyaudit.server_span()
    assert shown["keyaudit.outcome"] == "accepted"
    assert shown["keyaudit.denied.reason"] == ""


def test_an_audit_call_that_is_not_meant_is_untouched(keyaudit: KeyAudit, app: Any) -> None:
    """Its fields are the caller's own object, it has no span, and it is no write."""
    keyaudit.instrument(
        auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record?when=args.action|is:api.*"]
    )
    fields: dict[str, object] = {}
    with keyaudit.request():
        app.verify(app.Key("k_1"))
        app.record("session.create", fields)
        app.record("api.create", fields)
    assert app.ROWS[0] is fields
    assert app.ROWS[1]["request_api_key"]["id"] == "k_1"
    assert len(keyaudit.audit_spans()) == 1
    assert keyaudit.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}


def test_an_audit_when_that_cannot_be_read_is_counted(keyaudit: KeyAudit, app: Any) -> None:
    """It passes through, as if it were no target, and is counted as degraded."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record?when=args.action.kind"])
    app.record("create", {})
    assert keyaudit.degraded() == {("audit", "otel_keyaudit.errors.MissingError"): 1}
    assert sum(keyaudit.writes().values()) == 0


def test_a_when_of_the_result_passes_through_without_a_trace(keyaudit: KeyAudit, app: Any) -> None:
    """Where only the result tells, a call that is not meant starts no span that would never end."""
    keyaudit.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action|is:api.*"],
    )
    with keyaudit.request():
        app.verify(app.Key("k_1"))
        assert app.build("session.create") == {"action": "session.create"}
        row = app.build("api.create")
    assert row["request_api_key"]["id"] == "k_1"
    assert [span.name for span in keyaudit.audit_spans()] == ["audit api.create"]
    assert row["request_api_key"]["span_id"] == f"{keyaudit.audit_spans()[0].context.span_id:016x}"
    assert keyaudit.writes()["attributed"] == 1
    assert sum(keyaudit.writes().values()) == 1


def test_a_builder_that_raises_counts_although_when_needs_its_result(keyaudit: KeyAudit, app: Any) -> None:
    """A when that needs the result of a call that raised counts as truthy: the write is counted, its span says why."""
    keyaudit.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"],
    )
    with keyaudit.request():
        app.verify(app.Key("k_1"))
        with pytest.raises(LookupError):
            app.build(LookupError())
    assert keyaudit.writes()["failed"] == 1
    assert (keyaudit.audit_spans()[0].attributes or {})["error.type"] == "LookupError"


def test_no_span_is_started_late_where_none_is_wanted(keyaudit: KeyAudit, app: Any) -> None:
    """Also not for a call that raises before its result could tell whether it is meant."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"], audit_spans=False)
    with use_key(ApiKey("k_1")):
        assert app.build("api.create")["request_api_key"]["id"] == "k_1"
        with pytest.raises(LookupError):
            app.build(LookupError())
    assert keyaudit.audit_spans() == []
