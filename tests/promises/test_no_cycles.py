"""With the garbage collector off, no call leaves an object behind: no frame, local, argument or exception."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from otel_keyaudit import AuditTarget
from otel_keyaudit.testing import Recorder
from support.calls.results import consume
from support.environment.garbage import garbage_after
from support.environment.modules import LoadModule
from support.environment.unseen import unseen_request

APP = """
from asyncio import sleep
from functools import lru_cache, partial

class Denied(Exception):
    status_code = 403

class Key:
    def __init__(self, raw):
        self.raw, self.id = raw, "k_1"

class FailingKey(Key):
    @property
    def scopes(self):
        raise LookupError

class Unnamed:
    def __init__(self, raw):
        self.raw = raw

def conclude(raw, how):
    if how == "denied":
        raise Denied
    if how == "false":
        return False
    return {"failing": FailingKey, "unnamed": Unnamed}.get(how, Key)(raw)

def verify_function(raw, how):
    return conclude(raw, how)

async def verify_coroutine(raw, how):
    await sleep(0)
    return conclude(raw, how)

def verify_generator(raw, how):
    yield conclude(raw, how)

async def verify_async_generator(raw, how):
    await sleep(0)
    yield conclude(raw, how)

def awaited(raw, how):
    return verify_inside(raw, how)

async def verify_inside(raw, how):
    await sleep(0)
    return conclude(raw, how)

def verify_awaitable(raw, how):
    return awaited(raw, how)

class Checker:
    def __call__(self, raw, how):
        return conclude(raw, how)

verify_replaced = partial(conclude)

def require(raw, permission, how):
    if how == "denied":
        raise Denied
    if how == "error":
        raise LookupError

def put(raw, how):
    if how == "raises":
        raise LookupError
    return raw

def record_function(raw, how, additional_fields=None):
    return put(raw, how)

async def record_coroutine(raw, how, additional_fields=None):
    await sleep(0)
    return put(raw, how)

def record_generator(raw, how, additional_fields=None):
    yield put(raw, how)

async def record_async_generator(raw, how, additional_fields=None):
    await sleep(0)
    yield put(raw, how)

def record_awaitable(raw, how, additional_fields=None):
    return record_later(raw, how)

async def record_later(raw, how):
    await sleep(0)
    return put(raw, how)

def record_anything(raw, how, additional_fields=None):
    return put(raw, how)

record_replaced = partial(record_anything)

def build(raw, how):
    put(raw, how)
    return {}
"""
KINDS = ("function", "coroutine", "generator", "async_generator", "awaitable", "replaced")
PLAIN = ("function", "generator", "replaced")


class Credential:
    """An argument that must not outlive its call."""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application with functions of each kind."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any, **options: Any) -> None:
    """Instrument all functions."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify_{kind}" for kind in KINDS],
        authz_targets=[f"{name}:require"],
        audit_targets=[f"{name}:record_{kind}" for kind in KINDS] + [f"{name}:build?fields=return"],
        strict=True,
        **options,
    )


@contextmanager
def collector_off() -> Iterator[None]:
    """Run a block without the collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def call(function: Callable[..., Any], *args: Any) -> None:
    """Call a function of any kind; its exceptions are the application's."""
    with suppress(Exception):
        await consume(function(*args))


def survivors(recorder: Recorder, work: Callable[[Credential], Any], *, rounds: int = 3) -> int:
    """Return how many credentials are alive after their requests."""

    def request() -> weakref.ref[Credential]:
        credential = Credential()
        with recorder.request():
            work(credential)
        return weakref.ref(credential)

    recorder.clear()
    request()
    with collector_off():
        references = [request() for _ in range(rounds)]
        return sum(reference() is not None for reference in references)


def run(function: Callable[..., Any], *args: Any) -> None:
    """Call a function; drive it without an event loop, which would keep things alive by itself."""
    coroutine = call(function, *args)
    with suppress(StopIteration):
        while True:
            coroutine.send(None)


@pytest.mark.parametrize("how", ["missing", "failing", "unnamed", "denied", "false"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_authentication_leaves_nothing(recorder: Recorder, app: Any, kind: str, how: str) -> None:
    """Missing attributes, failing properties, unreadable ids and both kinds of denials leave nothing."""
    verify = getattr(app, f"verify_{kind}")
    before = survivors(recorder, lambda raw: run(verify, raw, how))
    instrument(recorder, app)
    verify = getattr(app, f"verify_{kind}")
    assert (before, survivors(recorder, lambda raw: run(verify, raw, how))) == (0, 0)


@pytest.mark.parametrize("how", ["returns", "raises"])
@pytest.mark.parametrize("fields", [{}, None, ["no object"], 7, "no json"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_leaves_nothing(recorder: Recorder, app: Any, kind: str, fields: Any, how: str) -> None:
    """Writes that return or raise leave nothing, whether their fields can be changed or not."""
    instrument(recorder, app)
    record, verify = getattr(app, f"record_{kind}"), app.verify_function

    def work(raw: Credential) -> None:
        verify(raw, "missing")
        run(record, raw, how, fields)

    assert survivors(recorder, work) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_sampler_and_unreadable_event_leave_nothing(recorder: Recorder, app: Any, kind: str) -> None:
    """A failing sampler and an unreadable event raise exceptions inside the library, which are not kept."""

    def fail(_: object) -> Any:
        raise LookupError

    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify_function"],
        audit_targets=[
            AuditTarget(
                f"{name}:record_{kind}", action=fail, resource_id="args.raw.missing", outcome=fail, subject=fail
            )
        ],
        sampler=fail,
    )
    record, verify = getattr(app, f"record_{kind}"), app.verify_function

    def work(raw: Credential) -> None:
        verify(raw, "failing")
        run(record, raw, "raises", {})

    assert survivors(recorder, work) == 0
    assert recorder.errors() != {}


@pytest.mark.parametrize("how", ["granted", "denied", "error"])
def test_a_check_and_a_builder_leave_nothing(recorder: Recorder, app: Any, how: str) -> None:
    """Checks and builders leave nothing, also with events, `when` and a row inside the check."""
    instrument(recorder, app, events=["denials", "audits"])

    def work(raw: Credential) -> None:
        with suppress(Exception):
            app.verify_function(raw, "denied")
        app.verify_function(raw, "missing")
        with suppress(Exception):
            app.require(raw, "a:read", how)
        with suppress(Exception):
            app.build(raw, "raises")
        app.build(raw, "returns")

    assert survivors(recorder, work) == 0


@pytest.mark.parametrize("field", ["when=return.missing", "valid=return.missing", "key=args.raw.missing", "owner=no"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_unreadable_field_of_a_target_leaves_nothing(recorder: Recorder, app: Any, kind: str, field: str) -> None:
    """The guard does not keep the exception that it handled."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify_{kind}?{field}"])
    verify = getattr(app, f"verify_{kind}")
    assert survivors(recorder, lambda raw: run(verify, raw, "missing")) == 0


def test_a_cancelled_or_abandoned_call_leaves_nothing(recorder: Recorder, app: Any) -> None:
    """Coroutines and generators that are closed early leave nothing."""
    instrument(recorder, app)

    def work(raw: Credential) -> None:
        app.verify_function(raw, "missing")
        for function in (app.record_coroutine, app.verify_coroutine):
            coroutine = function(raw, "returns")
            coroutine.send(None)
            coroutine.close()
        for function in (app.record_generator, app.verify_generator):
            generator = function(raw, "returns")
            next(generator)
            del generator

    assert survivors(recorder, work) == 0


@pytest.mark.parametrize("schedule", ["call_soon", "call_later", "create_task", "thread"])
def test_an_authentication_that_schedules_its_renewal_keeps_no_earlier_one(
    recorder: Recorder, load_module: LoadModule, schedule: str
) -> None:
    """A callback, a timer, a task and a thread inherit the context of the call and do not keep it alive."""
    app: Any = load_module(
        """
        import asyncio, weakref
        from contextvars import copy_context

        ALIVE = []
        SCHEDULE = None

        class Credential: ...

        def verify(raw):
            ALIVE.append(weakref.ref(raw))
            SCHEDULE()
            return {"id": "k_1"}

        def renew():
            if len(ALIVE) < 100:
                verify(Credential())

        async def arenew():
            renew()

        def call_later():
            asyncio.get_running_loop().call_later(0, renew)

        def call_soon():
            asyncio.get_running_loop().call_soon(renew)

        def create_task():
            TASKS.append(asyncio.get_running_loop().create_task(arenew()))
            del TASKS[:-1]

        TASKS = []

        def thread():
            future = asyncio.get_running_loop().run_in_executor(None, copy_context().run, int)
            future.add_done_callback(lambda _: renew())
        """
    )
    vars(app)["SCHEDULE"] = getattr(app, schedule)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])

    async def serve() -> int:
        with recorder.request():
            app.renew()
        while len(app.ALIVE) < 100:  # noqa: ASYNC110 - callbacks do the work
            await asyncio.sleep(0.001)
        return sum(reference() is not None for reference in app.ALIVE)

    with collector_off():
        assert asyncio.run(serve()) <= 2


def test_requests_leave_no_object_of_ours_in_a_cycle(recorder: Recorder, app: Any) -> None:
    """Authentications, nested checks, writes and the request itself are freed without the collector."""
    instrument(recorder, app)

    def serve() -> None:
        with unseen_request():
            app.verify_function("k_1", "plain")
            for how in ("granted", "denied", "error"):
                with suppress(Exception):
                    app.require("k_1", "a:read", how)
            app.record_function("k_1", "returns", {})
            with suppress(LookupError):
                app.record_function("k_1", "raises", {})

    assert garbage_after(serve, rounds=20) == []
