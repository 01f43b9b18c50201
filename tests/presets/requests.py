"""Send requests to an application over a socket, and check rows, spans and counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx

from otel_keyaudit.testing import Recorder, assert_names, keyaudit_attributes
from presets.credential import Credential
from presets.serving import serving_wsgi

ABOUT_THE_ROW = {"digest", "detail", "decisions", "trace_id", "span_id"}
"""Members that are not fields of the key."""


def django_requests(recorder: Recorder, path: str, *headers: Mapping[str, str]) -> list[int]:
    """Send requests to the Django project."""
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - not everywhere

    return requests(serving_wsgi(get_wsgi_application(), recorder), path, *headers)


def requests(server: AbstractContextManager[str], path: str, *headers: Mapping[str, str]) -> list[int]:
    """Send requests one after the other, each over its own connection; return the status codes."""
    with server as address:
        return [httpx.post(f"{address}/{path}", headers=dict(one)).status_code for one in headers]


def server_spans(recorder: Recorder) -> list[dict[str, Any]]:
    """Return the library's attributes of each server span."""
    spans = sorted(recorder.server_spans(), key=lambda span: span.start_time or 0)
    return [keyaudit_attributes(span) for span in spans]


def assert_requests_are_recorded(
    server: AbstractContextManager[str], path: str, recorder: Recorder, credential: Credential
) -> None:
    """Send an allowed, a denied and an anonymous request, and assert their rows and spans."""
    answers = requests(server, path, credential.allowed, credential.denied, {})
    assert_key_is_recorded(recorder, credential, answers)


def assert_key_is_recorded(recorder: Recorder, credential: Credential, answers: list[int]) -> None:
    """Assert the rows and spans of an allowed, a denied and an anonymous request.

    Row and span of the first name the key. The span of the second has the reason, that of the third no attribute.
    No secret is anywhere.
    """
    assert [answer // 100 for answer in answers] == [2, 4, 4], answers
    (row,) = [row for row in recorder.rows if row.get("by") == "application"]
    said = assert_names(row, credential.snapshot["id"])
    assert {name: value for name, value in said.items() if name not in ABOUT_THE_ROW} == credential.snapshot, said
    allowed, denied, anonymous = server_spans(recorder)
    assert allowed.items() >= _attributes(credential.snapshot).items()
    assert allowed["keyaudit.outcome"] == "accepted"
    assert denied["keyaudit.outcome"] == "denied"
    assert denied["keyaudit.denied.reason"] == credential.reason, denied
    assert denied.get("keyaudit.denied.key.id") == credential.denied_key_id
    assert not any(attribute.startswith("keyaudit.key") for attribute in {**denied, **anonymous})
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)


def assert_rows_name_the_key(
    recorder: Recorder,
    credential: Credential,
    rows: Sequence[Any],
    without_us: Sequence[Any],
    action: str | None = None,
    calls: int = 1,
) -> None:
    """Assert the rows of an allowed, a denied and an anonymous request, each of which may write.

    Only the first row names the key, after the application's members. The audit spans and the server spans agree with
    the rows. No secret is anywhere.
    """
    with_key, denied, anonymous = rows
    said = assert_names(with_key, credential.snapshot["id"])
    assert {name: value for name, value in said.items() if name not in ABOUT_THE_ROW} == credential.snapshot, said
    others = {name: value for name, value in with_key.items() if name != "request_api_key"}
    assert [row or {} for row in (others, denied, anonymous)] == list(without_us)
    spans = [span for span in recorder.spans if span.name == f"audit {action or ''}".strip()]
    ids = [credential.snapshot["id"]] * calls + [None] * 2 * calls
    assert [(span.attributes or {}).get("keyaudit.key.id") for span in spans] == ids
    assert [span.get("keyaudit.outcome") for span in server_spans(recorder)] == ["accepted", "denied", None]
    assert server_spans(recorder)[0].items() >= _attributes(credential.snapshot).items()
    assert recorder.writes() == {"attributed": calls, "ambiguous": 0, "none": 2 * calls, "failed": 0}
    assert recorder.degraded() == {}
    recorder.rows += rows
    recorder.assert_no_secret(*credential.secrets)


def _attributes(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"keyaudit.key.{name}": tuple(value) if isinstance(value, list) else value for name, value in snapshot.items()
    }
