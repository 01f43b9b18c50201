"""The log entries of Django's admin: each form of a change message, and what the admin shows of it."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries

ADDITION, CHANGE, DELETION = 1, 2, 3
TITLE = {"changed": {"fields": ["Title"]}}
LINE = {"added": {"name": "line", "object": "one"}}


KEY = ApiKey("k_1")


def _log(recorder: Recorder, flag: int, message: Any = None, key: ApiKey | None = KEY, changed: Any = None) -> Any:
    """Log a change of an object in a request with a key; return the entry from the database."""
    from django.contrib.admin.models import LogEntry  # noqa: PLC0415 - not everywhere
    from django.contrib.auth.models import User  # noqa: PLC0415

    from presets.django_project.models import EasyAuditNote  # noqa: PLC0415

    user = User.objects.get_or_create(username="editor")[0]
    objects = [changed or EasyAuditNote.objects.create(title="tea")]
    messages = [] if message is None else [message]
    with recorder.request(), use_key(key):
        LogEntry.objects.log_actions(user.pk, objects, flag, *messages)
    return LogEntry.objects.latest("pk")


def _without_key(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "request_api_key"}


@pytest.mark.parametrize(
    ("flag", "message", "shown"),
    [
        (ADDITION, [{"added": {}}], "Added."),
        (CHANGE, [TITLE, LINE], "Changed Title. Added line “one”."),
        (CHANGE, [], "No fields changed."),
    ],
)
def test_list_has_the_key_and_is_shown_as_before(
    flag: int, message: list[dict[str, Any]], shown: str, recorder: Recorder
) -> None:
    """The key is in each element, in an empty list in an element of its own; the admin's sentence does not change."""
    recorder.instrument(presets="django-admin")

    entry = _log(recorder, flag, [dict(part) for part in message])

    parts = json.loads(entry.change_message)
    assert [_without_key(part) for part in parts if _without_key(part)] == message
    for part in parts:
        assert_names(part, "k_1")
    assert len(parts) == (len(message) or 1)
    assert entry.get_change_message() == shown
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}
    assert recorder.degraded() == {}


@pytest.mark.parametrize("message", [None, "", []])
def test_deletion_has_the_key(message: Any, recorder: Recorder) -> None:
    """The admin logs a deletion without a message."""
    recorder.instrument(presets="django-admin")

    entry = _log(recorder, DELETION, message)

    (part,) = json.loads(entry.change_message)
    assert list(part) == ["request_api_key"]
    assert_names(part, "k_1")
    assert str(entry).startswith("Deleted “")
    assert [span.name for span in recorder.audit_spans()] == ["audit delete"]
    assert recorder.writes()["attributed"] == 1


@pytest.mark.parametrize(("flag", "message"), [(DELETION, None), (CHANGE, []), (CHANGE, "by hand"), (CHANGE, "")])
def test_entry_without_a_key_stays_as_it_is(flag: int, message: Any, recorder: Recorder) -> None:
    """Nothing is added, and nothing has failed."""
    recorder.instrument(presets="django-admin")

    entry = _log(recorder, flag, message, key=None)

    assert entry.change_message == (json.dumps(message) if isinstance(message, list) else message or "")
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 1, "failed": 0}
    assert recorder.degraded() == {}


@pytest.mark.parametrize(
    ("flag", "message"), [(CHANGE, "by hand"), (CHANGE, ""), (DELETION, "by hand"), (CHANGE, '[{"added": {}}]')]
)
def test_string_stays_as_it_is_and_is_counted(flag: int, message: str, recorder: Recorder) -> None:
    """The admin shows a string as it is, so the write counts as failed, with the remedy."""
    recorder.instrument(presets="django-admin")

    entry = _log(recorder, flag, message)

    assert entry.change_message == message
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 1}
    assert "pass a list" in [log.getMessage() for log in recorder.logs if log.levelname == "WARNING"][-1]


def test_deleted_key_has_its_snapshot(recorder: Recorder) -> None:
    """The snapshot of a deleted key is in the row, with and without a key of the request."""
    from drf_scoped_permissions.models import ScopedAPIKey  # noqa: PLC0415 - not everywhere

    deleted, secret = ScopedAPIKey.objects.create_key(name="loader", scopes=["note.read"])
    recorder.instrument(presets=["django-admin", "drf-scoped-permissions"])

    for key in (KEY, None):
        entry = _log(recorder, DELETION, changed=deleted, key=key)
        (part,) = json.loads(entry.change_message)
        assert assert_names(part, deleted.prefix, member="api_key")["scopes"] == ["note.read"]
        if key is None:
            assert_names_no_key(part)
        recorder.rows.append(part)
    recorder.assert_no_secret(secret, deleted.hashed_key)


def test_query_set_is_read_only_if_it_is_loaded(recorder: Recorder) -> None:
    """The admin has loaded the objects that it deletes; the library loads no query set itself."""
    from django.contrib.admin.models import LogEntry  # noqa: PLC0415 - not everywhere
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415
    from drf_scoped_permissions.models import ScopedAPIKey  # noqa: PLC0415

    deleted, _ = ScopedAPIKey.objects.create_key(name="loader", scopes=["note.read"])
    user = User.objects.get_or_create(username="editor")[0]
    selected = ScopedAPIKey.objects.filter(pk=deleted.pk)
    LogEntry.objects.log_actions(user.pk, [deleted], DELETION)  # looks up the type of the object for the first time
    recorder.instrument(presets=["django-admin", "drf-scoped-permissions"])

    statements = []
    for objects in (selected.all(), selected):
        len(selected)
        with recorder.request(), use_key(KEY), CaptureQueriesContext(connection) as queries:
            LogEntry.objects.log_actions(user.pk, objects, DELETION)
        statements.append([query["sql"].split()[0] for query in queries])
        (part,) = json.loads(LogEntry.objects.latest("pk").change_message)
        assert ("api_key" in part) is (objects is selected)

    assert statements == [["SELECT", "INSERT"], ["INSERT"]]


def test_log_action_has_the_key(recorder: Recorder) -> None:
    """The method that Django 6 removed is observed where it exists."""
    from django.contrib.admin.models import LogEntry  # noqa: PLC0415 - not everywhere
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415

    recorder.instrument(presets="django-admin")
    user = User.objects.get_or_create(username="editor")[0]
    arguments = (user.pk, ContentType.objects.get_for_model(User).pk, user.pk, "editor")
    with recorder.request(), use_key(KEY), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        changed = LogEntry.objects.log_action(*arguments, CHANGE, [dict(TITLE)])
        deleted = LogEntry.objects.log_action(*arguments, DELETION)

    for entry in (changed, deleted):
        entry.refresh_from_db()
        assert_names(json.loads(entry.change_message)[0], "k_1")
    assert changed.get_change_message() == "Changed Title."
    assert [span.name for span in recorder.audit_spans()] == ["audit update", "audit delete"]
    assert recorder.writes() == {"attributed": 2, "ambiguous": 0, "none": 0, "failed": 0}


@pytest.mark.parametrize("way", ["delete", "delete selected", "save without a change"])
def test_admin_of_a_model_writes_the_key(way: str, recorder: Recorder) -> None:
    """The methods that the views of the admin call pass no message or an empty list."""
    from django.contrib import admin  # noqa: PLC0415 - not everywhere
    from django.contrib.admin.models import LogEntry  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.contrib.messages.storage.cookie import CookieStorage  # noqa: PLC0415
    from django.test import RequestFactory  # noqa: PLC0415

    from presets.django_project.models import EasyAuditNote  # noqa: PLC0415

    note = EasyAuditNote.objects.create(title="tea")
    site = admin.AdminSite()
    site.register(EasyAuditNote)
    page = site._registry[EasyAuditNote]
    recorder.instrument(presets="django-admin")
    request: Any = RequestFactory().post("/", {"title": "tea"})
    request.user = User.objects.create_superuser(f"admin of {way}")
    request._messages = CookieStorage(request)
    form = page.get_form(request, note, change=True)({"title": "tea"}, instance=note)
    assert form.is_valid()

    with recorder.request(), use_key(KEY):
        if way == "delete":
            page.log_deletions(request, [note])
        elif way == "delete selected":
            page.log_deletions(request, EasyAuditNote.objects.filter(pk=note.pk))
        else:
            page.log_change(request, note, page.construct_change_message(request, form, []))

    entry = LogEntry.objects.latest("pk")
    assert_names(json.loads(entry.change_message)[0], "k_1")
    assert entry.get_change_message() == "No fields changed."
    assert recorder.writes()["attributed"] == 1
