"""A call made from inside a request is a request of its own, and the outer one is as it was when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_keyaudit import ApiKey, current_key, use_key
from support import bare, service
from support.keyaudit import KeyAudit, keyaudit_attributes
from support.testclient import TestClient


@pytest.fixture(autouse=True)
def _instrumented(keyaudit: KeyAudit) -> None:
    bare.instrument(keyaudit)


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
def test_each_has_its_own_key(call: Callable[..., Any], credential: str, keyaudit: KeyAudit) -> None:
    """The outer key is not given to the inner call, nor the inner one to the outer."""

    async def careful(app: Any, credential: str) -> None:
        await asyncio.gather(call(app, credential), return_exceptions=True)

    _run(_outer(Starlette(routes=[Mount("/m", bare.app)]), careful, credential))
    named = {action.rpartition("/")[2]: key for action, key in bare.named().items()}
    assert named.pop("outer") == "outer"
    assert set(named.values()) <= {credential or None}
    assert len(named) == (0 if credential == "wrong" else 2)
    assert keyaudit.writes()["ambiguous"] == 0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("credential", ["inner", "", "wrong"])
def test_spans_of_both(call: Callable[..., Any], credential: str, keyaudit: KeyAudit) -> None:
    """The outer server span names the outer key; where the inner call opens none of its own, nothing is put on it."""

    async def careful(app: Any, credential: str) -> None:
        await asyncio.gather(call(app, credential), return_exceptions=True)

    inner = OpenTelemetryMiddleware(Starlette(routes=[Mount("/m", bare.app)]), tracer_provider=keyaudit.tracer_provider)
    _run(OpenTelemetryMiddleware(_outer(inner, careful, credential), tracer_provider=keyaudit.tracer_provider))
    outermost = min(keyaudit.spans(SpanKind.SERVER), key=lambda span: span.start_time or 0)
    attributes = keyaudit_attributes(outermost)
    assert (attributes["keyaudit.key.id"], attributes["keyaudit.outcome"]) == ("outer", "accepted")
    assert attributes["keyaudit.action"] == "outer"
    for span in keyaudit.audit_spans():
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
    """A scope whose headers are a constant of the program is that of a new request."""
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
    """A service that asks another one in-process whether a key is good keeps both apart."""
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
    """A block of the outer request encloses the inner call, and ends with it."""
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


def test_mounted_application_is_the_same_request(keyaudit: KeyAudit) -> None:
    """What the outer application authenticated is known in the mounted one, and the other way round."""
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
