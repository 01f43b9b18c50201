"""django-auditlog: its entries, as they are saved: an argument of ours would replace the application's data."""

from __future__ import annotations

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
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


PRESET = Preset(
    library="django-auditlog",
    oldest="3.4",
    records="`LogEntry.additional_data`, behind what the application puts there; action, type and id of the object",
    never="`changes`; the id of an object whose primary key is a secret",
    targets=(
        # After the receivers of pre_save, which may set additional_data as a whole.
        AuditTarget(
            "auditlog.models:AbstractLogEntry._save_table",
            fields="self.additional_data",
            action=_action,
            resource_type=_type,
            resource_id=_id,
            when="self._state.adding",
        ),
    ),
)
