"""Audit rows about an API key: its snapshot, and how the key has changed."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuditTarget, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes


class Template:
    id = "t_1"


def instrument(
    recorder: Recorder, shop: Any, fields: str = "subject=args.subject", auth: str = "", **options: Any
) -> None:
    """Instrument the shop with a subject."""
    shop.instrument(recorder, auth, f"?{fields}", **options)


def test_an_api_key_is_a_subject(recorder: Recorder, shop: Any) -> None:
    """An ApiKey is written in full, without trace ids, also when the request has no key."""
    instrument(recorder, shop)
    key = ApiKey("k_2", "new", ["a:read"], [], "u_1")
    shop.record("api_key.create", subject=key)
    rows: list[object] = shop.ROWS
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


def test_a_class_that_authenticated_is_a_subject(recorder: Recorder, shop: Any) -> None:
    """Objects of a class are keys after an authentication target returned one."""
    instrument(recorder, shop)
    shop.record("create", {}, shop.Key("k_2"))
    with recorder.request():
        shop.verify(shop.Key("k_1"))
        shop.record("create", {}, shop.Key("k_2"))
    assert shop.ROWS[0] == {}
    assert shop.ROWS[1]["request_api_key"]["id"] == "k_1"
    assert shop.ROWS[1]["api_key"]["id"] == "k_2"


def test_a_class_that_was_refused_is_a_subject(recorder: Recorder, shop: Any) -> None:
    """An expired key also shows that its class is a class of keys."""
    instrument(recorder, shop, auth="?valid=active")
    with recorder.request():
        shop.verify(shop.Key("k_1", active=False))
        shop.record("delete", {}, shop.Key("k_1"))
    assert "request_api_key" not in shop.ROWS[0]
    assert shop.ROWS[0]["api_key"]["id"] == "k_1"


def test_class_of_an_excluded_call_is_no_subject(recorder: Recorder, shop: Any) -> None:
    """A session that ``when`` excludes does not make sessions keys."""
    instrument(recorder, shop, auth="?when=kind|is:api")
    with recorder.request():
        shop.verify(shop.Key("s_1", kind="session"))
        shop.record("create", {}, shop.Key("s_2"))
    assert shop.ROWS == [{}]


def test_its_fields_are_read_as_those_of_the_authentication(recorder: Recorder, shop: Any) -> None:
    """A subject is read with the fields of the authentication target of its class."""
    instrument(recorder, shop, auth="?id=prefix&scopes=grants|split&name=return.id")
    with recorder.request():
        shop.verify(shop.Key("x", prefix="p_1", grants="a:read a:write", name="one"))
        shop.record("create", {}, shop.Key("x", prefix="p_2", grants="a:read", name="two"))
    subject = shop.ROWS[0]["api_key"]
    assert (subject["id"], subject["scopes"], subject["name"]) == ("p_2", ["a:read"], "two")


def test_a_field_of_the_audit_target_wins(recorder: Recorder, shop: Any) -> None:
    """Fields of the audit target override those of the authentication target."""
    instrument(recorder, shop, "subject=args.subject&subject_id=number", auth="?id=prefix")
    with recorder.request():
        shop.verify(shop.Key("x", prefix="p_1"))
        shop.record("create", {}, shop.Key("x", prefix="p_2", number=7))
    assert shop.ROWS[0]["api_key"]["id"] == "7"


@pytest.mark.parametrize("subject", [{"id": "k_2"}, "k_2", 7, None, ["k_2"]])
def test_a_builtin_type_is_no_subject(recorder: Recorder, shop: Any, subject: object) -> None:
    """A builtin type is never a class of keys, although an authentication returned one."""
    instrument(recorder, shop)
    with recorder.request():
        shop.verify({"id": "k_1"})
        shop.record("create", {}, subject)
    assert "api_key" not in shop.ROWS[0]
    assert recorder.errors() == {}


def test_a_mapping_with_fields_given_is_a_subject(recorder: Recorder, shop: Any) -> None:
    """With ``subject_`` fields any object is a key."""
    instrument(recorder, shop, "subject=args.subject&subject_id=id&subject_scopes=scope|split")
    shop.record("create", {}, {"id": 9, "scope": "a:read"})
    assert shop.ROWS[0]["api_key"]["id"] == "9"
    assert shop.ROWS[0]["api_key"]["scopes"] == ["a:read"]


def test_another_object_is_no_subject(recorder: Recorder, shop: Any) -> None:
    """A row about another object has no ``api_key`` and no attribute on its span."""
    instrument(recorder, shop)
    with recorder.request():
        shop.verify(shop.Key("k_1"))
        shop.record("create", {}, Template())
    assert "api_key" not in shop.ROWS[0]
    (span,) = recorder.audit_spans()
    assert "keyaudit.subject.id" not in keyaudit_attributes(span)


def test_a_subject_is_on_its_span_by_id_alone(recorder: Recorder, shop: Any) -> None:
    """The span has only the id of the subject, and no detail without a request key."""
    instrument(recorder, shop)
    shop.record("create", subject=ApiKey("k_2", scopes=["a:read"]))
    (span,) = recorder.audit_spans()
    assert keyaudit_attributes(span) == {"keyaudit.action": "create", "keyaudit.subject.id": "k_2"}


def test_a_row_about_a_key_is_full(recorder: Recorder, shop: Any) -> None:
    """Rows about a key are always full, for both keys, with ``actions`` and ``on_change``."""
    for sampler, argument in (("actions", "delete"), ("on_change", None)):
        shop.ROWS.clear()
        instrument(recorder, shop, sampler=sampler, sampler_arg=argument)
        with use_key(ApiKey("k_1")):
            shop.record("create", subject=ApiKey("k_2"))
            shop.record("create", subject=ApiKey("k_2"))
        assert [row[name]["detail"] for row in shop.ROWS for name in ("request_api_key", "api_key")] == ["full"] * 4
        recorder.uninstrument()


def test_a_minimal_subject(recorder: Recorder, shop: Any) -> None:
    """A sampler that chooses minimal applies to the subject too."""
    instrument(recorder, shop, sampler="always_minimal")
    shop.record("create", subject=ApiKey("k_2", scopes=["a:read"]))
    assert shop.ROWS[0]["api_key"].keys() == {"id", "digest", "detail"}


def test_both_names_are_reserved(recorder: Recorder, shop: Any) -> None:
    """A client's own ``api_key`` is renamed, with or without a subject in the call."""
    instrument(recorder, shop)
    shop.record("create", {"api_key": {"id": "forged"}})
    shop.record("create", {"api_key": 1, "api_key_unverified": 2}, ApiKey("k_2"))
    assert shop.ROWS[0] == {"api_key_unverified": {"id": "forged"}}
    assert shop.ROWS[1]["api_key_unverified_unverified"] == 1
    assert shop.ROWS[1]["api_key_unverified"] == 2
    assert shop.ROWS[1]["api_key"]["id"] == "k_2"


def test_without_a_subject_configured_its_name_is_free(recorder: Recorder, shop: Any) -> None:
    """Only request_field is reserved on a target without a subject."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    shop.record("create", {"api_key": 1})
    assert shop.ROWS == [{"api_key": 1}]


def test_unreadable_subject_affects_only_itself(recorder: Recorder, shop: Any) -> None:
    """Without its id the row has the request's key, no subject, and one degraded call."""
    instrument(recorder, shop)
    with recorder.request():
        shop.verify(shop.Key("k_1"))
        shop.record("create", {}, object.__new__(shop.Key))
    assert shop.ROWS[0].keys() == {"request_api_key"}
    assert recorder.writes()["attributed"] == 1
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.MissingError"): 1}


def test_a_subject_may_come_from_a_function(recorder: Recorder, shop: Any) -> None:
    """A function of the user can return an ``ApiKey`` as the subject."""
    target = AuditTarget(f"{shop.__name__}:record", subject=lambda call: ApiKey(call.args["subject"]))
    recorder.instrument(audit_targets=[target])
    shop.record("create", subject="k_5")
    assert shop.ROWS[0]["api_key"]["id"] == "k_5"


class Record:
    """A row of a table that holds the key in one of its columns."""

    def __init__(self, stored: ApiKey) -> None:
        self.stored = stored


NARROW = ApiKey("k_1", "ci", ["workspace:read"], ["workspace:1"])
WIDE = ApiKey("k_1", "ci", ["workspace:delete", "workspace:read"], ["workspace:1"])


def instrument_changes(recorder: Recorder, shop: Any, audit: str) -> None:
    """Instrument the shop, which loads stored keys."""
    shop.instrument(recorder, audit=f"?{audit}", subject_targets=[f"{shop.__name__}:load"])


def test_explicit_earlier_key(recorder: Recorder, shop: Any) -> None:
    """Row and span show the difference to the given earlier key."""
    instrument_changes(recorder, shop, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        member = shop.record("update", subject=WIDE, before=NARROW)["api_key"]
    assert member["changes"] == {
        "from": NARROW.digest,
        "power": "widened",
        "scopes": {"added": ["workspace:delete"], "removed": []},
    }
    shown = keyaudit_attributes(recorder.audit_spans()[0])
    assert shown["keyaudit.change.power"] == "widened"
    assert shown["keyaudit.change.gained"] == ("workspace:delete",)
    assert "keyaudit.change.lost" not in shown


def test_first_look_up_of_the_request_is_the_earlier_key(recorder: Recorder, shop: Any) -> None:
    """The key as it was first loaded in the request is compared; later look-ups change nothing."""
    instrument_changes(recorder, shop, "subject=args.subject")
    with recorder.request():
        shop.KEYS["k_1"] = WIDE
        shop.load("k_1")
        shop.KEYS["k_1"] = NARROW
        shop.load("k_1")
        member = shop.record("update", subject=NARROW)["api_key"]
    assert member["changes"]["power"] == "narrowed"
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.change.lost"] == ("workspace:delete",)


@pytest.mark.parametrize(
    ("fields", "is_remembered"),
    [
        ("?key=return.stored", True),
        ("?key=return.stored&when=name|is:ci", True),
        ("?key=return.stored&when=name|is:other", False),
        ("?key=return.missing", False),
        ("", False),
    ],
)
def test_key_inside_the_result_is_the_earlier_key(
    recorder: Recorder, shop: Any, fields: str, is_remembered: bool
) -> None:
    """``key`` names its place, and a relative condition is read from it."""
    shop.instrument(recorder, audit="?subject=args.subject", subject_targets=[f"{shop.__name__}:load{fields}"])
    shop.KEYS["k_1"] = Record(NARROW)
    with recorder.request():
        shop.load("k_1")
        member = shop.record("update", subject=WIDE)["api_key"]
    assert ("changes" in member) == is_remembered


def test_look_up_outside_of_a_request_is_forgotten(recorder: Recorder, shop: Any) -> None:
    """There is no request whose later row could be compared, and nothing has failed."""
    instrument_changes(recorder, shop, "subject=args.subject")
    shop.KEYS["k_1"] = NARROW
    shop.load("k_1")
    assert "changes" not in shop.record("update", subject=WIDE)["api_key"]
    assert recorder.errors() == {}


def test_order_of_a_list_is_no_change(recorder: Recorder, shop: Any) -> None:
    """A look-up that read the same scopes in another order is an equal snapshot, as its digest says."""
    instrument_changes(recorder, shop, "subject=args.subject")
    with recorder.request():
        shop.KEYS["k_1"] = ApiKey("k_1", "ci", ["workspace:read", "workspace:delete"], ["workspace:1"])
        shop.load("k_1")
        member = shop.record("update", subject=WIDE)["api_key"]
    assert "changes" not in member


def test_row_about_the_key_is_the_earlier_key_of_the_next(recorder: Recorder, shop: Any) -> None:
    """Each row about a key is compared with the row before."""
    instrument_changes(recorder, shop, "subject=args.subject")
    with recorder.request():
        assert "changes" not in shop.record("create", subject=NARROW)["api_key"]
        assert shop.record("update", subject=WIDE)["api_key"]["changes"]["from"] == NARROW.digest
        assert "changes" not in shop.record("touch", subject=WIDE)["api_key"]


def test_look_up_of_another_request_is_forgotten(recorder: Recorder, shop: Any) -> None:
    """A look-up belongs to its own request."""
    instrument_changes(recorder, shop, "subject=args.subject")
    shop.KEYS["k_1"] = NARROW
    with recorder.request():
        shop.load("k_1")
    with recorder.request():
        assert "changes" not in shop.record("update", subject=WIDE)["api_key"]


def test_unreadable_earlier_key_is_counted(recorder: Recorder, shop: Any) -> None:
    """The row has no changes, and the failure is counted."""
    instrument_changes(recorder, shop, "subject=args.subject&subject_before=args.before.missing")
    with recorder.request():
        assert "changes" not in shop.record("update", subject=WIDE, before=NARROW)["api_key"]
    assert list(recorder.errors()) == [("audit", "otel_keyaudit.errors.MissingError")]


def test_explicit_equal_key_is_unchanged(recorder: Recorder, shop: Any) -> None:
    """With an explicit earlier key the row says that nothing changed."""
    instrument_changes(recorder, shop, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        changes = shop.record("update", subject=WIDE, before=WIDE)["api_key"]["changes"]
    assert changes == {"from": WIDE.digest, "power": "unchanged"}


@pytest.mark.parametrize("when", ["id|is:", "args.name|is:", "return.id|is:"])
def test_look_up_that_when_excludes_is_forgotten(recorder: Recorder, shop: Any, when: str) -> None:
    """A condition may read the key object, an argument or the result, and the status has the number of its calls."""
    load = f"{shop.__name__}:load?when={when}k_1"
    shop.instrument(recorder, audit="?subject=args.subject", subject_targets=[load])
    shop.KEYS |= {"k_1": NARROW, "k_2": ApiKey("k_2")}
    with recorder.request():
        shop.load("k_1")
        shop.load("k_2")
        assert shop.record("update", subject=WIDE)["api_key"]["changes"]["from"] == NARROW.digest
        assert "changes" not in shop.record("update", subject=ApiKey("k_2", "new"))["api_key"]
    status = recorder.status()[load]
    assert (status.calls, status.reason) == (1, "all of its calls are observed; its 'when' excluded 1 call")
    assert recorder.errors() == {}


def test_second_subject_target_observes_a_call_that_the_first_excludes(recorder: Recorder, shop: Any) -> None:
    """Each call is observed by the first target whose ``when`` holds."""
    load = f"{shop.__name__}:load?when=args.name|is:"
    shop.instrument(recorder, audit="?subject=args.subject", subject_targets=[f"{load}other", f"{load}k_*"])
    shop.KEYS["k_1"] = NARROW
    with recorder.request():
        shop.load("k_1")
        assert "changes" in shop.record("update", subject=WIDE)["api_key"]


def test_subject_target_does_not_authenticate(recorder: Recorder, shop: Any) -> None:
    """A stored key that is loaded is not the request's key."""
    instrument_changes(recorder, shop, "subject=args.subject")
    shop.KEYS["k_1"] = NARROW
    with recorder.request():
        shop.load("k_1")
        assert "request_api_key" not in (shop.record("list") or {})
    assert recorder.count("keyaudit.authentications") == 0


def test_credential_is_in_no_change(recorder: Recorder, shop: Any) -> None:
    """A field of the earlier key that contains the presented credential is unknown and counted."""
    secret = "s3cret-0123456789"
    instrument_changes(recorder, shop, "subject=args.subject")
    with recorder.request():
        with pytest.raises(PermissionError):
            shop.verify(secret, PermissionError())
        shop.KEYS["k_1"] = ApiKey("k_1", "ci", [secret], ["workspace:1"])
        shop.load("k_1")
        row = shop.record("update", subject=NARROW)
    assert row["api_key"]["changes"]["power"] == "unknown"
    assert secret not in repr(row)
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.CredentialError"): 1}
