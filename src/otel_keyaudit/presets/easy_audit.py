from otel_keyaudit.presets._definition import Preset, SpanOnlyTarget
from otel_keyaudit.targets.call import Call

_ACTIONS = {1: "create", 2: "update", 3: "delete", 4: "m2m_change", 5: "m2m_change"}


def _action(call: Call) -> str | None:
    return _ACTIONS.get(call.args["crud_info"].get("event_type"), "change")


PRESET = Preset(
    library="django-easy-audit",
    oldest="1.3.7",
    records="an audit span with the action, and the span's key; the row has no place for one",
    never="`CRUDEvent`: its texts are what the admin shows; the id of the object",
    targets=(SpanOnlyTarget("easyaudit.backends:ModelBackend.crud", action=_action),),
)
