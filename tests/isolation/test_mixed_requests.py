"""Among thousands of mixed requests no row and span names another request's key, and none is left."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import defaultdict
from collections.abc import Iterator

import httpx
import pytest
from starlette.types import ASGIApp

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.request import context as request_state
from otel_keyaudit.testing import Recorder
from support.clients import sockets, traffic
from support.servers.uvicorn_thread import serving
from support.services import service
from support.services.instrumented import INSTRUMENTED, nothing, restore

FULL = os.environ.get("OTEL_KEYAUDIT_FULL") == "1"
SEEDS = range(20) if FULL else range(2)
COUNT = 10_000 if FULL else 300


@pytest.fixture
def instrumented(recorder: Recorder) -> Iterator[Recorder]:
    """The library, on for the service."""
    service.rows.clear()
    recorder.instrument(auth_targets=service.AUTH_TARGETS, audit_targets=service.AUDIT_TARGETS)
    yield recorder
    restore()


def _check(requests: list[traffic.Sent], recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    assert traffic.wrong_rows(requests) == []
    assert traffic.wrong_server_spans(requests, recorder) == []
    assert traffic.wrong_audit_spans(requests, recorder) == []
    assert traffic.strayed_audit_spans(requests, recorder) == []
    assert recorder.writes() == traffic.expected_writes(requests)
    assert recorder.errors() == {}
    _check_nothing_left(caplog)


def _check_nothing_left(caplog: pytest.LogCaptureFixture) -> None:
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert request_state.CALL.get() is None
    for future in [service.pool.submit(request_state.CALL.get) for _ in range(8)]:
        assert future.result() is None


async def _check_threads() -> None:
    loop = asyncio.get_running_loop()
    for left in await asyncio.gather(*[loop.run_in_executor(None, request_state.CALL.get) for _ in range(8)]):
        assert left is None


async def _in_process(app: ASGIApp, requests: list[traffic.Sent]) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await traffic.send(client, requests, concurrency=200)
    await _check_threads()


@pytest.mark.parametrize("seed", SEEDS)
def test_in_process(seed: int, instrumented: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Requests in one event loop, without sockets, keep their own keys."""
    app = INSTRUMENTED[seed % len(INSTRUMENTED)](instrumented.tracer_provider)
    requests = traffic.mixed(COUNT, seed)
    asyncio.run(_in_process(app, requests))
    _check(requests, instrumented, caplog)


@pytest.mark.parametrize("seed", SEEDS)
def test_on_uvicorn(seed: int, instrumented: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Requests over kept-alive connections keep their own keys."""
    app = INSTRUMENTED[(seed + 2) % len(INSTRUMENTED)](instrumented.tracer_provider)
    requests = traffic.mixed(COUNT, seed)
    with serving(app) as port:
        asyncio.run(sockets.send(port, requests))
    _check(requests, instrumented, caplog)


@pytest.mark.parametrize("seed", SEEDS)
def test_aborted_at_any_await(seed: int, instrumented: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that are cancelled at any await have written correct rows and leave nothing behind."""
    app = INSTRUMENTED[seed % len(INSTRUMENTED)](instrumented.tracer_provider)
    requests = [sent for sent in traffic.mixed(COUNT, seed) if sent.place not in service.UNKNOWN_PLACES]
    asyncio.run(_abort(app, requests, random.Random(seed)))
    keys = {sent.nonce: sent.row_key for sent in requests}
    assert [row for row in service.rows if row.key_id != keys[row.nonce]] == []
    assert {span.attributes["keyaudit.resource.id"]: span.attributes.get("keyaudit.key.id")
            for span in instrumented.audit_spans() if span.attributes} == {
        row.nonce: row.key_id for row in service.rows
    }  # fmt: skip
    assert sum(instrumented.writes().values()) == len(service.rows)
    assert instrumented.writes()["failed"] == 0
    _check_nothing_left(caplog)


async def _abort(app: ASGIApp, requests: list[traffic.Sent], choose: random.Random) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for sent in requests:
            task = asyncio.ensure_future(client.post(sent.path, headers=sent.headers))
            await service.pause(choose.randrange(60))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert request_state.CALL.get() is None


def test_pipelined_on_one_connection(instrumented: Recorder) -> None:
    """Each request has its own key or none, although the server starts it in the context of the previous one."""
    requests = [
        traffic.Sent(f"n{number}.", f"k{number}" if number % 3 else "", "async", ("background", "endpoint")[number % 2])
        for number in range(60)
    ]
    with serving(nothing(instrumented.tracer_provider)) as port:
        asyncio.run(sockets.pipeline(port, requests))
    assert traffic.wrong_rows(requests) == []


def test_uninstrumented_while_requests_are_running(instrumented: Recorder) -> None:
    """Requests in flight while the library is removed end as usual, and their rows name their own key or none."""
    requests = traffic.mixed(200, 1)
    app = nothing(instrumented.tracer_provider)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            sending = asyncio.ensure_future(traffic.send(client, requests))
            while len(service.rows) < 50:  # noqa: ASYNC110 - rows come from anywhere
                await asyncio.sleep(0)
            KeyAuditInstrumentor().uninstrument()
            await sending

    asyncio.run(run())
    found = defaultdict(set)
    for row in service.rows:
        found[row.nonce].add(row.key_id)
    assert all(found[sent.nonce] <= {sent.row_key, None} for sent in requests)
