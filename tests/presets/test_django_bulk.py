"""Rows that audit libraries for Django create in bulk, and rows that are saved more than once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


def _write(recorder: Recorder, write: Callable[[], Any], key: str = "k_1") -> Any:
    """Write in a request with a key."""
    with recorder.request(), use_key(ApiKey(key)):
        return write()


def _counted(recorder: Recorder, **writes: int) -> None:
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 0, **writes}


def _history(model: Any, number: int) -> list[Any]:
    return list(model.history.order_by("-history_id")[:number])[::-1]


def test_bulk_create_with_history_names_the_key_in_each_row(on_each: Recorder) -> None:
    """The records are created by ``bulk_create``, and none of them is saved."""
    from simple_history.utils import bulk_create_with_history  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415

    on_each.instrument(presets="simple-history")
    notes = [HistoryNote(title="tea"), HistoryNote(title="coffee")]
    created = _write(on_each, lambda: bulk_create_with_history(notes, HistoryNote))

    records = _history(HistoryNote, 2)
    assert [record.id for record in records] == [note.pk for note in created]
    for record in records:
        assert_names(record.additional_fields, "k_1")
    _counted(on_each, attributed=1)
    (span,) = on_each.audit_spans()
    assert span.name == "audit create"
    assert (span.attributes or {})["keyaudit.resource.type"] == "django_project.historynote"
    assert on_each.degraded() == {}


@pytest.mark.parametrize("fields", [["title"], []])
def test_bulk_update_with_history_names_the_key_in_each_row(fields: list[str], recorder: Recorder) -> None:
    """Rows have the key too if only records are created and no field is updated."""
    from simple_history.utils import bulk_update_with_history  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415

    notes = [HistoryNote.objects.create(title="tea"), HistoryNote.objects.create(title="coffee")]
    recorder.instrument(presets="simple-history")
    _write(recorder, lambda: bulk_update_with_history(notes, HistoryNote, fields))

    for record in _history(HistoryNote, 2):
        assert record.history_type == "~"
        assert_names(record.additional_fields, "k_1")
    _counted(recorder, attributed=1)
    assert [span.name for span in recorder.audit_spans()] == ["audit update"]


def test_bulk_history_keeps_the_members_of_the_application(recorder: Recorder) -> None:
    """All records share one dict from ``custom_historical_attrs``, which is not changed."""
    from simple_history.utils import bulk_create_with_history  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415

    recorder.instrument(presets="simple-history")
    fields = {"origin": "import"}
    notes = [HistoryNote(title="tea"), HistoryNote(title="coffee")]
    attributes = {"additional_fields": fields}
    _write(recorder, lambda: bulk_create_with_history(notes, HistoryNote, custom_historical_attrs=attributes))

    for record in _history(HistoryNote, 2):
        assert record.additional_fields["origin"] == "import"
        assert_names(record.additional_fields, "k_1")
    assert fields == {"origin": "import"}


def test_bulk_history_without_a_key_has_no_member(recorder: Recorder) -> None:
    """A bulk write without a key is counted."""
    from simple_history.utils import bulk_create_with_history  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415

    recorder.instrument(presets="simple-history")
    with recorder.request():
        bulk_create_with_history([HistoryNote(title="tea")], HistoryNote)
        bulk_create_with_history([], HistoryNote)

    (record,) = _history(HistoryNote, 1)
    assert_names_no_key(record.additional_fields)
    _counted(recorder, none=1)


@pytest.mark.parametrize("is_bulk", [True, False])
def test_history_without_a_place_is_failed(is_bulk: bool, recorder: Recorder) -> None:
    """A record that cannot receive the key counts as failed; without a key nothing is counted as failed."""
    from simple_history.utils import bulk_create_with_history  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import PlainHistoryNote  # noqa: PLC0415

    def write() -> None:
        if is_bulk:
            bulk_create_with_history([PlainHistoryNote(title="tea")], PlainHistoryNote)
        else:
            PlainHistoryNote.objects.create(title="tea")

    recorder.instrument(presets="simple-history")
    before = PlainHistoryNote.history.count()
    with recorder.request():
        write()
    assert recorder.degraded() == {}
    _write(recorder, write)

    assert PlainHistoryNote.history.count() == before + 2
    _counted(recorder, none=1, failed=1)
    assert recorder.degraded() == {"merge": 1}


def test_record_that_gets_a_reason_later_keeps_its_key(recorder: Recorder) -> None:
    """``update_change_reason`` saves the record again in another request, and the record keeps its first key."""
    from simple_history.utils import update_change_reason  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415

    recorder.instrument(presets="simple-history")
    note = _write(recorder, lambda: HistoryNote.objects.create(title="tea"))
    for key in ("k_1", "k_2"):
        _write(recorder, lambda: update_change_reason(note, "typo"), key)

    (record,) = _history(HistoryNote, 1)
    assert record.history_change_reason == "typo"
    assert_names(record.additional_fields, "k_1")


def _entries(number: int) -> list[Any]:
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415

    from presets.django_project.models import Note  # noqa: PLC0415

    kind = ContentType.objects.get_for_model(Note)
    return [
        LogEntry(content_type=kind, object_pk=str(pk), action=1, additional_data={"origin": "import"})
        for pk in range(number)
    ]


def _list(entries: list[Any]) -> list[Any]:
    return entries


def _generator(entries: list[Any]) -> Iterator[Any]:
    return (entry for entry in entries)


@pytest.mark.parametrize("form", [_list, tuple, _generator])
def test_bulk_create_of_auditlog_names_the_key_in_each_row(
    form: Callable[[list[Any]], Any], recorder: Recorder
) -> None:
    """``LogEntry.objects.bulk_create`` bypasses ``save``."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="auditlog")
    entries = _entries(2)
    _write(recorder, lambda: LogEntry.objects.bulk_create(form(entries)))

    for entry in LogEntry.objects.order_by("-pk")[:2]:
        assert entry.additional_data["origin"] == "import"
        assert_names(entry.additional_data, "k_1")
    _counted(recorder, attributed=1)
    assert [span.name for span in recorder.audit_spans()] == ["audit" if form is _generator else "audit update"]
    assert recorder.degraded() == {}


def test_asynchronous_bulk_create_of_auditlog_names_the_key(recorder_on_postgresql: Recorder) -> None:
    """``abulk_create`` runs ``bulk_create`` in a thread."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere

    recorder_on_postgresql.instrument(presets="auditlog")
    entries = _entries(1)
    _write(recorder_on_postgresql, lambda: asyncio.run(LogEntry.objects.abulk_create(entries)))

    assert_names(LogEntry.objects.latest("pk").additional_data, "k_1")
    _counted(recorder_on_postgresql, attributed=1)


def test_bulk_create_of_other_models_is_not_observed(recorder: Recorder) -> None:
    """The target is a method of all models, so other models are skipped."""
    from presets.django_project.models import EasyAuditNote  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets=["auditlog", "simple-history", "easy-audit"])
    _write(recorder, lambda: EasyAuditNote.objects.bulk_create([EasyAuditNote(title="tea")]))

    _counted(recorder)


def test_entry_of_auditlog_that_is_saved_again_keeps_its_key(recorder: Recorder) -> None:
    """The entry keeps its key when it is saved again in the same request and in a later one."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="auditlog")

    def write() -> Any:
        (entry,) = _entries(1)
        entry.save()
        entry.additional_data = {**entry.additional_data, "more": 1}
        entry.save()
        return entry

    entry = _write(recorder, write)
    assert_names(LogEntry.objects.get(pk=entry.pk).additional_data, "k_1")

    again = LogEntry.objects.get(pk=entry.pk)
    again.object_repr = "coffee"
    _write(recorder, again.save, "k_2")
    data = LogEntry.objects.get(pk=entry.pk).additional_data
    assert_names(data, "k_1")
    assert set(data) == {"origin", "more", "request_api_key"}


def test_entry_of_auditlog_with_replaced_data_keeps_its_key_in_its_request(recorder: Recorder) -> None:
    """The entry keeps its key although the application replaces all data; a later request adds no member."""
    from auditlog.models import LogEntry  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="auditlog")
    (entry,) = _entries(1)

    def replace(value: int) -> None:
        entry.additional_data = {"value": value}
        entry.save()

    def write() -> None:
        entry.save()
        replace(1)

    _write(recorder, write)
    data = LogEntry.objects.get(pk=entry.pk).additional_data
    assert_names(data, "k_1")
    assert data["value"] == 1
    _counted(recorder, attributed=2)

    _write(recorder, lambda: replace(2), "k_2")
    assert LogEntry.objects.get(pk=entry.pk).additional_data == {"value": 2}
    _counted(recorder, attributed=2)


def test_record_of_history_with_replaced_fields_keeps_its_key_in_its_request(recorder: Recorder) -> None:
    """The record keeps its key although the application replaces its additional fields."""
    from django.utils import timezone  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import HistoryNote  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="simple-history")

    def write() -> None:
        record = HistoryNote.history.model(title="tea", id=1, history_type="+", history_date=timezone.now())
        record.save()
        record.additional_fields = {"value": "tea"}
        record.save()

    _write(recorder, write)

    (record,) = _history(HistoryNote, 1)
    assert record.additional_fields["value"] == "tea"
    assert_names(record.additional_fields, "k_1")


def test_bulk_functions_of_field_audit_name_the_key(recorder: Recorder) -> None:
    """Each event has the context that the auditors return."""
    from field_audit.models import AuditAction, AuditEvent  # noqa: PLC0415 - not everywhere

    from presets.django_project.models import FieldAuditNote  # noqa: PLC0415

    recorder.instrument(presets="field-audit")
    notes = [FieldAuditNote(title="tea"), FieldAuditNote(title="coffee")]
    _write(recorder, lambda: FieldAuditNote.objects.bulk_create(notes, audit_action=AuditAction.AUDIT))

    for event in AuditEvent.objects.order_by("-pk")[:2]:
        assert_names(event.change_context, "k_1")
    _counted(recorder, attributed=2)


def test_bulk_create_of_easy_audit_is_on_a_span(recorder: Recorder) -> None:
    """The events have no place for a key, so only the span names it."""
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - not everywhere
    from easyaudit.models import CRUDEvent  # noqa: PLC0415

    from presets.django_project.models import EasyAuditNote  # noqa: PLC0415

    recorder.instrument(presets="easy-audit")
    kind = ContentType.objects.get_for_model(EasyAuditNote)
    events = [CRUDEvent(event_type=1, object_id="1", content_type=kind, object_json_repr="{}")]
    _write(recorder, lambda: CRUDEvent.objects.bulk_create(events))

    (span,) = recorder.audit_spans()
    assert (span.name, (span.attributes or {})["keyaudit.key.id"]) == ("audit create", "k_1")
    _counted(recorder, attributed=1)
