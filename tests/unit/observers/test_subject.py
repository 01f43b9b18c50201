"""Audit rows about an API key: its snapshot, and how the key has changed."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuditTarget, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.modules import LoadModule

APP = """
class Key:
    def __init__(self, id, **fields):
        self.id = id
        vars(self).update(fields)

class Template:
    id = "t_1"

ROWS = []

def verify(value):
    return value

def record(action, subject=None, additional_fields=None):
    ROWS.append(additional_fields)
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that creates API keys."""
    return load_module(APP)


def instrument(
    recorder: Recorder, app: Any, fields: str = "subject=args.subject", auth: str = "", **options: Any
) -> None:
    """Instrument the application with a subject."""
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify{auth}"], audit_targets=[f"{name}:record?{fields}"], **options)


def test_an_api_key_is_a_subject(recorder: Recorder, app: Any) -> None:
    """An ApiKey is written in full, without trace ids, also when the request has no key."""
    instrument(recorder, app)
    key = ApiKey("k_2", "new", ["a:read"], [], "u_1")
    app.record("api_key.create", key)
    rows: list[object] = app.ROWS
    assert rows == [
        {
            "api_key": {
                "id": "k_2",
                "name": "new",
                "digest": key.digest,
                "detail": "full",
                "scopes": ["a:read"],
                "allow_list": [],
                "owner": "u_1",
            }
        }
    ]
    assert recorder.writes()["none"] == 1


def test_a_class_that_authenticated_is_a_subject(recorder: Recorder, app: Any) -> None:
    """Objects of a class are keys after an authentication target returned one."""
    instrument(recorder, app)
    app.record("create", app.Key("k_2"), {})
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.record("create", app.Key("k_2"), {})
    assert app.ROWS[0] == {}
    assert app.ROWS[1]["request_api_key"]["id"] == "k_1"
    assert app.ROWS[1]["api_key"]["id"] == "k_2"


def test_a_class_that_was_refused_is_a_subject(recorder: Recorder, app: Any) -> None:
    """An expired key also shows that its class is a class of keys."""
    instrument(recorder, app, auth="?valid=active")
    with recorder.request():
        app.verify(app.Key("k_1", active=False))
        app.record("delete", app.Key("k_1"), {})
    assert "request_api_key" not in app.ROWS[0]
    assert app.ROWS[0]["api_key"]["id"] == "k_1"


def test_class_of_an_excluded_call_is_no_subject(recorder: Recorder, app: Any) -> None:
    """A session that ``when`` excludes does not make sessions keys."""
    instrument(recorder, app, auth="?when=kind|is:api")
    with recorder.request():
        app.verify(app.Key("s_1", kind="session"))
        app.record("create", app.Key("s_2"), {})
    assert app.ROWS == [{}]


def test_its_fields_are_read_as_those_of_the_authentication(recorder: Recorder, app: Any) -> None:
    """A subject is read with the fields of the authentication target of its class."""
    instrument(recorder, app, auth="?id=prefix&scopes=grants|split&name=return.id")
    with recorder.request():
        app.verify(app.Key("x", prefix="p_1", grants="a:read a:write", name="one"))
        app.record("create", app.Key("x", prefix="p_2", grants="a:read", name="two"), {})
    subject = app.ROWS[0]["api_key"]
    assert (subject["id"], subject["scopes"], subject["name"]) == ("p_2", ["a:read"], "two")


def test_a_field_of_the_audit_target_wins(recorder: Recorder, app: Any) -> None:
    """Fields of the audit target override those of the authentication target."""
    instrument(recorder, app, "subject=args.subject&subject_id=number", auth="?id=prefix")
    with recorder.request():
        app.verify(app.Key("x", prefix="p_1"))
        app.record("create", app.Key("x", prefix="p_2", number=7), {})
    assert app.ROWS[0]["api_key"]["id"] == "7"


@pytest.mark.parametrize("subject", [{"id": "k_2"}, "k_2", 7, None, ["k_2"]])
def test_a_builtin_type_is_no_subject(recorder: Recorder, app: Any, subject: object) -> None:
    """A builtin type is never a class of keys, although an authentication returned one."""
    instrument(recorder, app)
    with recorder.request():
        app.verify({"id": "k_1"})
        app.record("create", subject, {})
    assert "api_key" not in app.ROWS[0]
    assert recorder.errors() == {}


def test_a_mapping_with_fields_given_is_a_subject(recorder: Recorder, app: Any) -> None:
    """With ``subject_`` fields any object is a key."""
    instrument(recorder, app, "subject=args.subject&subject_id=id&subject_scopes=scope|split")
    app.record("create", {"id": 9, "scope": "a:read"}, {})
    assert app.ROWS[0]["api_key"]["id"] == "9"
    assert app.ROWS[0]["api_key"]["scopes"] == ["a:read"]


def test_another_object_is_no_subject(recorder: Recorder, app: Any) -> None:
    """A row about another object has no ``api_key`` and no attribute on its span."""
    instrument(recorder, app)
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.record("create", app.Template(), {})
    assert "api_key" not in app.ROWS[0]
    (span,) = recorder.audit_spans()
    assert "keyaudit.subject.id" not in keyaudit_attributes(span)


def test_a_subject_is_on_its_span_by_id_alone(recorder: Recorder, app: Any) -> None:
    """The span has only the id of the subject, and no detail without a request key."""
    instrument(recorder, app)
    app.record("create", ApiKey("k_2", scopes=["a:read"]))
    (span,) = recorder.audit_spans()
    assert keyaudit_attributes(span) == {"keyaudit.action": "create", "keyaudit.subject.id": "k_2"}


def test_a_row_about_a_key_is_full(recorder: Recorder, app: Any) -> None:
    """Rows about a key are always full, for both keys, with ``actions`` and ``on_change``."""
    for sampler, argument in (("actions", "delete"), ("on_change", None)):
        app.ROWS.clear()
        instrument(recorder, app, sampler=sampler, sampler_arg=argument)
        with use_key(ApiKey("k_1")):
            app.record("create", ApiKey("k_2"))
            app.record("create", ApiKey("k_2"))
        assert [row[name]["detail"] for row in app.ROWS for name in ("request_api_key", "api_key")] == ["full"] * 4
        recorder.uninstrument()


def test_a_minimal_subject(recorder: Recorder, app: Any) -> None:
    """A sampler that chooses minimal applies to the subject too."""
    instrument(recorder, app, sampler="always_minimal")
    app.record("create", ApiKey("k_2", scopes=["a:read"]))
    assert app.ROWS[0]["api_key"].keys() == {"id", "digest", "detail"}


def test_both_names_are_reserved(recorder: Recorder, app: Any) -> None:
    """A client's own ``api_key`` is renamed, with or without a subject in the call."""
    instrument(recorder, app)
    app.record("create", None, {"api_key": {"id": "forged"}})
    app.record("create", ApiKey("k_2"), {"api_key": 1, "api_key_unverified": 2})
    assert app.ROWS[0] == {"api_key_unverified": {"id": "forged"}}
    assert app.ROWS[1]["api_key_unverified_unverified"] == 1
    assert app.ROWS[1]["api_key_unverified"] == 2
    assert app.ROWS[1]["api_key"]["id"] == "k_2"


def test_without_a_subject_configured_its_name_is_free(recorder: Recorder, app: Any) -> None:
    """Only request_field is reserved on a target without a subject."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record"])
    app.record("create", None, {"api_key": 1})
    assert app.ROWS == [{"api_key": 1}]


def test_unreadable_subject_affects_only_itself(recorder: Recorder, app: Any) -> None:
    """Without its id the row has the request's key, no subject, and one degraded call."""
    instrument(recorder, app)
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.record("create", object.__new__(app.Key), {})
    assert app.ROWS[0].keys() == {"request_api_key"}
    assert recorder.writes()["attributed"] == 1
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.MissingError"): 1}


def test_a_subject_may_come_from_a_function(recorder: Recorder, app: Any) -> None:
    """A function of the user can return an ``ApiKey`` as the subject."""
    target = AuditTarget(f"{app.__name__}:record", subject=lambda call: ApiKey(call.args["subject"]))
    recorder.instrument(audit_targets=[target])
    app.record("create", "k_5")
    assert app.ROWS[0]["api_key"]["id"] == "k_5"


CHANGES_APP = """
KEYS = {}

def load(key_id):
    return KEYS.get(key_id)

def record(action, subject=None, before=None, additional_fields=None):
    return additional_fields
"""
NARROW = ApiKey("k_1", "ci", ["workspace:read"], ["workspace:1"])
WIDE = ApiKey("k_1", "ci", ["workspace:delete", "workspace:read"], ["workspace:1"])


@pytest.fixture
def changing(load_module: LoadModule) -> Any:
    """An application that changes keys."""
    return load_module(CHANGES_APP)


def instrument_changes(recorder: Recorder, changing: Any, audit: str, **options: Any) -> None:
    """Instrument the application."""
    name = changing.__name__
    recorder.instrument(audit_targets=[f"{name}:record?{audit}"], subject_targets=[f"{name}:load"], **options)


def test_explicit_earlier_key(recorder: Recorder, changing: Any) -> None:
    """Row and span show the difference to the given earlier key."""
    instrument_changes(recorder, changing, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        member = changing.record("update", WIDE, NARROW)["api_key"]
    assert member["changes"] == {
        "from": NARROW.digest,
        "power": "widened",
        "scopes": {"added": ["workspace:delete"], "removed": []},
    }
    shown = keyaudit_attributes(recorder.audit_spans()[0])
    assert shown["keyaudit.change.power"] == "widened"
    assert shown["keyaudit.change.gained"] == ("workspace:delete",)
    assert "keyaudit.change.lost" not in shown


def test_first_look_up_of_the_request_is_the_earlier_key(recorder: Recorder, changing: Any) -> None:
    """The key as it was first loaded in the request is compared; later look-ups change nothing."""
    instrument_changes(recorder, changing, "subject=args.subject")
    with recorder.request():
        changing.KEYS["k_1"] = WIDE
        changing.load("k_1")
        changing.KEYS["k_1"] = NARROW
        changing.load("k_1")
        member = changing.record("update", NARROW)["api_key"]
    assert member["changes"]["power"] == "narrowed"
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.change.lost"] == ("workspace:delete",)


def test_row_about_the_key_is_the_earlier_key_of_the_next(recorder: Recorder, changing: Any) -> None:
    """Each row about a key is compared with the row before."""
    instrument_changes(recorder, changing, "subject=args.subject")
    with recorder.request():
        assert "changes" not in changing.record("create", NARROW)["api_key"]
        assert changing.record("update", WIDE)["api_key"]["changes"]["from"] == NARROW.digest
        assert "changes" not in changing.record("touch", WIDE)["api_key"]


def test_look_up_of_another_request_is_forgotten(recorder: Recorder, changing: Any) -> None:
    """A look-up belongs to its own request."""
    instrument_changes(recorder, changing, "subject=args.subject")
    changing.KEYS["k_1"] = NARROW
    with recorder.request():
        changing.load("k_1")
    with recorder.request():
        assert "changes" not in changing.record("update", WIDE)["api_key"]


def test_unreadable_earlier_key_is_counted(recorder: Recorder, changing: Any) -> None:
    """The row has no changes, and the failure is counted."""
    instrument_changes(recorder, changing, "subject=args.subject&subject_before=args.before.missing")
    with recorder.request():
        assert "changes" not in changing.record("update", WIDE, NARROW)["api_key"]
    assert list(recorder.errors()) == [("audit", "otel_keyaudit.errors.MissingError")]


def test_explicit_equal_key_is_unchanged(recorder: Recorder, changing: Any) -> None:
    """With an explicit earlier key the row says that nothing changed."""
    instrument_changes(recorder, changing, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        changes = changing.record("update", WIDE, WIDE)["api_key"]["changes"]
    assert changes == {"from": WIDE.digest, "power": "unchanged"}


def test_subject_target_does_not_authenticate(recorder: Recorder, changing: Any) -> None:
    """A stored key that is loaded is not the request's key."""
    instrument_changes(recorder, changing, "subject=args.subject")
    changing.KEYS["k_1"] = NARROW
    with recorder.request():
        changing.load("k_1")
        assert "request_api_key" not in (changing.record("list") or {})
    assert recorder.count("keyaudit.authentications") == 0


def test_credential_is_in_no_change(recorder: Recorder, load_module: LoadModule) -> None:
    """A field of the earlier key that contains the presented credential is unknown and counted."""
    app = load_module(CHANGES_APP + "\ndef verify(token):\n    return None\n")
    secret = "s3cret-0123456789"
    name = app.__name__
    instrument_changes(recorder, app, "subject=args.subject", auth_targets=[f"{name}:verify"])
    with recorder.request():
        app.verify(secret)
        app.KEYS["k_1"] = ApiKey("k_1", "ci", [secret], ["workspace:1"])
        app.load("k_1")
        row = app.record("update", NARROW)
    assert row["api_key"]["changes"]["power"] == "unknown"
    assert secret not in repr(row)
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.CredentialError"): 1}
