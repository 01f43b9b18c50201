from typing import Any

from presets.apps import audit_log
from presets.django_project.models import AuditRow


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    audit_log.record(action, additional_fields)
    AuditRow.objects.create(action=action, additional_fields=additional_fields)
