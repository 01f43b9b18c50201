"""django-auditlog: log entries, when they are written and its own receivers have set ``additional_data``."""

from __future__ import annotations

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.target import AuditTarget

_ACTIONS = ("create", "update", "delete", "access")


def _action(call: Call) -> str:
    return _ACTIONS[call.self.action]


def _type(call: Call) -> str | None:
    content_type = call.self._state.fields_cache.get("content_type")
    return None if content_type is None else f"{content_type.app_label}.{content_type.model}"


def _id(call: Call) -> str | None:
    content_type = call.self._state.fields_cache.get("content_type")
    model = None if content_type is None else content_type.model_class()
    return None if model is None else _django.id_of(model, call.self.object_pk)


def _creates_entries(call: Call) -> bool:
    """Return whether entries are created in bulk."""
    is_entry = "auditlog.models:AbstractLogEntry" in class_names(call.self.model)
    return is_entry and _django.creates_rows(call)


def _common_action(call: Call) -> str | None:
    action = _django.common_value(call, "action")
    return None if action is None else _ACTIONS[action]


PRESET = Preset(
    library="django-auditlog",
    oldest="3.4",
    records="`LogEntry.additional_data`, after the application's members, also of `LogEntry.objects.bulk_create`; "
    "action, type and id of the object",
    never="`changes`; the id of an object whose primary key is a secret",
    targets=(
        # Not `save`: receivers of pre_save may replace additional_data.
        AuditTarget(
            "auditlog.models:AbstractLogEntry._save_table",
            fields="self.additional_data",
            action=_action,
            resource_type=_type,
            resource_id=_id,
            when=_django.is_written_here,
        ),
        AuditTarget(
            _django.BULK_CREATE, fields="args.objs[].additional_data", action=_common_action, when=_creates_entries
        ),
    ),
)
