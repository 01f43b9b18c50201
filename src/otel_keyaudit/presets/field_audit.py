from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuditTarget

PRESET = Preset(
    library="django-field-audit",
    oldest="1.5",
    records="`AuditEvent.change_context`, beside the members of the auditors, also of its bulk functions",
    never="the changed fields; action and object, which are unknown there",
    targets=(AuditTarget("field_audit.auditors:_AuditDispatcher.dispatch", fields="return"),),
)
