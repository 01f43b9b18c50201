"""Keys that a call stores before it ends: a middleware, a decorator, a hook."""

from __future__ import annotations

import asyncio
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from otel_keyaudit import current_key
from otel_keyaudit.testing import Recorder
from support.environment.garbage import garbage_after
from support.environment.modules import LoadModule
from support.services import bare

APP = """
import functools

class Key:
    name, scopes, allow_list = "ci", ["a:b"], []
    def __init__(self, id, active=True):
        self.id, self.active = id, active

class Denied(Exception):
    status_code = 401

STORE = type("Store", (), {})()

class Middleware:
    async def dispatch(self, request, call_next):
        request.state.api_key = request.key
        return await call_next(request)

    def __call__(self, request):
        if request.key is None:
            raise Denied
        request.api_key = request.key
        return request.view()

class KeyMiddleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        scope.setdefault("state", {})["api_key"] = scope["app_key"]
        await self.app(scope, receive, send)

class LookingUp:
    def dispatch(self, request):
        look_up(request.raw)
        request.state.api_key = request.key
        return record("create")

def look_up(raw_key):
    return None

def guarded(view):
    @functools.wraps(view)
    def wrapper(key, *args):
        STORE.api_key = key
        return view(*args)
    return wrapper

def parameter(key, work):
    return work()

def record(action, additional_fields=None):
    return additional_fields
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that stores its keys."""
    return load_module(APP)


def instrument(recorder: Recorder, app: ModuleType, *auth: str) -> None:
    """Instrument the application with some authentication targets."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:{one.format(app=name)}" for one in auth], audit_targets=[f"{name}:record"]
    )


def asgi(key: Any) -> Any:
    """Return a request of an ASGI framework."""
    return SimpleNamespace(state=SimpleNamespace(), key=key)


def test_middleware_that_sets_the_state(recorder: Recorder, app: Any) -> None:
    """Rows of the endpoint, ``current_key()`` and the server span have the key."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key")

    async def endpoint(request: Any) -> Any:
        assert current_key() is not None
        return app.record("create")

    with recorder.request():
        row = asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1")), endpoint))
    assert row["request_api_key"]["id"] == "k_1"
    assert recorder.server_span()["keyaudit.key.id"] == "k_1"
    assert recorder.count("keyaudit.authentications", {"keyaudit.outcome": "accepted"}) == 1


def _answer(app: Any, recorder: Recorder, *, is_inside: bool, key: Any) -> None:
    """Answer a request whose server span ends with the response, outside or inside of the middleware."""

    def traced(asgi_app: Any) -> Any:
        return OpenTelemetryMiddleware(asgi_app, tracer_provider=recorder.tracer_provider)

    middleware = app.KeyMiddleware(traced(bare.app)) if is_inside else traced(app.KeyMiddleware(bare.app))

    async def server(scope: Any, receive: Any, send: Any) -> None:
        await middleware({**scope, "app_key": key}, receive, send)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://test") as client:
            await client.get("/")

    asyncio.run(run())


@pytest.mark.parametrize("is_inside", [False, True])
def test_server_span_that_ends_before_the_middleware_has_the_key(recorder: Recorder, app: Any, is_inside: bool) -> None:
    """The span ends with the response, and the middleware later; neither a row nor a check has read the key before."""
    instrument(recorder, app, "KeyMiddleware.__call__?key=args.scope['state']['api_key']")

    for key, attributes in ((app.Key("k_1"), {"accepted": "k_1"}), (None, {None: None})):
        recorder.clear()
        _answer(app, recorder, is_inside=is_inside, key=key)
        span = recorder.server_span()
        assert {span.get("keyaudit.outcome"): span.get("keyaudit.key.id")} == attributes

    assert recorder.authentications() == {"accepted": 1, "denied": 0}
    assert recorder.degraded() == {}


@pytest.mark.parametrize("is_inside", [False, True])
def test_server_span_that_reads_stored_keys_is_no_reference_cycle(
    recorder: Recorder, app: Any, is_inside: bool
) -> None:
    """Without the garbage collector, nothing of a request is left after its end."""
    instrument(recorder, app, "KeyMiddleware.__call__?key=args.scope['state']['api_key']")

    assert garbage_after(lambda: _answer(app, recorder, is_inside=is_inside, key=app.Key("k_1")), rounds=5) == []


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("condition", ["valid=active", "when=active", "when=args.request.key&valid=active"])
def test_row_inside_has_no_key_that_its_check_will_not_accept(
    recorder: Recorder, app: Any, condition: str, is_active: bool
) -> None:
    """``when`` and ``valid`` are applied to the stored key, too, before a row has it."""
    instrument(recorder, app, f"Middleware.dispatch?key=args.request.state.api_key&{condition}")

    async def endpoint(request: Any) -> Any:
        return app.record("create")

    with recorder.request():
        row = asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1", is_active)), endpoint))
    assert (row is not None) == is_active
    assert recorder.authentications()["accepted"] == is_active
    assert recorder.errors() == {}


def test_credential_of_an_authentication_inside_is_refused_in_a_stored_key(recorder: Recorder, app: Any) -> None:
    """The middleware itself has no parameter with the credential, but a function that it calls has."""
    instrument(recorder, app, "LookingUp.dispatch?key=args.request.state.api_key", "look_up")
    key, raw = app.Key("k_1"), "s3cret-of-more-than-16-characters"
    key.name = raw

    with recorder.request():
        row = app.LookingUp().dispatch(SimpleNamespace(state=SimpleNamespace(), key=key, raw=raw))

    assert row["request_api_key"]["id"] == "k_1"
    assert "name" not in row["request_api_key"]
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.CredentialError"): 1}
    recorder.assert_no_secret(raw)


def test_key_without_a_use_is_accepted_at_the_end(recorder: Recorder, app: Any) -> None:
    """If nothing is written inside, the key is read at the end of the call."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key")

    async def endpoint(request: Any) -> None:
        """Write nothing."""

    with recorder.request():
        asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1")), endpoint))
        assert app.record("late")["request_api_key"]["id"] == "k_1"


def test_request_without_a_key_is_anonymous(recorder: Recorder, app: Any) -> None:
    """``None`` and a missing attribute are not outcomes, and nothing is degraded."""
    instrument(
        recorder,
        app,
        "Middleware.dispatch?key=args.request.state.api_key",
        "guarded.<locals>.wrapper?key={app}:STORE.api_key",
    )

    async def endpoint(request: Any) -> Any:
        return app.record("create")

    with recorder.request():
        assert asyncio.run(app.Middleware().dispatch(asgi(None), endpoint)) is None
    assert recorder.server_span() == {}
    assert recorder.errors() == {}
    assert recorder.writes()["none"] == 1


@pytest.mark.parametrize(
    ("condition", "verdict", "outcome"),
    [
        ("valid=return", True, None),
        ("valid=return", False, "denied"),
        ("valid=return", None, "denied"),
        ("when=return", True, None),
    ],
)
def test_verdict_without_a_stored_key(
    recorder: Recorder, app: Any, condition: str, verdict: Any, outcome: str | None
) -> None:
    """A check that lets an anonymous request pass has accepted no key; nothing is degraded, and rows name nothing."""
    instrument(recorder, app, f"guarded.<locals>.wrapper?key={{app}}:STORE.current.api_key&{condition}")
    app.STORE.current = SimpleNamespace()
    with recorder.request():
        app.guarded(lambda: verdict)(None)
        assert app.record("create") is None
    assert recorder.server_span().get("keyaudit.outcome") == outcome
    assert recorder.errors() == {}
    assert recorder.writes()["none"] == 1


@pytest.mark.parametrize(
    ("user", "key", "outcome"), [("ann", "k_1", "accepted"), (None, "k_1", "denied"), (None, None, "denied")]
)
def test_key_inside_a_function_that_returns_the_user(
    recorder: Recorder, load_module: LoadModule, user: str | None, key: str | None, outcome: str
) -> None:
    """With ``key=builtins:None``, the outer function returns no key, and its result judges the key found inside."""
    app = load_module(
        "def find_token(raw): return raw and {'id': raw}\n"
        "def user_of(raw, user): return find_token(raw) and user\n"
        "def record(action, additional_fields=None): return additional_fields\n"
    )
    instrument(recorder, app, "find_token", "user_of?key=builtins:None&valid=return")
    with recorder.request():
        app.user_of(key, user)
        row = app.record("create")
    assert recorder.server_span()["keyaudit.outcome"] == outcome
    assert (row and row["request_api_key"]["id"]) == (key if user else None)
    assert recorder.errors() == {}


@pytest.mark.parametrize(
    ("place", "counted"),
    [("args.request.sate.api_key", 1), ("{app}:STORE.shop.api_key", 1), ("{app}:STORE.api_key", 0)],
)
def test_only_the_last_attribute_may_be_missing(recorder: Recorder, app: Any, place: str, counted: int) -> None:
    """A step before it that is missing is a wrong target, which is counted at the end of the call."""
    instrument(recorder, app, f"Middleware.dispatch?key={place}")

    async def endpoint(request: Any) -> Any:
        return app.record("create")

    with recorder.request():
        assert asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1")), endpoint)) is None
    assert sum(recorder.errors().values()) == counted


def test_exception_of_the_endpoint_denies_nothing(recorder: Recorder, app: Any) -> None:
    """The exception is the application's own, and the key stays accepted."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key")

    async def endpoint(request: Any) -> None:
        app.record("create")
        raise LookupError

    with recorder.request(), pytest.raises(LookupError):
        asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1")), endpoint))
    assert recorder.server_span()["keyaudit.outcome"] == "accepted"


@pytest.mark.parametrize("active", [True, False])
def test_key_of_an_endpoint_that_raises_is_judged(recorder: Recorder, app: Any, active: bool) -> None:
    """If nothing was written before the exception, the stored key is still accepted or denied at the end."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key&valid=active")

    async def endpoint(request: Any) -> None:
        raise LookupError

    with recorder.request(), pytest.raises(LookupError):
        asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1", active)), endpoint))
    shown = recorder.server_span()
    outcome, key = ("accepted", "keyaudit.key.id") if active else ("denied", "keyaudit.denied.key.id")
    assert (shown["keyaudit.outcome"], shown[key]) == (outcome, "k_1")


def test_refusal_of_a_middleware_is_a_denial(recorder: Recorder, app: Any) -> None:
    """Status 401 before any key was used is a denial."""
    instrument(recorder, app, "Middleware.__call__?key=args.request.api_key")
    with recorder.request(), pytest.raises(app.Denied):
        app.Middleware()(SimpleNamespace(key=None))
    assert recorder.server_span() == {
        "keyaudit.outcome": "denied",
        "keyaudit.denied.reason": f"{app.__name__}.Denied",
    }


def test_decorator_that_stores_the_key_in_a_module(recorder: Recorder, app: Any) -> None:
    """``module:name`` is resolved for each call, also for views that were decorated before."""
    view = app.guarded(lambda: app.record("create"))
    instrument(recorder, app, "guarded.<locals>.wrapper?key={app}:STORE.api_key")
    for key_id in ("k_1", "k_2"):
        with recorder.request():
            assert view(app.Key(key_id))["request_api_key"]["id"] == key_id


def test_bare_parameter_is_read_at_the_end(recorder: Recorder, app: Any) -> None:
    """A parameter may hold the key before it is checked."""
    instrument(recorder, app, "parameter?key=args.key")
    with recorder.request():
        assert app.parameter(app.Key("k_1"), lambda: app.record("create")) is None
        assert app.record("create")["request_api_key"]["id"] == "k_1"


def test_invalid_key_waits_for_the_end(recorder: Recorder, app: Any) -> None:
    """A key whose ``valid`` is not true while the call is open is in no row, and is denied at the end."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key&valid=active")

    async def endpoint(request: Any) -> Any:
        return app.record("create")

    with recorder.request():
        assert asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1", active=False)), endpoint)) is None
    shown = recorder.server_span()
    assert (shown["keyaudit.outcome"], shown["keyaudit.denied.key.id"]) == ("denied", "k_1")


def test_nested_authentication_of_the_same_key(recorder: Recorder, app: Any) -> None:
    """A key of another class with the same number, accepted inside the call, is the same key."""
    app.Other = type("Other", (), {"id": 1, "name": "other"})
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key", "parameter?key=return")

    async def endpoint(request: Any) -> Any:
        app.record("first")
        app.parameter(None, app.Other)
        return app.record("second")

    with recorder.request():
        row = asyncio.run(app.Middleware().dispatch(asgi(app.Key(1)), endpoint))
    assert row["request_api_key"]["id"] == "1"


@pytest.mark.parametrize(("second", "is_ambiguous"), [("k_1", False), ("k_2", True)])
@pytest.mark.parametrize("is_used", [True, False])
def test_key_that_is_replaced_during_the_call(
    recorder: Recorder, app: Any, second: str, is_ambiguous: bool, is_used: bool
) -> None:
    """After the first was used, the application stores another one: used again, or left until the end of the call."""
    instrument(recorder, app, "Middleware.dispatch?key=args.request.state.api_key")

    async def endpoint(request: Any) -> list[Any]:
        rows = [app.record("first"), app.record("first")]
        request.state.api_key = app.Key(second)
        return rows + ([app.record("second")] if is_used else [])

    with recorder.request():
        rows = asyncio.run(app.Middleware().dispatch(asgi(app.Key("k_1")), endpoint))
        rows.append(app.record("after"))
    assert [row["request_api_key"].get("id") for row in rows[:2]] == ["k_1", "k_1"]
    assert ["ambiguous" in row["request_api_key"] for row in rows[2:]] == [is_ambiguous] * len(rows[2:])
    assert recorder.count("keyaudit.authentications", {"keyaudit.outcome": "accepted"}) == 1 + is_ambiguous


MANAGERS = """
import contextlib

@contextlib.contextmanager
def managed(request):
    request["key"] = Key("k_1")
    yield

@contextlib.asynccontextmanager
async def managed_later(request):
    request["key"] = Key("k_1")
    yield
"""


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("managed", "managed.__wrapped__"),
        ("managed_later", "managed_later.__wrapped__"),
        ("guarded", "guarded.<locals>.wrapper"),
    ],
)
def test_factory_that_has_stored_no_key_is_wrong(
    recorder: Recorder, load_module: LoadModule, name: str, remedy: str
) -> None:
    """A context manager or decorator stores the key after its function has returned, so that target never matches."""
    app = load_module(APP + MANAGERS)
    key = f"{app.__name__}:STORE.api_key" if name == "guarded" else "args.request['key']"
    instrument(recorder, app, f"{name}?key={key}")
    with recorder.request():
        getattr(app, name)({})
    status = recorder.status()[f"{app.__name__}:{name}?key={key}"]
    assert (status.state, remedy in status.reason) == ("wrong", True)
    assert recorder.authentications() == {"accepted": 0, "denied": 0}


def test_factory_in_the_reason_observes_stored_keys(recorder: Recorder, load_module: LoadModule) -> None:
    """The target that the reason names accepts the key when a row inside of the context manager needs it."""
    app = load_module(APP + MANAGERS)
    instrument(recorder, app, "managed.__wrapped__?key=args.request['key']")
    with recorder.request(), app.managed({}):
        assert app.record("inside")["request_api_key"]["id"] == "k_1"
