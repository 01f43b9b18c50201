"""A call from inside a request is a new request, and the outer request continues when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from django.core.handlers.base import BaseHandler
from django.test import AsyncRequestFactory, RequestFactory
from flask import Flask, request
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.workers.propagation import begin_job
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.clients.testclient import TestClient
from support.services import bare, django_service, service


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


def _headers(credential: str) -> dict[str, str]:
    return {"x-api-key": credential} if credential else {}


async def _by_transport(app: Any, credential: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.get("/m/inner", headers=_headers(credential))


async def _by_test_client(app: Any, credential: str) -> None:
    await asyncio.to_thread(lambda: TestClient(app).get("/m/inner", headers=_headers(credential)))


async def _directly(app: Any, credential: str) -> None:
    await app(bare.scope("/m/inner", credential), bare.receive, bare.ignore)


async def _in_a_task(app: Any, credential: str) -> None:
    await asyncio.create_task(_directly(app, credential))


CALLS: list[Callable[[Any, str], Awaitable[None]]] = [_by_transport, _by_test_client, _directly, _in_a_task]


def _outer(inner: Any, call: Callable[[Any, str], Awaitable[None]], credential: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("outer")
        await call(inner, credential)
        bare.record("outer")
        await bare.answer(send)

    return app


def _run(app: Any) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    asyncio.run(run())


@pytest.mark.parametrize("credential", ["inner", "", "wrong"])
@pytest.mark.parametrize("call", CALLS)
def test_each_has_its_own_key(call: Callable[..., Any], credential: str, recorder: Recorder) -> None:
    """The outer key is not given to the inner call, nor the inner one to the outer."""

    async def careful(app: Any, credential: str) -> None:
        await asyncio.gather(call(app, credential), return_exceptions=True)

    _run(_outer(Starlette(routes=[Mount("/m", bare.app)]), careful, credential))
    named = {action.rpartition("/")[2]: key for action, key in bare.named().items()}
    assert named.pop("outer") == "outer"
    assert set(named.values()) <= {credential or None}
    assert len(named) == (0 if credential == "wrong" else 2)
    assert recorder.writes()["ambiguous"] == 0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("credential", ["inner", "", "wrong"])
def test_spans_of_both(call: Callable[..., Any], credential: str, recorder: Recorder) -> None:
    """The outer server span names the outer key, also if the inner call has no server span."""

    async def careful(app: Any, credential: str) -> None:
        await asyncio.gather(call(app, credential), return_exceptions=True)

    inner = OpenTelemetryMiddleware(Starlette(routes=[Mount("/m", bare.app)]), tracer_provider=recorder.tracer_provider)
    _run(OpenTelemetryMiddleware(_outer(inner, careful, credential), tracer_provider=recorder.tracer_provider))
    outermost = min(recorder.server_spans(), key=lambda span: span.start_time or 0)
    attributes = keyaudit_attributes(outermost)
    assert (attributes["keyaudit.key.id"], attributes["keyaudit.outcome"]) == ("outer", "accepted")
    for span in recorder.audit_spans():
        found = keyaudit_attributes(span)
        is_outer = found["keyaudit.action"] == "outer"
        assert found.get("keyaudit.key.id") == ("outer" if is_outer else credential or None)
        assert ("keyaudit.key.scopes" in found) == (not is_outer and bool(credential))


def test_applications_inside_one_another() -> None:
    """Calls can be nested to any depth."""

    def nested(depth: int) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            bare.verify(f"k{depth}")
            if depth:
                await _by_transport(nested(depth - 1), "")
            bare.record(str(depth))
            await bare.answer(send)

        return app

    _run(nested(5))
    assert bare.named() == {str(depth): f"k{depth}" for depth in range(6)}


def test_constants_are_no_sign_of_the_same_request() -> None:
    """Headers that are a constant of the program do not make two scopes the same request."""
    inner = Starlette(routes=[Mount("/m", bare.app)])

    async def run() -> None:
        headers = ((b"host", b"test"),)
        scope = bare.scope("/m/outer")
        app = Starlette(routes=[Mount("/m", _outer(inner, lambda app, _: call(app), ""))])

        async def call(app: Any) -> None:
            await app({**bare.scope("/m/inner"), "headers": headers}, bare.receive, bare.ignore)

        await app({**scope, "headers": headers}, bare.receive, bare.ignore)

    asyncio.run(run())
    assert sorted(map(str, bare.named().values())) == ["None", "None", "outer"]


def test_inner_call_during_authentication() -> None:
    """A service that calls another one to check a key keeps both requests apart."""
    inner = Starlette(routes=[Mount("/m", bare.app)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.gather(_directly(inner, "i1"), _directly(inner, "i2"), return_exceptions=True)
        bare.verify("outer")
        bare.record("outer")
        await bare.answer(send)

    _run(app)
    assert bare.named()["outer"] == "outer"
    assert sorted(str(row["request_api_key"]["id"]) for row in bare.rows) == ["i1", "i1", "i2", "i2", "outer"]


def test_key_set_by_hand_wins_in_the_inner_call_too() -> None:
    """A block of the outer request contains the inner call and ends with it."""
    inner = Starlette(routes=[Mount("/m", bare.app)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("outer")
        with use_key(ApiKey("by-hand")):
            await _directly(inner, "inner")
        bare.record("outer")
        found = current_key()
        assert found is not None
        assert found.id == "outer"
        await bare.answer(send)

    _run(app)
    assert [row["request_api_key"]["id"] for row in bare.rows] == ["by-hand", "by-hand", "outer"]


def test_mounted_application_is_the_same_request(recorder: Recorder) -> None:
    """The outer and the mounted application share their authentications."""
    app = service.build()

    @app.middleware("http")
    async def outer(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        bare.record("outer")
        return response

    app.mount("/m", bare.app)
    TestClient(app).get("/m/a", headers=_headers("k1"))
    assert set(bare.named().values()) == {"k1"}
    assert bare.named()["outer"] == "k1"


def _batch(app: Any, requests: list[tuple[str, str]], **shared: Any) -> Any:
    """Return an endpoint that calls the application for each of several requests, with a copy of its own scope."""

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        for path, credential in requests:
            headers = [(b"x-api-key", credential.encode())] if credential else []
            await app({**scope, **shared, "path": path, "headers": headers}, bare.receive, bare.ignore)
        bare.record("batch")
        await bare.answer(send)

    return outer


@pytest.mark.parametrize("state", [{}, {"a": 1}])
def test_batch_of_requests_that_share_the_state(state: dict[str, Any], recorder: Recorder) -> None:
    """A call with its own headers is a new request, even if it shares the server's state."""
    inner = Starlette(routes=[Mount("/m", bare.app)])
    outer = _batch(inner, [("/m/a", "ka"), ("/m/b", "kb"), ("/m/c", "")])

    async def run() -> None:
        delimited = OpenTelemetryMiddleware(outer, tracer_provider=recorder.tracer_provider)
        await delimited(bare.scope("/", "", state=state, root_path=""), bare.receive, bare.ignore)

    asyncio.run(run())
    named = {action.rpartition("/")[2].partition(":")[0]: key for action, key in bare.named().items()}
    assert named == {"a": "ka", "b": "kb", "c": None, "batch": None}
    assert recorder.writes()["ambiguous"] == 0


def test_batch_of_requests_in_wsgi() -> None:
    """A copied environ with another header is a new request, even if it shares the input."""

    def outer(environ: Any, start_response: Any) -> Any:
        for path, credential in (("/a", "ka"), ("/b", "kb")):
            copied = {**environ, "PATH_INFO": path, "HTTP_X_API_KEY": credential}
            b"".join(client_app(copied, start_response))
        without = {name: value for name, value in environ.items() if name != "HTTP_X_OUTER"}
        b"".join(client_app({**without, "PATH_INFO": "/c"}, start_response))
        bare.record("batch")
        start_response("200 OK", [])
        return [b"ok"]

    client_app = WsgiMiddleware(bare.wsgi_app)
    with httpx.Client(transport=httpx.WSGITransport(outer), base_url="http://test") as client:
        client.get("/", headers={"x-outer": "1"})
    named = bare.named()
    assert (named["/a"], named["/b"], named["/c"], named["batch"]) == ("ka", "kb", None, None)


def test_batch_of_requests_that_enter_below_middleware_of_flask() -> None:
    """A copied environ with another header is a new request, also for ``Flask.wsgi_app`` inside a dispatcher."""
    flask = Flask("shop")

    @flask.get("/item")
    def item() -> str:
        bare.verify(request.headers["x-api-key"])
        bare.record(request.headers["x-api-key"])
        return "ok"

    @flask.get("/batch")
    def batch() -> str:
        for credential in ("ka", "kb"):
            copied = {**request.environ, "PATH_INFO": "/item", "HTTP_X_API_KEY": credential}
            b"".join(dispatcher(copied, lambda status, headers, exc_info=None: lambda chunk: None))
        bare.record("batch")
        return "ok"

    dispatcher = DispatcherMiddleware(flask.wsgi_app)
    with httpx.Client(transport=httpx.WSGITransport(dispatcher), base_url="http://test") as client:
        client.get("/batch")
    assert bare.named() == {"ka": "ka", "kb": "kb", "batch": None}


def _by_django(paths: list[str]) -> None:
    handler = BaseHandler()
    handler.load_middleware()
    for path in paths:
        handler.get_response(RequestFactory().get(f"/{path}", headers={"x-api-key": path.rpartition("/")[2]})).close()


def _by_asynchronous_django(paths: list[str]) -> None:
    handler = BaseHandler()
    handler.load_middleware(is_async=True)

    async def run() -> None:
        items = [AsyncRequestFactory().get(f"/{path}", headers={"x-api-key": path[-2:]}) for path in paths]
        await asyncio.gather(*map(handler.get_response_async, items))

    asyncio.run(run())


@pytest.mark.parametrize("dispatch", [_by_django, _by_asynchronous_django])
def test_batch_of_requests_that_enter_below_the_application_of_django(
    dispatch: Callable[[list[str]], None], recorder: Recorder
) -> None:
    """A request of a factory that a handler answers inside another request has its own key."""
    django_service.set_up()
    with recorder.request():
        bare.verify("outer")
        dispatch(["sync/ka", "async/kb", "sync/kc"])
        bare.record("outer")
    assert bare.named() == {"ka": "ka", "kb": "kb", "kb:thread": "kb", "kc": "kc", "outer": "outer"}


def test_framework_handles_the_request_of_a_span_that_has_nothing_else(recorder: Recorder) -> None:
    """Without a call of ASGI or WSGI, an open span is the request, which the framework handles."""
    django_service.set_up()
    for path in ("sync/ka", "sync/kb"):
        with recorder.request():
            _by_django([path])
            bare.record(f"after {path[-2:]}")

    assert bare.named() == {"ka": "ka", "after ka": "ka", "kb": "kb", "after kb": "kb"}
    ids = [keyaudit_attributes(span)["keyaudit.key.id"] for span in recorder.server_spans()]
    assert ids == ["ka", "kb"]


@pytest.mark.parametrize("dispatch", [_by_django, _by_asynchronous_django])
def test_batch_of_requests_in_a_job(dispatch: Callable[[list[str]], None], recorder: Recorder) -> None:
    """The key that a job has does not belong to the requests that it dispatches."""
    django_service.set_up()
    with recorder.request():
        bare.verify("outer")
        job = begin_job()
    assert job is not None
    with job:
        dispatch(["sync/ka", "async/kb"])
        bare.record("job")
    assert bare.named() == {"ka": "ka", "kb": "kb", "kb:thread": "kb", "job": "outer"}


def test_copied_environ_is_the_same_request() -> None:
    """A middleware that copies the environ and changes other variables stays in the request."""

    def outer(environ: Any, start_response: Any) -> Any:
        bare.verify("outer")
        body = WsgiMiddleware(bare.wsgi_app)({**environ, "PATH_INFO": "/m", "SCRIPT_NAME": "/x"}, start_response)
        return [b"".join(body)]

    with httpx.Client(transport=httpx.WSGITransport(outer), base_url="http://test") as client:
        client.get("/")
    assert bare.named()["/m"] == "outer"


def test_mount_with_headers_in_a_tuple() -> None:
    """A copied scope with the same headers and state is the same request, whatever type holds the headers."""
    inner = Starlette(routes=[Mount("/m", bare.app)])

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("outer")
        await inner({**scope, "path": "/m/a"}, receive, send)

    async def run() -> None:
        scope = {**bare.scope("/"), "headers": ((b"host", b"test"),), "state": {}, "root_path": ""}
        await Starlette(routes=[Mount("/", outer)])(scope, bare.receive, bare.ignore)

    asyncio.run(run())
    assert set(bare.named().values()) == {"outer"}
