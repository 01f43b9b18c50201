"""Django's admin log, if its change message is a list of changes. A message that is a string stays unchanged."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

_ACTIONS = {1: "create", 2: "update", 3: "delete"}


def _object(call: Call) -> Any:
    """Return the only object of a list. A query set is not read, because that would query the database."""
    objects = call.args["queryset"]
    return objects[0] if isinstance(objects, (list, tuple)) and len(objects) == 1 else None


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.args["action_flag"])


def _type(call: Call) -> str | None:
    changed = _object(call)
    return None if changed is None else _django.type_of(changed)


def _id(call: Call) -> str | None:
    changed = _object(call)
    return None if changed is None else _django.id_of(type(changed), changed.pk)


PRESET = Preset(
    library="Django",
    oldest="5.2",
    records="a member of each element of `change_message`, if it is a list; action, type and id of a single object, "
    "which is the subject",
    never="a `change_message` that is a string; the id of an object whose primary key is a secret",
    targets=(
        AuditTarget(
            "django.contrib.admin.models:LogEntryManager.log_actions",
            fields="args.change_message[]",
            action=_action,
            resource_type=_type,
            resource_id=_id,
            subject=_object,
        ),
    ),
)
