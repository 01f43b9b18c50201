"""Thousands of mixed requests at once, with three checks each: no decision is in the row or span of another request."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiSpans
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiSpans
from starlette.types import Receive, Scope, Send

from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.servers.uvicorn_thread import serving

FULL = os.environ.get("OTEL_KEYAUDIT_FULL") == "1"
COUNT = 4_000 if FULL else 400
CHECKS = 3
TARGETS = {
    "auth_targets": [f"{__name__}:verify"],
    "authz_targets": [f"{__name__}:{name}?required=args.permission" for name in ("require", "arequire")],
    "audit_targets": [f"{__name__}:record"],
}

ROWS: list[tuple[str, str, dict[str, Any]]] = []
POOL = ThreadPoolExecutor(8)


@dataclass(frozen=True)
class Sent:
    """A request.

    Attributes:
        nonce: It is in the id of the key, in every permission and in every row.
        has_key: A key is presented.
        refused: The number of the check that denies, ``CHECKS`` for none.
        covered: The number of checks whose permission the key covers.
    """

    nonce: str
    has_key: bool
    refused: int
    covered: int

    @property
    def query(self) -> str:
        """Return the query that tells the application its steps."""
        key = f"key-{self.nonce}" if self.has_key else ""
        return f"nonce={self.nonce}&key={key}&refused={self.refused}&covered={self.covered}"

    def decision(self, number: int) -> dict[str, Any]:
        """Return a decision as the last row shows it."""
        permission, is_covered = f"{self.nonce}:{number}", number < self.covered
        shown: dict[str, Any] = {"required": [permission]}
        if number == self.refused:
            shown |= {"outcome": "denied", "cause": "other" if is_covered else "scope"}
            shown |= {"reason": "PermissionError"} | ({} if is_covered else {"missing": [permission]})
            return shown
        if is_covered:
            return shown | {"outcome": "granted", "cause": "scope", "scopes": [permission]}
        return shown | {"outcome": "granted", "cause": "unknown"}


@dataclass(frozen=True)
class Key:
    id: str
    scopes: list[str]


def verify(key: str, nonce: str, covered: int) -> Key | None:
    """Authenticate."""
    return Key(key, [f"{nonce}:{number}" for number in range(covered)]) if key else None


def record(nonce: str, place: str, additional_fields: dict[str, Any]) -> None:
    """Write an audit row."""
    ROWS.append((nonce, place, additional_fields))


def require(permission: str, *, refuses: bool, inside: Callable[[], object] | None = None) -> None:
    """Check, and write a row inside the check."""
    if inside is not None:
        inside()
    if refuses:
        raise PermissionError


async def arequire(permission: str, *, refuses: bool) -> None:
    """Check with a nested check, which is not a decision."""
    await asyncio.sleep(0)
    require(permission, refuses=False)
    await asyncio.sleep(0)
    if refuses:
        raise PermissionError


def _sampled_event(query: str) -> tuple[str, str, int, int]:
    values = {name: value for name, (value,) in parse_qs(query, keep_blank_values=True).items()}
    return values["nonce"], values["key"], int(values["refused"]), int(values["covered"])


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Check in the request's task, in a thread, and in a separate task."""
    nonce, key, refused, covered = _sampled_event(scope["query_string"].decode())
    verify(key, nonce, covered)
    await asyncio.sleep(0)
    with suppress(PermissionError):
        await arequire(f"{nonce}:0", refuses=refused == 0)
    with suppress(PermissionError):
        inside = lambda: record(nonce, "inside", {})  # noqa: E731
        await asyncio.to_thread(require, f"{nonce}:1", refuses=refused == 1, inside=inside)
    with suppress(PermissionError):
        await asyncio.create_task(arequire(f"{nonce}:2", refuses=refused == 2))
    record(nonce, "end", {})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Check before the answer, in a thread, and while the body is read."""
    nonce, key, refused, covered = _sampled_event(environ["QUERY_STRING"])
    verify(key, nonce, covered)
    with suppress(PermissionError):
        require(f"{nonce}:0", refuses=refused == 0)
    with suppress(PermissionError):
        inside = lambda: record(nonce, "inside", {})  # noqa: E731
        context = copy_context()
        POOL.submit(context.run, lambda: require(f"{nonce}:1", refuses=refused == 1, inside=inside)).result()
    start_response("200 OK", [("Content-Length", "4")])
    return _body(nonce, refused)


def _body(nonce: str, refused: int) -> Iterator[bytes]:
    yield b"do"
    with suppress(PermissionError):
        require(f"{nonce}:2", refuses=refused == 2)
    record(nonce, "end", {})
    yield b"ne"


@contextmanager
def on_uvicorn(recorder: Recorder) -> Iterator[str]:
    """Serve by uvicorn."""
    with serving(AsgiSpans(asgi, tracer_provider=recorder.tracer_provider)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def on_waitress(recorder: Recorder) -> Iterator[str]:
    """Serve by waitress."""
    waitress: Any = pytest.importorskip("waitress")
    options = {"host": "127.0.0.1", "port": 0, "threads": 16, "clear_untrusted_proxy_headers": True}
    server = waitress.create_server(WsgiSpans(wsgi, tracer_provider=recorder.tracer_provider), **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(server.close)
        server.task_dispatcher.shutdown()
        thread.join(30)


def mixed(count: int, seed: int) -> list[Sent]:
    """Return requests of every kind in random order."""
    choose = random.Random(seed)
    return [
        Sent(f"n{number}", choose.random() < 0.8, choose.randrange(CHECKS + 1), choose.randrange(CHECKS + 1))
        for number in range(count)
    ]


async def send(address: str, requests: list[Sent]) -> None:
    """Send requests, many at once over connections that are kept alive."""
    limit = asyncio.Semaphore(64)
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:

        async def one(sent: Sent) -> None:
            async with limit:
                answer = await client.get(f"/?{sent.query}")
                assert answer.text == "done"

        await asyncio.gather(*map(one, requests))


@pytest.mark.parametrize("server", [on_uvicorn, on_waitress])
def test_no_decision_is_in_the_row_of_another_request(server: Any, recorder: Recorder) -> None:
    """Rows at the end have three decisions of their request; rows inside a check have the first and the open one."""
    ROWS.clear()
    requests = mixed(COUNT, 1)
    recorder.instrument(**TARGETS)
    with server(recorder) as address:
        asyncio.run(send(address, requests))

    rows: dict[tuple[str, str], Any] = {(nonce, place): fields.get("request_api_key") for nonce, place, fields in ROWS}
    assert len(ROWS) == len(rows) == 2 * COUNT
    spans = _server_spans(recorder)
    for sent in requests:
        at_end, inside, span = rows[sent.nonce, "end"], rows[sent.nonce, "inside"], spans[sent.nonce]
        if not sent.has_key:
            assert (at_end, inside, span) == (None, None, {})
            continue
        decisions = [sent.decision(number) for number in range(CHECKS)]
        assert (at_end["id"], at_end["decisions"]) == (f"key-{sent.nonce}", decisions)
        assert (inside["id"], inside["decisions"]) == (
            f"key-{sent.nonce}",
            [decisions[0], {"required": [f"{sent.nonce}:1"]}],
        )
        shown = decisions[min(sent.refused, CHECKS - 1)]
        assert span["keyaudit.key.id"] == f"key-{sent.nonce}"
        assert span["keyaudit.decision.outcome"] == shown["outcome"]
        assert span["keyaudit.decision.required"] == tuple(shown["required"])
    assert recorder.count("keyaudit.decisions") == CHECKS * COUNT
    denied = sum(sent.refused < CHECKS for sent in requests)
    assert recorder.count("keyaudit.decisions", {"keyaudit.decision.outcome": "denied"}) == denied
    assert recorder.errors() == {}


def _server_spans(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """Return the library's attributes of each server span, by nonce."""
    spans = {}
    for span in recorder.server_spans():
        attributes = span.attributes or {}
        url = next(str(attributes[name]) for name in ("http.url", "http.target") if "?" in str(attributes.get(name)))
        spans[_sampled_event(url.partition("?")[2])[0]] = keyaudit_attributes(span)
    return spans
