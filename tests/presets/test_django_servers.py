"""Django Ninja under gunicorn, with two workers that share a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_keyaudit.testing import Recorder
from presets.served import Application, assert_served

pytestmark = [
    pytest.mark.filterwarnings("default"),  # warnings of the libraries
    pytest.mark.unmutated,  # the library runs in other processes
]


def test_rows_and_spans_name_their_own_requests_key(recorder: Recorder, tmp_path: Path) -> None:
    """The server spans of ``opentelemetry-instrument`` and the rows name the key of their own request."""
    from django.conf import settings  # noqa: PLC0415 - not everywhere

    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415 - not everywhere

    credentials = [CREDENTIALS["ninja"]() for _ in range(4)]
    variables = {
        "DJANGO_SETTINGS_MODULE": "presets.django_project.settings",
        "PRESETS_DATABASE": str(settings.DATABASES["default"]["NAME"]),
        "OTEL_PYTHON_KEYAUDIT_PRESETS": "ninja",
        "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "presets.django_project.audit:record",
    }
    application = Application("presets.django_project.wsgi:application", "ninja", variables, anonymous="denied")

    assert_served(application, "gunicorn", {one.snapshot["id"]: one.allowed for one in credentials}, tmp_path)
