from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuditTarget

PRESET = Preset(
    library="django-field-audit",
    oldest="1.5",
    records="`AuditEvent.change_context`, beside what the auditors put there",
    never="the changed fields; action and object, which are not known there",
    targets=(AuditTarget("field_audit.auditors:_AuditDispatcher.dispatch", fields="return"),),
)
