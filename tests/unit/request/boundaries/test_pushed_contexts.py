"""A request context pushed inside a request is a request of its own, and the outer request continues after it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, copy_current_request_context, request, stream_with_context

from otel_keyaudit.request.boundaries.entry_points import ENTRY_POINTS, EntryPoint
from otel_keyaudit.request.boundaries.pushed_contexts import PushedContexts
from otel_keyaudit.request.context import current_request
from otel_keyaudit.testing import Recorder
from support.environment.unseen import unseen_state
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder, presets="executors,threads")


def _authenticate() -> tuple[str, int] | None:
    try:
        bare.verify(request.headers.get("x-api-key", ""))
    except PermissionError:
        bare.record("denied")
        return "denied", 403
    return None


def _authenticated(view: Callable[[], Any]) -> Callable[[], Any]:
    @wraps(view)
    def checked() -> Any:
        return _authenticate() or view()

    return checked


def _chunks() -> Iterator[bytes]:
    bare.record("chunk")
    yield b"o"
    yield b"k"


@pytest.fixture
def flask() -> Flask:
    """An application whose items authenticate by a decorator, or before and after the view."""
    flask = Flask("shop")
    around = Blueprint("around", "around", url_prefix="/around")

    @around.before_request
    def before() -> Any:
        return _authenticate()

    @around.after_request
    def after(response: Response) -> Response:
        bare.record("after")
        return response

    @around.get("/item")
    def inside() -> str:
        bare.record("item")
        return "ok"

    @flask.get("/item")
    @_authenticated
    def item() -> str:
        bare.record("item")
        return "ok"

    @flask.get("/broken")
    @_authenticated
    def broken() -> str:
        raise LookupError

    @flask.get("/stream")
    @_authenticated
    def stream() -> Response:
        return Response(stream_with_context(_chunks()))

    @flask.teardown_request
    def teardown(error: BaseException | None) -> None:
        if request.path != "/batch":
            bare.record("teardown")

    flask.register_blueprint(around)
    return flask


def _batch(flask: Flask, batch: Callable[[], Any], credential: str = "") -> None:
    """Answer a request whose view is a batch."""
    flask.add_url_rule("/batch", "batch", _authenticated(lambda: batch() or "ok"))
    flask.test_client().get("/batch", headers={"x-api-key": credential})


def _item(flask: Flask, path: str, credential: str = "") -> Any:
    return flask.test_request_context(path, headers={"x-api-key": credential})


def _as_whole(flask: Flask) -> None:
    flask.full_dispatch_request()


def _by_steps(flask: Flask) -> None:
    response = flask.preprocess_request()
    flask.process_response(flask.make_response(flask.dispatch_request() if response is None else response))


def _by_the_view(flask: Flask) -> None:
    flask.view_functions[request.endpoint or ""]()


@pytest.mark.parametrize("outer", ["", "outer"])
@pytest.mark.parametrize(
    ("path", "dispatch", "rows"),
    [
        ("/item", _as_whole, ("item", "teardown")),
        ("/item", _by_steps, ("item", "teardown")),
        ("/item", _by_the_view, ("item", "teardown")),
        ("/around/item", _as_whole, ("item", "after", "teardown")),
        ("/around/item", _by_steps, ("item", "after", "teardown")),
    ],
)
def test_item_of_a_batch_names_its_own_key(
    flask: Flask, outer: str, path: str, dispatch: Callable[[Flask], None], rows: tuple[str, ...]
) -> None:
    """Each item has the key of its own context, and the rows of the batch have the key of the batch or none."""

    def batch() -> None:
        for credential in ("ka", "kb"):
            with _item(flask, path, credential):
                dispatch(flask)
            assert {name: key for name, key in bare.named().items() if name in rows} == dict.fromkeys(rows, credential)
            bare.record(f"batch after {credential}")

    _batch(flask, batch, outer)
    named = bare.named()
    assert (named["batch after ka"], named["batch after kb"]) == (outer or None, outer or None)


def test_failed_and_streaming_items(flask: Flask) -> None:
    """An item that fails, is not found or is streamed leaves nothing in the batch."""

    def batch() -> None:
        with pytest.raises(LookupError), _item(flask, "/broken", "ka"):
            flask.dispatch_request()
        with _item(flask, "/nowhere", "kb"):
            flask.full_dispatch_request()
        with _item(flask, "/stream", "kc"):
            assert b"".join(flask.full_dispatch_request().response) == b"ok"  # type: ignore[arg-type]
        bare.record("batch")

    _batch(flask, batch, "outer")
    assert bare.named()["chunk"] == "kc"
    assert bare.named()["batch"] == "outer"


def test_context_for_a_template_keeps_the_key_of_the_request(flask: Flask) -> None:
    """A context without an authentication of its own acts for the outer request."""

    def batch() -> None:
        with _item(flask, "/template"):
            bare.record("template")
        bare.record("batch")

    _batch(flask, batch, "outer")
    assert bare.named() == {"template": "outer", "teardown": "outer", "batch": "outer"}


def test_row_of_a_denied_item_has_no_key(flask: Flask) -> None:
    """A denial of an item ends the use of the outer request's key, which the outer request keeps."""

    def batch() -> None:
        with _item(flask, "/item", "wrong"):
            flask.full_dispatch_request()
        bare.record("batch")

    _batch(flask, batch, "outer")
    assert bare.named() == {"denied": None, "teardown": None, "batch": "outer"}


def test_context_that_is_never_popped_ends_with_the_outer_request(flask: Flask) -> None:
    """The next request of the thread and rows outside of requests do not have the key of the item."""

    def batch() -> None:
        _item(flask, "/item", "ka").push()
        flask.full_dispatch_request()

    with pytest.raises(AssertionError, match="wrong request context"):
        _batch(flask, batch, "outer")
    assert current_request() is None
    bare.record("outside")
    assert bare.named() == {"item": "ka", "teardown": "ka", "outside": None}


def test_context_outside_of_requests_is_no_request(flask: Flask) -> None:
    """A script that pushes a context makes no request."""
    with _item(flask, "/template"):
        assert current_request() is None


def test_second_context_of_the_same_request_belongs_to_it(flask: Flask) -> None:
    """A thread that works in a copy of the context is a part of the request, also with a propagated key."""
    states = []

    def batch() -> None:
        @copy_current_request_context
        def work() -> None:
            bare.record("thread")

        with flask.request_context(request.environ):
            states.append(current_request())
        thread = Thread(target=work)
        thread.start()
        thread.join()
        states.append(current_request())

    _batch(flask, batch, "outer")
    assert bare.named()["thread"] == "outer"
    assert states[0] is states[1]


def test_items_of_a_batch_in_jobs_name_their_own_keys(flask: Flask) -> None:
    """A key that a preset propagates to a job does not belong to an item that the job dispatches."""

    def batch() -> None:
        def work(credential: str) -> None:
            with _item(flask, "/item", credential):
                bare.record(f"before {credential}")
                flask.full_dispatch_request()
                assert bare.named()["item"] == credential
            bare.record(f"job {credential}")

        with ThreadPoolExecutor(1) as pool:
            list(pool.map(work, ["ka", "kb"]))

    _batch(flask, batch, "outer")
    assert {name: key for name, key in bare.named().items() if " " in name} == {
        "before ka": "outer", "job ka": "outer", "before kb": "outer", "job kb": "outer",
    }  # fmt: skip


def test_job_of_an_item_that_has_not_authenticated_yet(flask: Flask) -> None:
    """A job does not keep the outer request's key if its item authenticates later."""

    def batch() -> None:
        def work() -> None:
            bare.verify("ka")
            bare.record("job")

        with _item(flask, "/item"), ThreadPoolExecutor(1) as pool:
            pool.submit(copy_current_request_context(work)).result()

    _batch(flask, batch, "outer")
    assert bare.named()["job"] != "outer"


def test_pushed_request_is_not_kept_alive(flask: Flask) -> None:
    """Nothing remains of an item once its context is popped."""
    references: list[weakref.ref[Any]] = []

    def batch() -> None:
        with _item(flask, "/item", "ka"):
            references.append(weakref.ref(current_request()))
            flask.full_dispatch_request()

    gc.disable()
    try:
        _batch(flask, batch, "outer")
        assert references[0]() is None
    finally:
        gc.enable()


def test_asynchronous_contexts(recorder: Recorder) -> None:
    """A context whose methods are coroutine functions is a request from its push to the end of its pop."""
    contexts = PushedContexts(unseen_state()._spans)

    async def push(context: Any) -> None:
        bare.verify(context.credential)

    async def pop(context: Any) -> None:
        await asyncio.sleep(0)
        bare.record(f"teardown {context.credential}")

    pushing = contexts.handlers["push"](EntryPoint("", "push", lambda args: args[0].scope), push)
    popping = contexts.handlers["pop_later"](EntryPoint("", "pop_later"), pop)

    async def item(credential: str) -> None:
        context = SimpleNamespace(credential=credential, scope=bare.scope("/item", credential))
        await pushing((context,), {})
        await asyncio.sleep(0)
        bare.record(credential)
        await popping((context,), {})

    async def batch() -> None:
        bare.verify("outer")
        await item("ka")
        bare.record("between")
        await asyncio.gather(item("kb"), item("kc"))
        bare.record("outer")

    with recorder.request():
        asyncio.run(batch())
    names = ("ka", "kb", "kc")
    assert bare.named() == {
        **{name: name for name in names}, **{f"teardown {name}": name for name in names},
        "between": "outer", "outer": "outer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "context", "scope"),
    [
        ("flask.ctx:RequestContext.push", {"request": SimpleNamespace(environ="environ")}, "environ"),
        ("flask.ctx:AppContext.push", {"_request": SimpleNamespace(environ="environ")}, "environ"),
        ("flask.ctx:AppContext.push", {"_request": None}, None),
        ("flask.ctx:AppContext.push", {}, None),
        ("quart.ctx:AppContext.push", {"_request": SimpleNamespace(scope="scope"), "_websocket": None}, "scope"),
        ("quart.ctx:AppContext.push", {"_request": None, "_websocket": SimpleNamespace(scope="scope")}, "scope"),
        ("quart.ctx:RequestContext.push", {"request_websocket": SimpleNamespace(scope="scope")}, "scope"),
        ("quart.ctx:AppContext.push", {}, None),
    ],
)
def test_scope_of_a_context_of_each_release(path: str, context: dict[str, Any], scope: str | None) -> None:
    """A context has its request in different attributes, and the context of an application has none."""
    (entry,) = [entry for entry in ENTRY_POINTS if entry.path == path]
    assert entry.subject((SimpleNamespace(**context),)) == scope
