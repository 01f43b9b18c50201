from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset, SpanOnlyTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names

_RELATIONS = ("m2m_change", "m2m_add", "m2m_remove", "m2m_clear")
_ACTIONS = dict(enumerate(("create", "update", "delete", *(action for action in _RELATIONS for _ in range(2))), 1))
"""The action of each type of event. A change of a relation has two types, one for each side."""


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.args["crud_info"].get("event_type"), "change")


def _creates_events(call: Call) -> bool:
    """Return whether events are created in bulk."""
    return "easyaudit.models:CRUDEvent" in class_names(call.self.model) and _django.creates_rows(call)


def _common_action(call: Call) -> str | None:
    return _ACTIONS.get(_django.common_value(call, "event_type"))


PRESET = Preset(
    library="django-easy-audit",
    oldest="1.3.7",
    records="the action and the key, on an audit span, because the row has no place for the key",
    never="`CRUDEvent`, because the admin shows its strings; the id of the object; events of a logging backend of your "
    "own whose `crud` does not call the library's",
    targets=(
        SpanOnlyTarget("easyaudit.backends:ModelBackend.crud", action=_action),
        SpanOnlyTarget(_django.BULK_CREATE, action=_common_action, when=_creates_events),
    ),
)
