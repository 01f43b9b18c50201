"""The server span of every instrumentation names the request's key, and audit spans are in its trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from starlette.types import ASGIApp

from otel_keyaudit.testing import Recorder
from support.clients import traffic
from support.services import instrumented, service
from support.services.instrumented import INSTRUMENTED, Instrumented, contrib_asgi, nothing


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


def _instrument(recorder: Recorder, **options: Any) -> None:
    recorder.instrument(auth_targets=service.AUTH_TARGETS, audit_targets=service.AUDIT_TARGETS, **options)


@pytest.mark.parametrize("build", INSTRUMENTED)
def test_server_and_audit_spans_name_the_key(
    build: Instrumented, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Each span and row names its own request's key, whoever opens the server span and wherever the key is found."""
    _instrument(recorder)
    requests = _send_every_kind(build(recorder.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert traffic.wrong_server_spans(requests, recorder) == []
    assert traffic.wrong_audit_spans(requests, recorder) == []
    assert traffic.strayed_audit_spans(requests, recorder) == []
    assert recorder.writes() == traffic.expected_writes(requests)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("build", [nothing, *INSTRUMENTED])
def test_rows_name_the_key_when_spans_are_dropped(build: Instrumented) -> None:
    """If the trace sampler drops every span, rows still name their key and trace."""
    recorder = Recorder(strict=False, keep_rows=False, trace_sampler=ALWAYS_OFF)
    _instrument(recorder)
    requests = _send_every_kind(build(recorder.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert all(len(row.fields["request_api_key"]["trace_id"]) == 32 for row in service.rows if row.key_id)
    assert recorder.spans == []
    assert recorder.writes() == traffic.expected_writes(requests)


def test_rows_name_the_key_without_any_server_span(recorder: Recorder) -> None:
    """Without a server span, rows and audit spans name the key, and audit spans have the lists."""
    _instrument(recorder)
    requests = _send_every_kind(nothing(recorder.tracer_provider))
    assert traffic.wrong_rows(requests) == []
    assert traffic.wrong_audit_spans(requests, recorder) == []
    for span in recorder.audit_spans():
        attributes = span.attributes or {}
        assert ("keyaudit.key.id" in attributes) == (attributes.get("keyaudit.key.scopes") == ("read",))


def test_rows_without_audit_spans_have_the_ids_of_the_server_span(recorder: Recorder) -> None:
    """Without audit spans, rows have the ids of the server span of their request."""
    _instrument(recorder, audit_spans=False)
    _send_every_kind(contrib_asgi(recorder.tracer_provider))
    spans = traffic.server_spans(recorder)
    for row in service.rows:
        if row.key_id is not None:
            context = spans[row.nonce][0].context
            assert context is not None
            found = row.fields["request_api_key"]
            assert (int(found["trace_id"], 16), int(found["span_id"], 16)) == (context.trace_id, context.span_id)
