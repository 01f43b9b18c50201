"""django-simple-history: historical records, if their model has a JSON field named ``additional_fields``.

The models of historical records are generated and define no method that writes. So the targets are Django's
methods that save one record and create records in bulk.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

_FIELD = "additional_fields"
_ACTIONS = {"+": "create", "~": "update", "-": "delete"}


def _is_history(model: Any) -> bool:
    return hasattr(model, "history_object")


def _is_own_record(call: Call) -> bool:
    """Return whether the saved object is a historical record that this request creates."""
    return _is_history(type(call.self)) and _django.is_written_here(call)


def _has_place(call: Call) -> bool:
    return _is_own_record(call) and _django.has_field(call.self, _FIELD)


def _creates_records(call: Call) -> bool:
    """Return whether historical records are created in bulk."""
    return _is_history(call.self.model) and _django.creates_rows(call)


def _has_places(call: Call) -> bool:
    return _creates_records(call) and _django.has_field(call.self.model, _FIELD)


def _refuse(_: Call, change: Change) -> None:
    """Fail if there is a member to write, because the records have no place for it."""
    if change(None):
        raise UnchangeableError(f"the historical model has no field {_FIELD!r}; add it to the bases of the records")


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.self.history_type)


def _common_action(call: Call) -> str | None:
    return _ACTIONS.get(_django.common_value(call, "history_type"))


def _type(call: Call) -> str:
    model: Any = call.self if hasattr(call.self, "instance_type") else call.self.model
    return _django.type_of(model.instance_type)


def _id(call: Call) -> Any:
    model = call.self.instance_type
    return _django.id_of(model, getattr(call.self, model._meta.pk.attname))


_SAVE = "django.db.models.base:Model._save_table"
_RECORD = {"action": _action, "resource_type": _type, "resource_id": _id}
_RECORDS = {"action": _common_action, "resource_type": _type}

PRESET = Preset(
    library="django-simple-history",
    oldest="3.7",
    records="`additional_fields` of each historical record, also of `bulk_create_with_history` and "
    "`bulk_update_with_history`, if the base model that you give to `HistoricalRecords` has such a JSON field; without "
    "it the write counts as failed. Action, type and id of the object",
    never="`history_change_reason`, a string of 100 characters; the id of an object whose primary key is a secret",
    targets=(
        AuditTarget(_SAVE, fields=f"self.{_FIELD}", when=_has_place, **_RECORD),
        PlacedTarget(_SAVE, _refuse, when=_is_own_record, **_RECORD),
        AuditTarget(_django.BULK_CREATE, fields=f"args.objs[].{_FIELD}", when=_has_places, **_RECORDS),
        PlacedTarget(_django.BULK_CREATE, _refuse, when=_creates_records, **_RECORDS),
    ),
)
