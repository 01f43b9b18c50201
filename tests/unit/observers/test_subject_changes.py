"""Changes of a key that a row is about."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.modules import LoadModule

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


def instrument(recorder: Recorder, app: Any, audit: str, **options: Any) -> None:
    """Instrument the application."""
    name = app.__name__
    recorder.instrument(audit_targets=[f"{name}:record?{audit}"], subject_targets=[f"{name}:load"], **options)


def test_explicit_earlier_key(recorder: Recorder, app: Any) -> None:
    """The row and its span say what was gained."""
    instrument(recorder, app, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        member = app.record("update", WIDE, NARROW)["api_key"]
    assert member["changes"] == {
        "from": NARROW.digest,
        "power": "widened",
        "scopes": {"added": ["workspace:delete"], "removed": []},
    }
    shown = keyaudit_attributes(recorder.audit_spans()[0])
    assert shown["keyaudit.change.power"] == "widened"
    assert shown["keyaudit.change.gained"] == ("workspace:delete",)
    assert "keyaudit.change.lost" not in shown


def test_first_look_up_of_the_request_is_the_earlier_key(recorder: Recorder, app: Any) -> None:
    """The application loads the key, changes it and writes the row; a later look-up changes nothing."""
    instrument(recorder, app, "subject=args.subject")
    with recorder.request():
        app.KEYS["k_1"] = WIDE
        app.load("k_1")
        app.KEYS["k_1"] = NARROW
        app.load("k_1")
        member = app.record("update", NARROW)["api_key"]
    assert member["changes"]["power"] == "narrowed"
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.change.lost"] == ("workspace:delete",)


def test_row_about_the_key_is_the_earlier_key_of_the_next(recorder: Recorder, app: Any) -> None:
    """After a row, its snapshot is compared with."""
    instrument(recorder, app, "subject=args.subject")
    with recorder.request():
        assert "changes" not in app.record("create", NARROW)["api_key"]
        assert app.record("update", WIDE)["api_key"]["changes"]["from"] == NARROW.digest
        assert "changes" not in app.record("touch", WIDE)["api_key"]


def test_look_up_of_another_request_is_forgotten(recorder: Recorder, app: Any) -> None:
    """A snapshot belongs to its request."""
    instrument(recorder, app, "subject=args.subject")
    app.KEYS["k_1"] = NARROW
    with recorder.request():
        app.load("k_1")
    with recorder.request():
        assert "changes" not in app.record("update", WIDE)["api_key"]


def test_unreadable_earlier_key_is_counted(recorder: Recorder, app: Any) -> None:
    """The row has no changes then."""
    instrument(recorder, app, "subject=args.subject&subject_before=args.before.missing")
    with recorder.request():
        assert "changes" not in app.record("update", WIDE, NARROW)["api_key"]
    assert list(recorder.errors()) == [("audit", "otel_keyaudit.errors.MissingError")]


def test_explicit_equal_key_is_unchanged(recorder: Recorder, app: Any) -> None:
    """Somebody asked, so the answer is in the row."""
    instrument(recorder, app, "subject=args.subject&subject_before=args.before")
    with recorder.request():
        changes = app.record("update", WIDE, WIDE)["api_key"]["changes"]
    assert changes == {"from": WIDE.digest, "power": "unchanged"}


def test_subject_target_does_not_authenticate(recorder: Recorder, app: Any) -> None:
    """A stored key that is looked up is not the request's."""
    instrument(recorder, app, "subject=args.subject")
    app.KEYS["k_1"] = NARROW
    with recorder.request():
        app.load("k_1")
        assert "request_api_key" not in (app.record("list") or {})
    assert recorder.count("keyaudit.authentications") == 0
