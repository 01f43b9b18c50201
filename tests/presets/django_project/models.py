from auditlog.registry import auditlog
from django.db import models
from django_tenant_apikeys.models import AbstractTenantAPIKey
from field_audit import audit_fields


class AuditRow(models.Model):
    """The application's own audit log."""

    action = models.CharField(max_length=100)
    additional_fields = models.JSONField(null=True)


class TenantKey(AbstractTenantAPIKey):
    tenant = models.ForeignKey("auth.Group", on_delete=models.CASCADE)


class Note(models.Model):
    """What is logged by django-auditlog."""

    title = models.CharField(max_length=100)

    def get_additional_data(self) -> dict[str, str]:
        return {"origin": "application"}


class FieldAuditNote(models.Model):
    title = models.CharField(max_length=100)


auditlog.register(Note)
audit_fields("title")(FieldAuditNote)
