"""django-simple-history: its historical records, where their model has a JSON field named ``additional_fields``."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

_ACTIONS = {"+": "create", "~": "update", "-": "delete"}


def _is_history(call: Call) -> bool:
    """Say whether a model that is saved is a new historical record with a place for the key."""
    record = call.self
    if not hasattr(type(record), "history_object") or not record._state.adding:
        return False
    return any(field.name == "additional_fields" for field in record._meta.concrete_fields)


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.self.history_type)


def _type(call: Call) -> str:
    return _django.type_of(call.self.instance_type)


def _id(call: Call) -> Any:
    model = call.self.instance_type
    return _django.id_of(model, getattr(call.self, model._meta.pk.attname))


PRESET = Preset(
    library="django-simple-history",
    oldest="3.7",
    records="`additional_fields` of a historical record, where the base model that you give to `HistoricalRecords` has "
    "such a JSON field; action, type and id of the object",
    never="`history_change_reason`, a text of 100 characters; the id of an object whose primary key is a secret",
    targets=(
        # The model of a record is made for each model of yours, and has no method of its own that saves.
        AuditTarget(
            "django.db.models.base:Model._save_table",
            fields="self.additional_fields",
            action=_action,
            resource_type=_type,
            resource_id=_id,
            when=_is_history,
        ),
    ),
)
