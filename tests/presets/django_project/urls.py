"""One address for each way to authenticate; the header X-Write says which audit log is written."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import path
from django_tenant_apikeys.authentication import TenantAPIKeyAuthentication
from django_tenant_apikeys.ninja import TenantAPIKeyAuth
from drf_scoped_permissions.authentication import APIKeyAuthentication as ScopedAuthentication
from drf_simple_apikey.backends import APIKeyAuthentication as SimpleAuthentication
from keysmith.drf.auth import KeysmithAuthentication
from knox.auth import TokenAuthentication as KnoxAuthentication
from ninja import NinjaAPI
from ninja_apikey.security import APIKeyAuth
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey
from rest_framework_simplejwt.authentication import JWTAuthentication
from wagtail.log_actions import log

from presets.django_project.audit import record
from presets.django_project.models import AuditRow, EasyAuditNote, FieldAuditNote, HistoryNote, Note, TrackedNote

WRITES: dict[str, Callable[[], object]] = {
    "application": lambda: record("note.create", {"by": "application"}),
    "auditlog": lambda: Note.objects.create(title="tea"),
    "easy-audit": lambda: EasyAuditNote.objects.create(title="tea"),
    "simple-history": lambda: HistoryNote.objects.create(title="tea"),
    "wagtail": lambda: log(
        instance=AuditRow.objects.create(action="tea"), action="wagtail.create", data={"title": "tea"}
    ),
    "django-admin": lambda: LogEntry.objects.log_actions(
        User.objects.first().pk, [AuditRow.objects.create(action="tea")], CHANGE, [{"changed": {"fields": ["Action"]}}]
    ),
    "field-audit": lambda: FieldAuditNote.objects.create(title="tea"),
    "pghistory": lambda: TrackedNote.objects.create(title="tea"),
}


def write(request: HttpRequest | Request) -> None:
    WRITES[request.headers.get("X-Write", "application")]()


class HasCredential(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.auth)


class Notes(APIView):
    permission_classes = (HasCredential,)

    def post(self, request: Request) -> Response:
        write(request)
        return Response(status=201)


AUTHENTICATIONS = {
    "drf-token": TokenAuthentication,
    "knox": KnoxAuthentication,
    "simplejwt": JWTAuthentication,
    "oauth-toolkit": OAuth2Authentication,
    "drf-scoped-permissions": ScopedAuthentication,
    "drf-simple-apikey": SimpleAuthentication,
    "tenant-apikeys": TenantAPIKeyAuthentication,
    "keysmith": KeysmithAuthentication,
}
api = NinjaAPI(docs_url=None, openapi_url=None)


@api.post("ninja", auth=TenantAPIKeyAuth())
@api.post("ninja-api-key", auth=APIKeyAuth())
def create(request: HttpRequest) -> None:
    write(request)


urlpatterns = [
    *(path(name, Notes.as_view(authentication_classes=[one])) for name, one in AUTHENTICATIONS.items()),
    path("open", Notes.as_view(authentication_classes=[OAuth2Authentication], permission_classes=[])),
    path("drf-api-key", Notes.as_view(permission_classes=[HasAPIKey], authentication_classes=[])),
    path("", api.urls),
]
