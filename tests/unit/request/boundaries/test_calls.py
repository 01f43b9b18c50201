"""An ASGI call is a request from its entry to its return, whoever calls the application."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.clients.testclient import TestClient
from support.servers.uvicorn_thread import serving
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


def _get(app: Any, *requests: tuple[str, str]) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for path, credential in requests:
                await client.get(path, headers={"x-api-key": credential} if credential else {})

    asyncio.run(run())


def _test_client(app: Any, *requests: tuple[str, str]) -> None:
    client = TestClient(app)
    for path, credential in requests:
        client.get(path, headers={"x-api-key": credential} if credential else {})


def _uvicorn(app: Any, *requests: tuple[str, str]) -> None:
    with serving(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for path, credential in requests:
            client.get(path, headers={"x-api-key": credential} if credential else {})


@pytest.mark.parametrize("send", [_get, _test_client, _uvicorn])
def test_bare_application(send: Callable[..., None]) -> None:
    """Through each transport, an application without a framework has one request per call on one connection."""
    send(bare.app, ("/a", "ka"), ("/b", ""), ("/c", "kc"))
    assert bare.named() == {"/a": "ka", "/a:after": "ka", "/b": None, "/b:after": None, "/c": "kc", "/c:after": "kc"}


@pytest.mark.parametrize("make", [Starlette, Router, FastAPI])
def test_framework_called_by_an_unknown_server(make: Callable[[], Any]) -> None:
    """The entry point of the framework is enough."""
    app = make()
    app.mount("/m", bare.app)

    async def run() -> None:
        for path, credential in (("/m/a", "ka"), ("/m/b", "")):
            await app(bare.scope(path, credential, root_path=""), bare.receive, bare.ignore)

    asyncio.run(run())
    assert list(bare.named().values()) == ["ka", "ka", None, None]


@pytest.mark.parametrize("credential", ["k1", ""])
def test_copied_scope_is_the_same_request(credential: str, recorder: Recorder) -> None:
    """A middleware that passes a copy of the scope does not begin another request."""
    inner = Starlette(routes=[Mount("/m", bare.app)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify(credential)
        with recorder.tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            await inner({**scope}, receive, send)

    _test_client(app, ("/m/a", ""))
    assert set(bare.named().values()) == {credential or None}
    assert recorder.server_span().get("keyaudit.key.id") == (credential or None)


def test_request_started_in_the_context_of_another() -> None:
    """A request in the context of a running or ended request is a new request."""
    app = Starlette(routes=[Mount("/m", bare.app)])
    contexts: list[contextvars.Context] = []

    async def run() -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                contexts.append(contextvars.copy_context())

        await app(bare.scope("/m/first", "k1"), bare.receive, send)
        for path, credential in (("/m/second", ""), ("/m/third", "k3")):
            call = app(bare.scope(path, credential), bare.receive, send)
            await contexts[0].run(asyncio.ensure_future, call)

    asyncio.run(run())
    named = {action.rpartition("/")[2]: key for action, key in bare.named().items()}
    assert (named["first"], named["second"], named["third"]) == ("k1", None, "k3")


def test_key_set_by_hand_stays_behind_when_the_server_goes_on() -> None:
    """The next request runs inside a block of the previous one, whose key does not apply to it."""
    started = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            with use_key(ApiKey("by-hand")):
                await bare.answer(send)
                await started.wait()
                bare.record("/first")
        else:
            bare.record(scope["path"])
            started.set()
            await bare.answer(send)

    async def run(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /first HTTP/1.1\r\nHost: t\r\n\r\nGET /second HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
        )
        assert (await reader.read()).count(b"HTTP/1.1 200") == 2
        writer.close()

    with serving(app) as port:
        asyncio.run(run(port))
    assert bare.named() == {"/second": None, "/first": "by-hand"}


def test_key_set_by_hand_around_a_server_is_everybodys() -> None:
    """A test can set the key for all requests inside its block."""
    app = Starlette(routes=[Mount("/m", bare.app)])
    with use_key(ApiKey("by-hand")):
        _get(app, ("/m/a", ""), ("/m/b", "k1"))
    assert set(bare.named().values()) == {"by-hand"}


def test_websocket_is_one_request(recorder: Recorder) -> None:
    """The request lasts from the handshake to the end of the socket."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        bare.verify("k1")
        for _ in range(3):
            bare.record((await receive())["text"])
        await send({"type": "websocket.close", "code": 1000})

    with TestClient(app).websocket_connect("/") as socket:
        for number in range(3):
            socket.send_text(str(number))
    assert bare.named() == {"0": "k1", "1": "k1", "2": "k1"}


def test_websocket_on_uvicorn() -> None:
    """Real sockets make no difference."""
    client = pytest.importorskip("websockets.sync.client")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        bare.verify((await receive())["text"])
        bare.record(scope["path"])
        await send({"type": "websocket.close", "code": 1000})

    with serving(app, ws="websockets-sansio") as port:
        for path, key in (("/a", "k1"), ("/b", ""), ("/c", "k3")):
            with client.connect(f"ws://127.0.0.1:{port}{path}") as socket:
                socket.send(key)
                assert list(socket) == []
    assert bare.named() == {"/a": "k1", "/b": None, "/c": "k3"}


def test_lifespan_is_no_request() -> None:
    """Nothing is attributed while an application starts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        bare.record("start")
        assert current_key() is None
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with TestClient(app):
        pass
    assert bare.named() == {"start": None}


def test_client_that_cannot_be_copied_is_used_as_it_is() -> None:
    """A transport of an unusual class works as before."""

    class Fixed(httpx.ASGITransport):
        def __copy__(self) -> Any:
            raise TypeError

    async def run() -> None:
        async with httpx.AsyncClient(transport=Fixed(Starlette(routes=[Mount("/m", bare.app)]))) as client:
            assert (await client.get("http://test/m/a", headers={"x-api-key": "k1"})).text == "ok"

    asyncio.run(run())
    assert set(bare.named().values()) == {"k1"}
