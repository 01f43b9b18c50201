"""Keys of real libraries whose id is a secret, returned by a function of the application's, without any preset."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit.testing import Recorder, assert_names
from presets.credential import Credential
from presets.requests import ABOUT_THE_ROW, server_spans

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
MODELS = {
    "drf-token": "rest_framework.authtoken.models:Token",
    "knox": "knox.models:AuthToken",
    "drf-api-key": "rest_framework_api_key.models:APIKey",
    "drf-scoped-permissions": "drf_scoped_permissions.models:ScopedAPIKey",
}


def _created(name: str) -> tuple[Credential, Any]:
    """Return a new key's credential and its row."""
    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415 - not everywhere

    module, _, model = MODELS[name].partition(":")
    rows = getattr(import_module(module), model).objects
    before = {row.pk for row in rows.all()}
    credential = CREDENTIALS[name]()
    return credential, rows.exclude(pk__in=before).get()


def _request(recorder: Recorder, key: Any) -> None:
    """Look a key up and write a row about it, in one request."""
    from presets.apps.subjects import look_up, record  # noqa: PLC0415 - not imported before it is wrapped

    tracer = recorder.tracer_provider.get_tracer("tests")
    with tracer.start_as_current_span("POST /notes", kind=SpanKind.SERVER):
        record("note.create", look_up(key), {"by": "application"})


@pytest.mark.parametrize("fields", ["", "?id=pk", "?id=id&name=pk", "?id=return.pk&name=return.id|str"])
@pytest.mark.parametrize("name", MODELS)
def test_a_key_is_known_by_its_class(name: str, fields: str, recorder: Recorder) -> None:
    """Nothing that leads to the secret is written, whatever the target asks for, also if the key is the subject."""
    credential, key = _created(name)
    recorder.instrument(
        auth_targets=[f"presets.apps.subjects:look_up{fields}"],
        audit_targets=["presets.apps.subjects:record?subject=args.key&subject_name=pk"],
    )

    _request(recorder, key)

    (row,) = recorder.rows
    said = assert_names(row, credential.snapshot["id"])
    assert {name: value for name, value in said.items() if name not in ABOUT_THE_ROW} == credential.snapshot
    assert assert_names(row, credential.snapshot["id"], member="api_key")["id"] == credential.snapshot["id"]
    assert server_spans(recorder)[0]["keyaudit.key.id"] == credential.snapshot["id"]
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)
