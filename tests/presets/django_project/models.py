import pghistory
from auditlog.registry import auditlog
from django.db import models
from django_tenant_apikeys.models import AbstractTenantAPIKey
from field_audit import audit_fields
from field_audit.models import AuditingManager
from simple_history.models import HistoricalRecords


class AuditRow(models.Model):
    """The application's own audit log."""

    action = models.CharField(max_length=100)
    additional_fields = models.JSONField(null=True)


class TenantKey(AbstractTenantAPIKey):
    tenant = models.ForeignKey("auth.Group", on_delete=models.CASCADE)


class Note(models.Model):
    """A model that django-auditlog logs."""

    title = models.CharField(max_length=100)

    def get_additional_data(self) -> dict[str, str]:
        return {"origin": "application"}


class Label(models.Model):
    name = models.CharField(max_length=100)


class EasyAuditNote(models.Model):
    title = models.CharField(max_length=100)
    labels = models.ManyToManyField(Label, blank=True)


class History(models.Model):
    """Gives every historical record a place for more."""

    additional_fields = models.JSONField(null=True)

    class Meta:
        abstract = True


class HistoryNote(models.Model):
    title = models.CharField(max_length=100)
    history = HistoricalRecords(bases=[History])


class PlainHistoryNote(models.Model):
    """Its records have no place for more."""

    title = models.CharField(max_length=100)
    history = HistoricalRecords()


class FieldAuditNote(models.Model):
    title = models.CharField(max_length=100)
    objects = AuditingManager()


@pghistory.track()
class TrackedNote(models.Model):
    """A model whose history PostgreSQL triggers record."""

    title = models.CharField(max_length=100)


auditlog.register(Note)
audit_fields("title")(FieldAuditNote)
