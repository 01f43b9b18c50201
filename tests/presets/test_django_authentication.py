"""Each way to authenticate in Django: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit.testing import Recorder, assert_names
from presets.serving import serving_wsgi

NAMES = (
    "drf-token", "knox", "simplejwt", "oauth-toolkit", "drf-api-key", "drf-scoped-permissions", "drf-simple-apikey",
    "tenant-apikeys", "keysmith", "ninja", "ninja-api-key",
)  # fmt: skip
ABOUT_THE_ROW = {"digest", "detail", "trace_id", "span_id"}
REFUSED = (401, 403)
pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own are not ours to mend


def requests(recorder: Recorder, path: str, *headers: Mapping[str, str]) -> list[int]:
    """Send requests to the project, one after the other, each over a connection of its own; return the answers."""
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - not everywhere

    with serving_wsgi(get_wsgi_application(), recorder) as address:
        return [httpx.post(f"{address}/{path}", headers=dict(one)).status_code for one in headers]


def server_spans(recorder: Recorder) -> list[dict[str, Any]]:
    """Return our attributes on each server span."""
    spans = [span for span in recorder.spans if span.kind is SpanKind.SERVER]
    return [
        {name: value for name, value in (span.attributes or {}).items() if name.startswith("keyaudit.")}
        for span in sorted(spans, key=lambda span: span.start_time or 0)
    ]


def expected_attributes(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server span shows of a key."""
    return {
        f"keyaudit.key.{name}": tuple(value) if isinstance(value, list) else value for name, value in snapshot.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_key_is_on_the_row_and_on_the_span(name: str, recorder: Recorder) -> None:
    """An allowed request's row and span name the key, a denied one's only the reason, an anonymous one's nothing."""
    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name]()
    recorder.instrument(presets=name, audit_targets=["presets.django_project.audit:record"])

    answers = requests(recorder, name, credential.allowed, credential.denied, {})

    assert answers[0] in (200, 201)
    assert answers[1] in REFUSED
    assert answers[2] in REFUSED
    (row,) = [row for row in recorder.rows if row.get("by") == "application"]
    said = assert_names(row, credential.snapshot["id"])
    assert {name: value for name, value in said.items() if name not in ABOUT_THE_ROW} == credential.snapshot
    allowed, denied, anonymous = server_spans(recorder)
    assert allowed.items() >= expected_attributes(credential.snapshot).items()
    assert allowed["keyaudit.outcome"] == "accepted"
    assert denied["keyaudit.outcome"] == "denied"
    assert denied["keyaudit.denied.reason"] == credential.reason
    assert denied.get("keyaudit.denied.key.id") == credential.denied_key_id
    assert not any(attribute.startswith("keyaudit.key") for attribute in {**denied, **anonymous})
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)
