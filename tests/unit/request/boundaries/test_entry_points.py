"""Requests of Django begin and end with its handlers, by WSGI and ASGI, with and without its instrumentation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import AsyncClient, Client
from opentelemetry.instrumentation.django import DjangoInstrumentor

from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.servers.uvicorn_thread import serving
from support.services import bare, django_service

django_service.set_up()
# Django would rather have bodies of the server's own kind.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
VIEWS = ("sync", "async", "stream", "async-stream")


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    django_service.set_up()
    bare.instrument(recorder)


@pytest.fixture
def contrib(recorder: Recorder) -> Iterator[None]:
    """The contrib instrumentor, on."""
    instrumentor = DjangoInstrumentor()
    instrumentor.instrument(tracer_provider=recorder.tracer_provider)
    yield
    instrumentor.uninstrument()


def _headers(credential: str) -> dict[str, str]:
    return {"x-api-key": credential} if credential else {}


def _by_asgi(path: str, credential: str) -> None:
    async def run() -> None:
        app: Any = ASGIHandler()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            assert (await client.get(path, headers=_headers(credential))).text == "ok"

    asyncio.run(run())


def _by_wsgi(path: str, credential: str) -> None:
    with httpx.Client(transport=httpx.WSGITransport(WSGIHandler()), base_url="http://test") as client:
        assert client.get(path, headers=_headers(credential)).text == "ok"


def _directly_by_wsgi(path: str, credential: str) -> None:
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_X_API_KEY": credential}
    setup_testing_defaults(environ)
    body = WSGIHandler()(environ, lambda *_: None)
    assert b"".join(body) == b"ok"
    body.close()


def _by_client(path: str, credential: str) -> None:
    assert b"".join(Client().get(path, headers=_headers(credential))) == b"ok"


def _by_async_client(path: str, credential: str) -> None:
    async def run() -> None:
        response = await AsyncClient().get(path, headers=_headers(credential))
        chunks = [chunk async for chunk in response] if response.streaming else list(response)
        assert b"".join(chunks) == b"ok"

    asyncio.run(run())


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("send", [_by_asgi, _by_wsgi, _directly_by_wsgi, _by_client, _by_async_client])
def test_rows_and_spans(send: Callable[[str, str], None], view: str, contrib: None, recorder: Recorder) -> None:
    """Every row, also of a streaming body, names the request's own key, and the server span shows it."""
    for credential in ("k1", "", "k3"):
        send(f"/{view}/n{credential}", credential)
    named = {action.partition(":")[0]: key for action, key in bare.named().items()}
    assert named == {"nk1": "k1", "n": None, "nk3": "k3"}
    spans = [keyaudit_attributes(span).get("keyaudit.key.id") for span in recorder.server_spans()]
    assert spans == ["k1", None, "k3"]


def test_on_uvicorn_at_once(contrib: None, recorder: Recorder) -> None:
    """Concurrent requests, in threads and in the event loop, name their own keys."""

    async def run(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            paths = [(f"/{VIEWS[number % 4]}/n{number}", f"k{number}" if number % 5 else "") for number in range(100)]
            await asyncio.gather(*[client.get(path, headers=_headers(credential)) for path, credential in paths])

    with serving(ASGIHandler()) as port:
        asyncio.run(run(port))
    named = bare.named()
    assert {named[f"n{number}"] == (f"k{number}" if number % 5 else None) for number in range(100)} == {True}
