"""A WSGI call is a request, from its entry until its body is closed."""

from __future__ import annotations

import contextvars
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults

import httpx
import pytest
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind

from otel_keyaudit.request import context as request_state
from otel_keyaudit.request.boundaries.response_body import runs_code
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.clients.testclient import TestClient
from support.services import bare, service


class Chunks(list[bytes]):
    """May do anything when it is read."""


@pytest.mark.parametrize(
    ("body", "environ", "expected"),
    [
        (None, {}, False),
        ([b"1"], {}, False),
        ((b"1",), {}, False),
        (Chunks(), {}, True),
        (iter([b"1"]), {}, True),
        (iter([b"1"]), {"wsgi.file_wrapper": "not a class"}, True),
        (iter([b"1"]), {"wsgi.file_wrapper": FileWrapper}, True),
        (FileWrapper(None), {"wsgi.file_wrapper": FileWrapper}, False),  # type: ignore[arg-type]
        (FileWrapper(None), {}, True),  # type: ignore[arg-type]
        (iter([b"1"]), None, True),
    ],
)
def test_a_body_that_runs_code(body: Any, environ: Any, expected: bool) -> None:
    """A body runs code unless it is plain data or the server's own file, whatever the environ is."""
    assert runs_code(body, environ) is expected


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def _wsgiref(app: Any) -> Iterator[httpx.Client]:
    """Serve all requests by one thread, which is used again and again."""
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _transport(app: Any) -> Iterator[httpx.Client]:
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        yield client


CLIENTS = pytest.mark.parametrize("client_of", [_wsgiref, _transport])


def _headers(credential: str) -> dict[str, str]:
    return {"x-api-key": credential} if credential else {}


@CLIENTS
def test_bare_application(client_of: Callable[..., Any]) -> None:
    """Rows of the call, the body and its end name the request's own key or none."""
    with client_of(bare.wsgi_app) as client:
        for path, credential in (("/a", "ka"), ("/b", ""), ("/c", "kc")):
            assert client.get(path, headers=_headers(credential)).text == "ok"
    expected: dict[str, str | None] = {}
    for path, key in (("/a", "ka"), ("/b", None), ("/c", "kc")):
        expected |= {path: key, f"{path}:body": key, f"{path}:closed": key}
    assert bare.named() == expected


@CLIENTS
def test_contrib_middleware(client_of: Callable[..., Any], recorder: Recorder) -> None:
    """The server span shows the key, and rows of the body are in its trace."""
    app = OpenTelemetryMiddleware(bare.wsgi_app, tracer_provider=recorder.tracer_provider)
    with client_of(app) as client:
        for path, credential in (("/a", "ka"), ("/b", "")):
            assert client.get(path, headers=_headers(credential)).text == "ok"
    spans = recorder.server_spans()
    assert [keyaudit_attributes(span).get("keyaudit.key.id") for span in spans] == ["ka", None]
    contexts = [span.context.trace_id for span in spans if span.context]
    assert {int(row["request_api_key"]["trace_id"], 16) for row in bare.rows[:3]} == {contexts[0]}
    assert [row.get("request_api_key") for row in bare.rows[3:]] == [None] * 3


def _environ(path: str, credential: str = "") -> dict[str, Any]:
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_X_API_KEY": credential}
    setup_testing_defaults(environ)
    return environ


def _start_response(*_: Any) -> Callable[[bytes], object]:
    """Ignore the head."""
    return len


def test_body_read_elsewhere(recorder: Recorder) -> None:
    """A body that another thread reads, or that is read in part, belongs to its request until it is closed."""
    app = OpenTelemetryMiddleware(bare.wsgi_app, tracer_provider=recorder.tracer_provider)
    body = app(_environ("/a", "k1"), _start_response)
    assert request_state.CALL.get() is None
    chunks = iter(body)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.extend((next(chunks), next(chunks))))
    thread.start()
    thread.join()
    assert read == [b"o", b"k"]
    contextvars.copy_context().run(body.close)
    assert bare.named() == {"/a": "k1", "/a:body": "k1", "/a:closed": "k1"}


def test_bodies_that_are_read_in_turns(recorder: Recorder) -> None:
    """Two bodies that one thread reads in turns keep their keys."""
    app = OpenTelemetryMiddleware(bare.wsgi_app, tracer_provider=recorder.tracer_provider)
    bodies = [app(_environ(f"/{key}", key), _start_response) for key in ("k1", "k2", "")]
    assert [next(iter(body)) for body in bodies] == [b"o"] * 3
    assert [b"".join(body) for body in reversed(bodies)] == [b"k"] * 3
    for body in bodies:
        body.close()
    assert bare.named() == {
        f"/{key}{part}": key or None for key in ("k1", "k2", "") for part in ("", ":body", ":closed")
    }


def _served(app: Any) -> Any:
    """Return the body as a server gets it."""
    taken: list[Any] = []

    class Handler(SimpleHandler):
        def finish_response(self) -> None:
            taken.append(self.result)  # type: ignore[attr-defined]

    Handler(io.BytesIO(), io.BytesIO(), io.StringIO(), _environ("/")).run(app)
    return taken[0]


def test_body_that_runs_no_code_is_passed_on_as_it_is() -> None:
    """A list, a tuple and a file are passed on unchanged, because servers look at their type."""
    for body in ([b"1"], (b"1",), FileWrapper(io.BytesIO(b"1"))):
        assert _served(lambda environ, start_response, body=body: body) is body


def test_body_keeps_its_abilities() -> None:
    """An iterator can be advanced, and an object keeps its attributes, its length and its class."""
    iterator = _served(lambda environ, start_response: iter([b"1", b"2"]))
    assert next(iterator) == b"1"
    assert b"".join(iterator) == b"2"

    class Response(list[bytes]):
        status = 200

    response = _served(lambda environ, start_response: Response([b"1", b"2"]))
    assert (response.status, len(response), isinstance(response, Response)) == (200, 2, True)
    assert b"".join(response) + b"".join(response) == b"1212"
    response.status = 201
    assert response.status == 201
    response.close()


class _Plain:
    """What every class has of itself, which differs from one Python to the next."""


def test_body_has_no_additional_special_method() -> None:
    """A server that asks for the length of a body gets the same answer."""

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"1"])

    for body in (Response(), iter([b"1"]), (chunk for chunk in [b"1"])):
        served = _served(lambda environ, start_response, body=body: body)
        added = {name for name in dir(type(served)) if name.startswith("__") and not hasattr(type(body), name)}
        assert added - vars(_Plain).keys() <= {"__slots__", "__getattr__"}


def test_exception_ends_the_request(recorder: Recorder) -> None:
    """The thread has no request after the exception."""

    def app(environ: Any, start_response: Any) -> Any:
        bare.verify("k1")
        raise ZeroDivisionError

    wrapped = OpenTelemetryMiddleware(app, tracer_provider=recorder.tracer_provider)
    with pytest.raises(ZeroDivisionError):
        wrapped(_environ("/"), _start_response)
    bare.record("after")
    assert bare.named() == {"after": None}
    assert recorder.server_span()["keyaudit.key.id"] == "k1"


def test_in_process_call_from_inside() -> None:
    """A WSGI call inside of a WSGI application is a new request."""

    def outer(environ: Any, start_response: Any) -> Any:
        bare.verify("outer")
        with _transport(bare.wsgi_app) as client:
            client.get("/keyless")
            client.get("/inner", headers=_headers("inner"))
        bare.record("outer")
        start_response("200 OK", [])
        return [b"ok"]

    with _transport(outer) as client:
        client.get("/")
    named = bare.named()
    assert {named[f"/keyless{part}"] for part in ("", ":body", ":closed")} == {None}
    assert {named[f"/inner{part}"] for part in ("", ":body", ":closed")} == {"inner"}
    assert named["outer"] == "outer"


def _flask() -> Any:
    flask: Any = pytest.importorskip("flask")
    app = flask.Flask(__name__)

    def view(path: str) -> Any:
        bare.verify(flask.request.headers.get("x-api-key", ""))
        bare.record(f"/{path}")
        return bare.body(f"/{path}")

    app.add_url_rule("/<path:path>", view_func=view)
    return app


def test_flask() -> None:
    """Flask works under a server, in its test client and mounted."""
    app = _flask()
    with _wsgiref(app) as client:
        for path, credential in (("/a", "ka"), ("/b", "")):
            assert client.get(path, headers=_headers(credential)).text == "ok"
    assert app.test_client().get("/c", headers=_headers("kc")).text == "ok"
    assert set(bare.named().values()) == {"ka", None, "kc"}
    assert {action[:2]: key for action, key in bare.named().items()} == {"/a": "ka", "/b": None, "/c": "kc"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("bridge", ["starlette.middleware.wsgi:WSGIMiddleware", "asgiref.wsgi:WsgiToAsgi"])
def test_mounted_in_an_asgi_application(bridge: str, recorder: Recorder) -> None:
    """A WSGI application that is mounted in an ASGI application belongs to the same request."""
    module, _, name = bridge.partition(":")
    app = service.build()

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        with recorder.tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            await app(scope, receive, send)
            bare.record("outer")

    app.mount("/m", getattr(pytest.importorskip(module), name)(OpenTelemetryMiddleware(bare.wsgi_app)))
    assert TestClient(outer).get("/m/a", headers=_headers("k1")).text == "ok"
    assert {action for action, key in bare.named().items() if key != "k1"} == set()
    assert recorder.server_span()["keyaudit.key.id"] == "k1"
