"""The server span, whoever opens it, says which key made the request; audit spans are in its trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.types import ASGIApp

from support import instrumented, service, traffic
from support.instrumented import INSTRUMENTED, Instrumented, contrib_asgi, nothing
from support.keyaudit import KeyAudit


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    service.rows.clear()
    yield
    instrumented.restore()


def _send_every_kind(app: ASGIApp) -> list[traffic.Sent]:
    requests = traffic.every_kind()

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await traffic.send(client, requests)

    asyncio.run(run())
    return requests


def _instrument(keyaudit: KeyAudit, **options: Any) -> None:
    keyaudit.instrument(auth_targets=service.AUTH_TARGETS, audit_targets=service.AUDIT_TARGETS, **options)


@pytest.mark.parametrize("build", INSTRUMENTED)
def test_server_and_audit_spans_name_the_key(
    build: Instrumented, keyaudit: KeyAudit, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever opens the server span and wherever the key is found and the row written, each names its own key."""
    _instrument(keyaudit)
    requests = _send_every_kind(build(keyaudit.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert traffic.wrong_server_spans(requests, keyaudit) == []
    assert traffic.wrong_audit_spans(requests, keyaudit) == []
    assert traffic.strayed_audit_spans(requests, keyaudit) == []
    assert keyaudit.writes() == traffic.expected_writes(requests)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("build", [nothing, *INSTRUMENTED])
def test_rows_name_the_key_when_spans_are_dropped(build: Instrumented) -> None:
    """Where the trace sampler drops every span, rows name their key and their trace all the same."""
    keyaudit = KeyAudit(ALWAYS_OFF)
    _instrument(keyaudit)
    requests = _send_every_kind(build(keyaudit.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert all(len(row.fields["request_api_key"]["trace_id"]) == 32 for row in service.rows if row.key_id)
    assert keyaudit.spans() == []
    assert keyaudit.writes() == traffic.expected_writes(requests)


def test_rows_name_the_key_without_any_server_span(keyaudit: KeyAudit) -> None:
    """Where nobody opens a server span, rows and audit spans name the key, and audit spans have the lists."""
    _instrument(keyaudit)
    requests = _send_every_kind(nothing(keyaudit.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert traffic.wrong_audit_spans(requests, keyaudit) == []
    for span in keyaudit.audit_spans():
        attributes = span.attributes or {}
        assert ("keyaudit.key.id" in attributes) == (attributes.get("keyaudit.key.scopes") == ("read",))


def test_rows_without_audit_spans_have_the_ids_of_the_server_span(keyaudit: KeyAudit) -> None:
    """With audit spans switched off, rows lead to the server span of their request."""
    _instrument(keyaudit, audit_spans=False)
    _send_every_kind(contrib_asgi(keyaudit.tracer_provider))
    spans = traffic.server_spans(keyaudit)
    for row in service.rows:
        if row.key_id is not None:
            context = spans[row.nonce][0].context
            assert context is not None
            found = row.fields["request_api_key"]
            assert (int(found["trace_id"], 16), int(found["span_id"], 16)) == (context.trace_id, context.span_id)
