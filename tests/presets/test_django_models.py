"""A plain model of Django as the audit log: rows of an allowed, a denied and an anonymous request."""

from __future__ import annotations

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, assert_names
from presets.requests import assert_rows_name_the_key, django_requests

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries

TARGET = (
    "presets.django_project.models:AuditRow._save_table"
    "?fields=self.additional_fields&action=self.action&when=self._state.adding"
)


def test_a_row_of_the_named_model_names_the_key(on_each: Recorder) -> None:
    """A JSON field receives the key when the row is first saved, and other models are skipped."""
    from presets.django_project.credentials import oauth_toolkit  # noqa: PLC0415 - not everywhere
    from presets.django_project.models import AuditRow  # noqa: PLC0415

    credential = oauth_toolkit()
    on_each.instrument(presets="oauth-toolkit", audit_targets=[TARGET])

    assert django_requests(on_each, "open", credential.allowed, credential.denied, {}) == [201] * 3

    rows = [row.additional_fields for row in AuditRow.objects.order_by("-pk")[:3]][::-1]
    assert_rows_name_the_key(on_each, credential, rows, [{"by": "application"}] * 3, "note.create")


def test_rows_of_the_named_model_that_are_created_in_bulk_name_the_key(on_each: Recorder) -> None:
    """The target is the method of all models, and its condition names the model."""
    from presets.django_project.models import AuditRow, Note  # noqa: PLC0415 - not everywhere

    bulk = "django.db.models.query:QuerySet.bulk_create"
    on_each.instrument(
        audit_targets=[f"{bulk}?fields=args.objs[].additional_fields&when=self.model.__name__|is:AuditRow"]
    )
    with on_each.request(), use_key(ApiKey("k_1")):
        AuditRow.objects.bulk_create([AuditRow(action="a"), AuditRow(action="b", additional_fields={"by": "import"})])
        Note.objects.bulk_create([Note(title="tea")])

    for row in AuditRow.objects.order_by("-pk")[:2]:
        assert_names(row.additional_fields, "k_1")
    assert on_each.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}
    assert on_each.degraded() == {}


def test_a_row_that_is_changed_stays_as_it_was_written(recorder: Recorder) -> None:
    """A row names only the key that wrote it, not a key that changed it later."""
    from presets.django_project.models import AuditRow  # noqa: PLC0415 - not everywhere

    row = AuditRow.objects.create(action="note.create", additional_fields={"by": "application"})
    recorder.instrument(audit_targets=[TARGET])
    row.action = "note.update"
    row.save()

    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 0}
