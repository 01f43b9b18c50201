"""Each audit library in Django: the rows of an allowed, a denied and an anonymous request, read from the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, assert_names
from presets.requests import assert_rows_name_the_key, django_requests, server_spans

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


def _column(model: str, name: str) -> Callable[[], list[Any]]:
    """Return a reader of a column of the last rows, oldest first."""

    def read() -> list[Any]:
        module, _, attribute = model.partition(":")
        rows = getattr(import_module(module), attribute).objects.order_by("-pk")[:3]
        return [getattr(row, name) for row in rows][::-1]

    return read


def _messages() -> list[Any]:
    return [json.loads(text)[0] for text in _column("django.contrib.admin.models:LogEntry", "change_message")()]


def _history() -> list[Any]:
    from presets.django_project.models import HistoryNote  # noqa: PLC0415 - not everywhere

    return [row.additional_fields for row in HistoryNote.history.order_by("-history_id")[:3]][::-1]


def _contexts() -> list[Any]:
    from presets.django_project.models import TrackedNote  # noqa: PLC0415 - not everywhere

    events = TrackedNote.pgh_event_model.objects.order_by("-pgh_id").select_related("pgh_context")[:3]
    return [_without(event.pgh_context.metadata, "user") for event in events][::-1]


def _changes() -> list[Any]:
    contexts = _column("field_audit.models:AuditEvent", "change_context")()
    return [_without(context, "username") for context in contexts]


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a row without a member that names the user."""
    return {key: value for key, value in row.items() if key != name}


Case = tuple[Callable[[], list[Any]], list[dict[str, Any]], str | None, str | None]
"""The rows in the database, what they hold without us, the action, the type of the object."""

CASES: dict[str, Case] = {
    "auditlog": (
        _column("auditlog.models:LogEntry", "additional_data"),
        [{"origin": "application"}] * 3,
        "create",
        "django_project.note",
    ),
    "simple-history": (_history, [{}] * 3, "create", "django_project.historynote"),
    "wagtail": (
        _column("wagtail.models:ModelLogEntry", "data"),
        [{"title": "tea"}] * 3,
        "wagtail.create",
        "django_project.auditrow",
    ),
    "django-admin": (_messages, [{"changed": {"fields": ["Action"]}}] * 3, "update", "django_project.auditrow"),
    "field-audit": (_changes, [{"user_type": "RequestUser"}, {}, {}], None, None),
}
ON_POSTGRESQL: dict[str, Case] = {
    "pghistory": (_contexts, [{"url": "/open"}] * 3, "create", None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_row_in_the_database_names_the_key(name: str, on_each: Recorder) -> None:
    """Only the allowed request's row has the key, after the application's members."""
    _assert_rows(name, on_each)


def test_an_event_of_pghistory_names_the_key(recorder_on_postgresql: Recorder) -> None:
    """The preset "pghistory": triggers write the event, with the context that goes with the statement."""
    _assert_rows("pghistory", recorder_on_postgresql)


def _assert_rows(name: str, recorder: Recorder) -> None:
    from presets.django_project.credentials import oauth_toolkit  # noqa: PLC0415 - not everywhere

    rows, application, action, kind = (CASES | ON_POSTGRESQL)[name]
    credential = oauth_toolkit()
    recorder.instrument(presets=["oauth-toolkit", name])

    write = {"X-Write": name}
    answers = django_requests(recorder, "open", credential.allowed | write, credential.denied | write, write)

    assert answers == [201, 201, 201]
    assert_rows_name_the_key(recorder, credential, rows(), application, action)
    spans = [span.attributes or {} for span in recorder.spans if span.name.startswith("audit")]
    assert [span.get("keyaudit.resource.type") for span in spans] == [kind] * 3


def test_easy_audit_shows_the_write_on_a_span_and_leaves_the_row_alone(recorder: Recorder) -> None:
    """The row of easy-audit has no place for a key, so only the span names it."""
    from easyaudit.models import CRUDEvent  # noqa: PLC0415 - not everywhere

    from presets.django_project.credentials import oauth_toolkit  # noqa: PLC0415 - not everywhere

    credential = oauth_toolkit()
    recorder.instrument(presets=["oauth-toolkit", "easy-audit"])

    write = {"X-Write": "easy-audit"}
    django_requests(recorder, "open", credential.allowed | write, credential.denied | write, write)

    ids = [(span.attributes or {}).get("keyaudit.key.id") for span in recorder.spans if span.name == "audit create"]
    assert ids == [credential.snapshot["id"], None, None]
    assert "api_key" not in str(list(CRUDEvent.objects.values()))
    assert [span.get("keyaudit.outcome") for span in server_spans(recorder)] == ["accepted", "denied", None]
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 2, "failed": 0}
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)


def test_easy_audit_names_each_change_of_a_relation(recorder: Recorder) -> None:
    """The action of a change of many-to-many relations is what was done, also from the other side."""
    from presets.django_project.models import EasyAuditNote, Label  # noqa: PLC0415 - not everywhere

    note, label = EasyAuditNote.objects.create(title="tea"), Label.objects.create(name="hot")
    recorder.instrument(presets="easy-audit")
    with recorder.request():
        note.labels.add(label)
        note.labels.remove(label)
        note.labels.set([label])
        note.labels.clear()
        label.easyauditnote_set.add(note)

    actions = [(span.attributes or {})["keyaudit.action"] for span in recorder.audit_spans()]
    assert actions == ["m2m_add", "m2m_remove", "m2m_add", "m2m_clear", "m2m_add"]


def test_wagtail_observes_each_way_to_log(recorder: Recorder) -> None:
    """The manager of the log entries is observed, so a call without the registry is not missed."""
    from django.utils.functional import SimpleLazyObject  # noqa: PLC0415 - not everywhere
    from wagtail.log_actions import log  # noqa: PLC0415
    from wagtail.models import ModelLogEntry  # noqa: PLC0415

    from presets.django_project.models import AuditRow  # noqa: PLC0415

    row = AuditRow.objects.create(action="tea")
    lazy = SimpleLazyObject(lambda: row)
    assert lazy.pk == row.pk  # creates the object
    recorder.instrument(presets="wagtail")
    with recorder.request(), use_key(ApiKey("key-1")):
        log(row, "wagtail.create")
        log(lazy, "wagtail.edit", data=None)
        ModelLogEntry.objects.log_action(row, "wagtail.edit", data={"title": "tea"})

    entries = list(ModelLogEntry.objects.order_by("-pk")[:3])
    for entry in entries:
        assert_names(entry.data, "key-1")
    assert entries[0].data["title"] == "tea"
    ids = [(span.attributes or {})["keyaudit.resource.id"] for span in recorder.audit_spans()]
    assert ids == [str(row.pk)] * 3
    assert recorder.writes() == {"attributed": 3, "ambiguous": 0, "none": 0, "failed": 0}
    assert recorder.degraded() == {}


def test_wagtail_without_a_log_for_an_object_writes_nothing(recorder: Recorder) -> None:
    """The registry ignores objects for which no model of log entries is registered, so no write is counted."""
    from wagtail.log_actions import log  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="wagtail")
    with recorder.request(), use_key(ApiKey("key-1")):
        log(object(), "wagtail.edit")

    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 0}
    assert recorder.audit_spans() == []
    assert recorder.degraded() == {}


def test_keysmith_names_the_key_in_its_own_log_also_as_the_subject(recorder: Recorder) -> None:
    """The library's own log has the key of the request, and no key for a refused request."""
    from keysmith.models import TokenAuditLog  # noqa: PLC0415 - not everywhere

    from presets.django_project.credentials import keysmith  # noqa: PLC0415 - not everywhere

    credential = keysmith()
    recorder.instrument(presets="keysmith")

    django_requests(recorder, "keysmith", credential.allowed, credential.denied, {})

    success, failure = TokenAuditLog.objects.order_by("-pk")[:2][::-1]
    assert success.extra["request_api_key"]["id"] == success.extra["api_key"]["id"] == credential.snapshot["id"]
    assert failure.extra == {"error_code": "invalidtoken"}
    assert [span.get("keyaudit.outcome") for span in server_spans(recorder)] == ["accepted", "denied", None]
    assert server_spans(recorder)[0]["keyaudit.key.id"] == credential.snapshot["id"]
    assert recorder.degraded() == {}
    recorder.rows += [success.extra, failure.extra]
    recorder.assert_no_secret(*credential.secrets)


def test_an_object_whose_primary_key_is_a_secret_is_not_named_on_a_span(recorder: Recorder) -> None:
    """A log entry about a token contains the token; the library does not repeat it."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere
    from django.contrib.auth.models import User  # noqa: PLC0415
    from rest_framework.authtoken.models import Token  # noqa: PLC0415

    token = Token.objects.create(user=User.objects.create_user("owner-of-a-logged-token"))
    recorder.instrument(presets=["auditlog", "drf-token"])

    LogEntry.objects.log_create(token, force_log=True, action=0)

    (span,) = [span for span in recorder.spans if span.name == "audit create"]
    assert span.attributes is not None
    assert span.attributes["keyaudit.resource.type"] == "authtoken.token"
    recorder.assert_no_secret(token.key)


def test_members_that_the_application_adds_to_the_context_of_pghistory_stay(recorder_on_postgresql: Recorder) -> None:
    """Members added before and after a statement stay; the shared metadata has the key of the last statement."""
    import pghistory  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import TrackedNote  # noqa: PLC0415 - when it is set up

    recorder_on_postgresql.instrument(presets="pghistory")
    with recorder_on_postgresql.request(), pghistory.context(origin="application") as context:
        with use_key(ApiKey("key-1")):
            TrackedNote.objects.create(title="tea")
        pghistory.context(more=1)
        with use_key(ApiKey("key-2")):
            TrackedNote.objects.create(title="coffee")

    row = TrackedNote.pgh_event_model.objects.latest("pgh_id").pgh_context.metadata
    assert_names(row, "key-2")
    assert {name: value for name, value in row.items() if name != "request_api_key"} == {
        "origin": "application",
        "more": 1,
    }
    assert context.metadata == row
    assert recorder_on_postgresql.writes() == {"attributed": 2, "ambiguous": 0, "none": 0, "failed": 0}
    assert recorder_on_postgresql.degraded() == {}


@pytest.mark.parametrize(
    ("statement", "calls"),
    [
        ("UPDATE django_project_trackednote SET title = 'tea'", 1),
        ("  /* traceparent='00' */\n-- by the loader\nUPDATE django_project_trackednote SET title = 'tea'", 1),
        ("/* update */ SELECT title FROM django_project_trackednote", 0),
    ],
)
def test_statement_of_pghistory_may_begin_with_a_comment(
    statement: str, calls: int, recorder_on_postgresql: Recorder
) -> None:
    """Some libraries write the trace or the place in the code into a comment in front of each statement."""
    import pghistory  # noqa: PLC0415 - not everywhere
    from django.db import connection  # noqa: PLC0415 - not everywhere

    recorder_on_postgresql.instrument(presets="pghistory")
    with recorder_on_postgresql.request(), pghistory.context(), use_key(ApiKey("key-1")), connection.cursor() as cursor:
        cursor.execute(statement)

    assert recorder_on_postgresql.writes()["attributed"] == calls
    assert len([span for span in recorder_on_postgresql.spans if span.name == "audit update"]) == calls
