"""Changes of a key that a row is about."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey
from support.keyaudit import KeyAudit, LoadModule, keyaudit_attributes

APP = """
KEYS = {}

def load(key_id):
    return KEYS.get(key_id)

def record(action, subject=None, before=None, additional_fields=None):
    return additional_fields
"""
NARROW = ApiKey("k_1", "ci", ["workspace:read"], ["workspace:1"])
WIDE = ApiKey("k_1", "ci", ["workspace:delete", "workspace:read"], ["workspace:1"])


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that changes keys."""
    return load_module(APP)


def instrument(keyaudit: KeyAudit, app: Any, audit: str, **options: Any) -> None:
    """Instrument the application."""
    name = app.__name__
    keyaudit.instrument(audit_targets=[f"{name}:record?{audit}"], subject_targets=[f"{name}:load"], **options)


def test_explicit_earlier_key(keyaudit: KeyAudit, app: Any) -> None:
    """The row and its span say what was gained."""
    instrument(keyaudit, app, "subject=args.subject&subject_before=args.before")
    with keyaudit.request():
        member = app.record("update", WIDE, NARROW)["api_key"]
    assert member["changes"] == {
        "from": NARROW.digest,
        "power": "widened",
        "scopes": {"added": ["workspace:delete"], "removed": []},
    }
    shown = keyaudit_attributes(keyaudit.audit_spans()[0])
    assert shown["keyaudit.change.power"] == "widened"
    assert shown["keyaudit.change.gained"] == ("workspace:delete",)
    assert "keyaudit.change.lost" not in shown


def test_first_look_up_of_the_request_is_the_earlier_key(keyaudit: KeyAudit, app: Any) -> None:
    """The application loads the key, changes it and writes the row; a later look-up changes nothing."""
    instrument(keyaudit, app, "subject=args.subject")
    with keyaudit.request():
        app.KEYS["k_1"] = WIDE
        app.load("k_1")
        app.KEYS["k_1"] = NARROW
        app.load("k_1")
        member = app.record("update", NARROW)["api_key"]
    assert member["changes"]["power"] == "narrowed"
    assert keyaudit_attributes(keyaudit.audit_spans()[0])["keyaudit.change.lost"] == ("workspace:delete",)


def test_row_about_the_key_is_the_earlier_key_of_the_next(keyaudit: KeyAudit, app: Any) -> None:
    """After a row, its snapshot is compared with."""
    instrument(keyaudit, app, "subject=args.subject")
    with keyaudit.request():
        assert "changes" not in app.record("create", NARROW)["api_key"]
        assert app.record("update", WIDE)["api_key"]["changes"]["from"] == NARROW.digest
        assert "changes" not in app.record("touch", WIDE)["api_key"]


def test_look_up_of_another_request_is_forgotten(keyaudit: KeyAudit, app: Any) -> None:
    """A snapshot belongs to its request."""
    instrument(keyaudit, app, "subject=args.subject")
    app.KEYS["k_1"] = NARROW
    with keyaudit.request():
        app.load("k_1")
    with keyaudit.request():
        assert "changes" not in app.record("update", WIDE)["api_key"]


def test_unreadable_earlier_key_is_counted(keyaudit: KeyAudit, app: Any) -> None:
    """The row has no changes then."""
    instrument(keyaudit, app, "subject=args.subject&subject_before=args.before.missing")
    with keyaudit.request():
        assert "changes" not in app.record("update", WIDE, NARROW)["api_key"]
    assert list(keyaudit.degraded()) == [("audit", "otel_keyaudit.errors.MissingError")]


def test_explicit_equal_key_is_unchanged(keyaudit: KeyAudit, app: Any) -> None:
    """Somebody asked, so the answer is in the row."""
    instrument(keyaudit, app, "subject=args.subject&subject_before=args.before")
    with keyaudit.request():
        changes = app.record("update", WIDE, WIDE)["api_key"]["changes"]
    assert changes == {"from": WIDE.digest, "power": "unchanged"}


def test_subject_target_does_not_authenticate(keyaudit: KeyAudit, app: Any) -> None:
    """A stored key that is looked up is not the request's."""
    instrument(keyaudit, app, "subject=args.subject")
    app.KEYS["k_1"] = NARROW
    with keyaudit.request():
        app.load("k_1")
        assert "request_api_key" not in (app.record("list") or {})
    assert keyaudit.count("keyaudit.authentications") == 0
