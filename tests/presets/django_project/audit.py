from typing import Any

from presets.django_project.models import AuditRow


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    AuditRow.objects.create(action=action, additional_fields=additional_fields)
