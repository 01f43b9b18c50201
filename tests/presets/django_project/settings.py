"""One project with all the libraries, on SQLite, without migrations: tables are made from the models."""

import os
import tempfile
from pathlib import Path
from typing import Any


class _NoMigrations(dict[str, Any]):
    def __contains__(self, app: object) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None


SECRET_KEY = "not a secret: it signs what tests make up, and is long enough for HMAC"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "presets.django_project.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = _NoMigrations()
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PRESETS_DATABASE") or Path(tempfile.mkdtemp(prefix="keyaudit_presets_")) / "db.sqlite3",
        "OPTIONS": {"timeout": 20},
    }
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_api_key",
    "drf_scoped_permissions",
    "drf_simple_apikey",
    "knox",
    "oauth2_provider",
    "keysmith",
    "ninja_apikey",
    "auditlog",
    "easyaudit",
    "simple_history",
    "field_audit",
    "pgtrigger",
    "pghistory",
    "taggit",
    "wagtail.users",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "presets.django_project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "easyaudit.middleware.easyaudit.EasyAuditMiddleware",
    "field_audit.middleware.FieldAuditMiddleware",
    "presets.django_project.middleware.HistoryOnPostgreSQL",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
WAGTAIL_SITE_NAME = "presets"
WAGTAILADMIN_BASE_URL = "http://127.0.0.1"
DRF_API_KEY = {"FERNET_SECRET": "UkVQTEFDRSBUSElTIEJZIEEgUkVBTCBLRVkgMzJieXQ=", "ENFORCE_HTTPS": False}
DJANGO_EASY_AUDIT_REGISTERED_CLASSES = ["django_project.EasyAuditNote", "django_project.Label"]
DJANGO_EASY_AUDIT_WATCH_AUTH_EVENTS = False
DJANGO_EASY_AUDIT_WATCH_REQUEST_EVENTS = False
TENANT_API_KEY_MODEL = "django_project.TenantKey"
