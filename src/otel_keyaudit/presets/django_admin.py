"""Django's admin: the log entries of its manager.

A ``change_message`` is a list of dicts, which Django stores as JSON and turns into a sentence, or a string. Django
ignores members and whole elements that it does not know, but shows a string as it is.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

_ACTIONS = {1: "create", 2: "update", 3: "delete"}


def _object(call: Call) -> Any:
    """Return the only object. A query set is read only if it is loaded, because that would query the database."""
    objects = getattr(call.args["queryset"], "_result_cache", call.args["queryset"])
    return objects[0] if isinstance(objects, (list, tuple)) and len(objects) == 1 else None


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.args["action_flag"])


def _type(call: Call) -> str | None:
    changed = _object(call)
    return None if changed is None else _django.type_of(changed)


def _id(call: Call) -> str | None:
    changed = _object(call)
    return None if changed is None else _django.id_of(type(changed), changed.pk)


def _has_elements(call: Call) -> bool:
    message = call.args["change_message"]
    return isinstance(message, list) and len(message) > 0


def _into_empty_message(call: Call, change: Change) -> None:
    """Add an element to an empty list, which Django passes if a form has changed nothing, and to a deletion."""
    element, message = change(None), call.args["change_message"]
    if not element:
        return
    if message != [] and (message != "" or _action(call) != "delete"):
        raise UnchangeableError("the change_message is a string; pass a list, as in [{'changed': {'fields': []}}]")
    call.binding.write(call, "change_message", [element])


def _targets(method: str, **fields: Any) -> tuple[Target, ...]:
    """Return the targets for a method of the manager."""
    path = f"django.contrib.admin.models:LogEntryManager.{method}"
    return (
        AuditTarget(path, fields="args.change_message[]", when=_has_elements, action=_action, **fields),
        PlacedTarget(path, _into_empty_message, action=_action, **fields),
    )


PRESET = Preset(
    library="Django",
    oldest="5.2",
    records="a member of each element of `change_message`, if it is a list; an element of its own, which the admin "
    "ignores, if the list is empty or the object is deleted without a message; action, type and id of a single object, "
    "which is the subject. Of `log_action`, which Django 6 no longer has, the action only",
    never="a `change_message` that is a string; the id of an object whose primary key is a secret; entries that are "
    "created without `log_actions` and `log_action`",
    targets=_targets("log_actions", resource_type=_type, resource_id=_id, subject=_object),
    optional_targets={"Django <6": _targets("log_action")},
)
