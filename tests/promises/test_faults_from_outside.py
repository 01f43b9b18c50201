"""Behavior that users and reviewers have missed: keys, harm, limits and messages, in the whole library."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, ConfigurationError, KeyAuditInstrumentor, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.environment.garbage import garbage_after
from support.environment.modules import LoadModule, Modules

SHOP = """
import functools

class Key:
    def __init__(self, id, **more):
        self.id, self.name, self.scopes, self.allow_list = id, "ci", ["a:read"], []
        self.__dict__.update(more)

def verify(raw):
    return raw if not isinstance(raw, str) else Key(raw)

def record(action, additional_fields=None, subject=None):
    return additional_fields

class Log:
    def write(self, action, additional_fields=None):
        return additional_fields

    log = write

def log(event, extra=None):
    return extra

def require_scope(scope):
    def check(raw):
        return Key(raw)
    return check

@functools.lru_cache
def cached(action, additional_fields=None):
    return action
"""


@pytest.fixture
def shop(load_module: LoadModule) -> Any:
    """A service with a key, an authentication and an audit log."""
    return load_module(SHOP)


def instrument(recorder: Recorder, shop: Any, *, auth: str = "verify", audit: str = "record", **options: Any) -> None:
    """Instrument one function of each kind."""
    name = shop.__name__
    recorder.instrument(auth_targets=[f"{name}:{auth}"], audit_targets=[f"{name}:{audit}"], **options)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings and errors in the log."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Wrong key.


def _sqlite_row(**columns: str) -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f"? as {name}" for name in columns)
    row = connection.execute(f"select {names}", tuple(columns.values())).fetchone()
    connection.close()
    return row


GENERIC: list[Callable[..., Any]] = [_sqlite_row, dict, OrderedDict, UserDict, SimpleNamespace]


@pytest.mark.parametrize("make", GENERIC)
def test_a_record_of_a_generic_class_is_no_key(recorder: Recorder, shop: Any, make: Callable[..., Any]) -> None:
    """An authentication returned an object of a generic class; a row about another such object has no key."""
    instrument(recorder, shop, audit="record?subject=args.subject")
    with recorder.request():
        shop.verify(make(id="k_1", name="ci"))
        row = shop.record("delete", {}, make(id="ws_9", name="search"))
    assert row["request_api_key"]["id"] == "k_1"
    assert "api_key" not in row


def test_a_record_of_a_class_of_the_application_is_a_key(recorder: Recorder, shop: Any) -> None:
    """Objects of the application's own class are keys after an authentication returned one."""
    instrument(recorder, shop, audit="record?subject=args.subject")
    with recorder.request():
        shop.verify("k_1")
        assert shop.record("delete", {}, shop.Key("k_2"))["api_key"]["id"] == "k_2"


KeyTuple = namedtuple("KeyTuple", "id name owner scopes", defaults=(None, None))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"owner": "tenant-A"}, {"owner": "tenant-B"}),
        ({"scopes": ["admin:*"], "owner": "tenant-A"}, {"owner": "tenant-B", "name": "alice"}),
    ],
)
@pytest.mark.parametrize("key_id", ["1", 1, "k_1"])
def test_the_same_id_of_two_tenants_is_ambiguous(
    recorder: Recorder, shop: Any, key_id: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Fields of one key never complete another key."""
    instrument(recorder, shop, auth="verify?owner=owner")
    with recorder.request():
        shop.verify(shop.Key(key_id, **first))
        shop.verify(shop.Key(key_id, **second))
        row = shop.record("a", {})
    assert row["request_api_key"]["ambiguous"] is True


def test_the_same_number_of_two_classes_is_ambiguous(recorder: Recorder, shop: Any) -> None:
    """Ids of digits only are unique within a table; other ids are unique in themselves."""
    instrument(recorder, shop)
    for key_id, is_ambiguous in ((1, True), ("17", True), ("k_1", False)):
        with recorder.request():
            shop.verify(shop.Key(key_id))
            shop.verify(KeyTuple(key_id, "alice"))
            assert ("ambiguous" in shop.record("a", {})["request_api_key"]) is is_ambiguous


@pytest.mark.parametrize("make", GENERIC)
def test_the_same_number_of_two_targets_is_ambiguous(
    recorder: Recorder, load_module: LoadModule, make: Callable[..., Any]
) -> None:
    """A row or mapping does not tell its table, so the target counts: the look-ups of keys and of sessions differ."""
    app = load_module(SHOP + "\ndef verify_session(raw):\n    return raw\n")
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify", f"{name}:verify_session"], audit_targets=[f"{name}:record"])
    for key_id, is_ambiguous in (("1", True), ("k_1", False)):
        for verify, expected in ((app.verify, False), (app.verify_session, is_ambiguous)):
            with recorder.request():
                app.verify(make(id=key_id, name="ci"))
                verify(make(id=key_id, name="ci"))
                assert ("ambiguous" in app.record("a", {})["request_api_key"]) is expected


def test_two_credentials_on_purpose_are_a_key_and_an_actor(recorder: Recorder, load_module: LoadModule) -> None:
    """A gateway's key beside the user's key is an actor, in either order; alone it is the request's key."""
    app = load_module(SHOP + "\ndef gateway(raw):\n    return Key(raw)\n")
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify", f"{name}:gateway?role=actor"], audit_targets=[f"{name}:record"])
    orders = ([app.gateway, app.verify], [app.verify, app.gateway])
    for calls in orders:
        with recorder.request():
            for call in calls:
                call("gw" if call is app.gateway else "k_1")
            member = app.record("a", {})["request_api_key"]
        assert (member["id"], member["actors"]) == ("k_1", ["gw"])
    with recorder.request():
        app.gateway("gw")
        member = app.record("a", {})["request_api_key"]
    assert (member["id"], "actors" in member) == ("gw", False)


# Harm to the application.


@pytest.mark.parametrize("decorate", ["functools.lru_cache", "functools.cache", "functools.lru_cache(maxsize=None)"])
def test_a_memoised_audit_target_raises_nothing(recorder: Recorder, load_module: LoadModule, decorate: str) -> None:
    """Each call counts as failed or the target is wrong, because a memoised function takes no dict."""
    app = load_module(SHOP.replace("@functools.lru_cache", f"@{decorate}"))
    instrument(recorder, app, audit="cached")
    with recorder.request():
        app.verify("k_1")
        assert [app.cached("a"), app.cached("a"), app.cached("b")] == ["a", "a", "b"]
    (status,) = [status for status in KeyAuditInstrumentor().status() if status.kind == "audit"]
    assert status.state == "wrong"
    assert "caches results" in status.reason


@pytest.mark.parametrize("fields", ["none", "return"])
def test_a_memoised_audit_target_with_unchanged_arguments_is_active(
    recorder: Recorder, load_module: LoadModule, fields: str
) -> None:
    """The target is active if it only shows a span or changes the result."""
    app = load_module("import functools\n\n@functools.cache\ndef build(action):\n    return {}\n" + SHOP)
    instrument(recorder, app, audit=f"build?fields={fields}")
    with recorder.request():
        app.verify("k_1")
        assert ("request_api_key" in app.build("a")) is (fields == "return")
        assert ("request_api_key" in app.build(action="b")) is (fields == "return")
    assert recorder.writes()["attributed"] == 2
    assert [span.name for span in recorder.audit_spans()] == ["audit a", "audit b"]
    assert recorder.errors() == {}


@pytest.mark.parametrize("kind", ["future", "task", "own"])
@pytest.mark.parametrize(
    ("result", "outcome"), [("key", "accepted"), (None, None), (False, "denied"), ("error", "denied")]
)
def test_the_outcome_of_an_awaitable_is_the_outcome_of_the_call(
    recorder: Recorder, shop: Any, load_module: LoadModule, kind: str, result: Any, outcome: str | None
) -> None:
    """The outcome counts for a function that returns a Future, a Task or its own awaitable."""
    app = load_module(
        SHOP
        + """
import asyncio

async def look_up(result):
    await asyncio.sleep(0)
    if result == "error":
        raise PermissionError
    return Key("k_1") if result == "key" else result

class Own:
    def __init__(self, result):
        self.result = result
    def __await__(self):
        return look_up(self.result).__await__()

def verify(kind, result):
    if kind == "own":
        return Own(result)
    task = asyncio.ensure_future(look_up(result))
    if kind == "task":
        return task
    future = asyncio.get_running_loop().create_future()
    def done(task):
        if task.exception() is not None:
            future.set_exception(task.exception())
        else:
            future.set_result(task.result())
    task.add_done_callback(done)
    return future
"""
    )
    instrument(recorder, app)

    async def serve() -> Any:
        with recorder.request():
            with suppress(PermissionError):
                await app.verify(kind, result)
            return app.record("a", {})

    row = asyncio.run(serve())
    assert recorder.server_span().get("keyaudit.outcome") == outcome
    assert row.get("request_api_key", {}).get("id") == ("k_1" if outcome == "accepted" else None)
    assert sum(recorder.authentications().values()) == (outcome is not None)


# Doubled rows.


@pytest.mark.parametrize("how", ["reexport", "alias", "attribute", "method", "inherited"])
def test_two_targets_that_reach_one_function_observe_it_once(recorder: Recorder, modules: Modules, how: str) -> None:
    """Re-exports, aliases, class attributes and methods under two names are observed once."""
    shop: Any = modules.load(SHOP + "\nwrite_row = record\n\nclass Child(Log): ...\n")
    facade: Any = modules.load(
        f"from {shop.__name__} import record, verify\n\nclass Sink:\n    put = staticmethod(record)\n"
    )
    name, other = shop.__name__, facade.__name__
    targets, call = {
        "reexport": ([f"{name}:record", f"{other}:record"], facade.record),
        "alias": ([f"{name}:record", f"{name}:write_row"], shop.write_row),
        "attribute": ([f"{other}:Sink.put", f"{name}:record"], facade.Sink.put),
        "method": ([f"{name}:Log.write", f"{name}:Log.log"], shop.Log().log),
        "inherited": ([f"{name}:Log.write", f"{name}:Child.write"], shop.Child().write),
    }[how]
    recorder.instrument(auth_targets=[f"{name}:verify", f"{other}:verify"], audit_targets=targets)
    with recorder.request():
        shop.verify("k_1")
        facade.verify("k_1")
        for _ in range(2):
            assert call("a", {})["request_api_key"]["id"] == "k_1"
    assert recorder.writes() == {"attributed": 2, "ambiguous": 0, "none": 0, "failed": 0}
    assert len(recorder.audit_spans()) == 2
    assert recorder.authentications()["accepted"] == 2


# Silent misses.


def test_a_key_accepted_outside_of_every_request_is_counted(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each such key is counted, and one warning per target names the remedy; inside `use_key` none is counted."""
    instrument(recorder, shop)
    for _ in range(3):
        shop.verify("k_1")
        assert shop.record("a", {}) == {}
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.NoRequestError"): 3}
    assert len([message for message in warnings(caplog) if "use_key" in message]) == 1
    with use_key(ApiKey("k_2")):
        shop.verify("k_1")
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.NoRequestError"): 3}


# Bounds.


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


@pytest.mark.parametrize("make", ["string", "number", "scopes"])
def test_many_keys_in_one_request_take_constant_time_each(recorder: Recorder, shop: Any, make: str) -> None:
    """The last of 2,000 ids costs as much as the first; `ids` is limited and `ids_count` is exact."""
    instrument(recorder, shop, max_items=128)
    keys = {
        "string": lambda number: shop.Key(f"k_{number}"),
        "number": shop.Key,
        "scopes": lambda number: shop.Key(f"k_{number}", scopes=[f"a:{number}"]),
    }[make]

    def accept(first: int) -> None:
        for number in range(first, first + 200):
            shop.verify(keys(number))
            shop.record("a", {})

    with recorder.request():
        accept(0)  # warm up
        times = [_seconds(partial(accept, first)) for first in range(200, 2_000, 200)]
        member = shop.record("a", {})["request_api_key"]
    assert len(member["ids"]) == 128
    assert member["ids_count"] == 2_000
    assert min(times[-3:]) < 3 * min(times[:3])


def test_requests_by_span_leave_no_cycle(recorder: Recorder, shop: Any) -> None:
    """With the collector off, requests by SERVER and CONSUMER spans do not grow the memory."""
    instrument(recorder, shop)

    def serve(kind: SpanKind) -> None:
        with recorder.tracer.start_as_current_span("work", kind=kind):
            shop.verify("k_1")
            shop.record("a", {})
        recorder.clear()

    for kind in (SpanKind.SERVER, SpanKind.CONSUMER):
        assert garbage_after(partial(serve, kind), rounds=20) == []


# Status and messages.


def test_a_factory_counts_nothing_and_names_its_inner_function(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The target becomes wrong when it returns a function, and the reason names the function to use."""
    instrument(recorder, shop, auth="require_scope")
    with recorder.request():
        check = shop.require_scope("a:read")
        check("k_1")
    status = KeyAuditInstrumentor().status()[0]
    assert status.state == "wrong"
    assert "require_scope.<locals>.check" in status.reason
    assert recorder.authentications() == {"accepted": 0, "denied": 0}


@pytest.mark.parametrize("result", ["return type('Key', (), {})", "yield", "return (n for n in ())"])
def test_other_results_of_a_factory(recorder: Recorder, load_module: LoadModule, result: str) -> None:
    """A class and a generator are no keys, and neither is the value of a generator."""
    app = load_module(f"def verify():\n    {result}\n")
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    with recorder.request():
        made = app.verify()
        list(made) if hasattr(made, "__next__") else made
    if result.startswith("return type"):
        assert KeyAuditInstrumentor().status()[0].state == "wrong"
        assert recorder.authentications()["accepted"] == 0
    assert current_key() is None


@pytest.mark.parametrize(
    "decorator",
    ["functools.lru_cache", "wrapt.decorator(lambda call, self, args, kwargs: None)", "sync_to_async", "Own"],
)
def test_a_factory_whose_function_is_decorated(recorder: Recorder, load_module: LoadModule, decorator: str) -> None:
    """An object of a decorator is no key, if it has the names of its function."""
    app = load_module(
        f"""
import functools
import wrapt
from asgiref.sync import sync_to_async

class Own:
    def __init__(self, function): functools.update_wrapper(self, function)
    def __call__(self, key): return self.__wrapped__(key)

def require(scope):
    @{decorator}
    def check(key): return {{"id": key}}
    return check
"""
    )
    recorder.instrument(auth_targets=[f"{app.__name__}:require"], authz_targets=[f"{app.__name__}:require"])
    with recorder.request():
        app.require("a:read")
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["wrong", "wrong"]
    assert recorder.authentications() == {"accepted": 0, "denied": 0}
    assert recorder.errors() == {}


def test_without_an_action_rows_are_full_and_one_warning_says_so(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning comes with the sampler `actions` and a target that can never have an action."""
    instrument(recorder, shop, audit="log?fields=args.extra", sampler="actions", sampler_arg="delete")
    with recorder.request():
        shop.verify("k_1")
        assert [shop.log("a", {})["request_api_key"]["detail"] for _ in range(3)] == ["full"] * 3
    assert len([message for message in warnings(caplog) if "has no action" in message]) == 1


def test_default_fields_that_a_key_lacks_are_named_once(
    recorder: Recorder, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """One INFO line per target and class has the public names and no values."""
    caplog.set_level(logging.INFO, "otel_keyaudit")
    app = load_module(
        """
        class Key:
            def __init__(self):
                self.id, self.label, self.permissions, self._hash = "k_1", "s3cret-label", ["a:read"], "s3cret-hash"

        def verify(raw):
            return Key()
        """
    )
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    for _ in range(3):
        with recorder.request():
            app.verify("k")
    (line,) = [message for message in caplog.messages if "label" in message]
    assert all(name in line for name in ("name", "scopes", "allow_list", "label", "permissions"))
    assert "_hash" not in line
    assert "s3cret" not in caplog.text
    assert recorder.errors() == {}


def test_success_is_one_line(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One INFO line has the numbers of targets and the sampler."""
    caplog.set_level(logging.INFO, "otel_keyaudit")
    name = shop.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify", f"{name}:verfy", "email.mime.audio:verify"], audit_targets=[f"{name}:record"]
    )
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert line.startswith("keyaudit: 2 targets active, 1 pending, 1 wrong; sampler always_full; version ")
    assert all(message.startswith("keyaudit: ") for message in caplog.messages)


def test_the_status_has_the_calls_and_the_preset(recorder: Recorder, shop: Any) -> None:
    """The status counts the calls, without those that `when` skips, and names the preset."""
    instrument(recorder, shop, audit="record?when=args.action|is:a", presets=["logging"])
    with recorder.request():
        shop.verify("k_1")
        for action in ("a", "b", "a"):
            shop.record(action, {})
    first, second, *rest = KeyAuditInstrumentor().status()
    assert [(status.calls, status.preset) for status in (first, second)] == [(1, None), (2, None)]
    assert {status.preset for status in rest} == {"logging"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "action", "sampler_arg": "create"}, ["option 'sampler'", "did you mean 'actions'?"]),
        ({"request_field": "api_key"}, ["option 'request_field'"]),
        ({"sampler": "x" * 100_000}, ["sampler"]),
        ({"auth_targets": ["shop" * 30_000]}, ["auth_targets"]),
        ({"events": "denial"}, ["events", "did you mean 'denials'?"]),
        ({"preset": "drf"}, ["preset", "did you mean 'presets'?"]),
        ({"auth_targets": ["shop:verify?scops=a"]}, ["scops", "did you mean 'scopes'?"]),
        ({"auth_targets": ["shop:verify?scopes=a|spilt"]}, ["spilt", "did you mean 'split'?"]),
    ],
)
def test_a_wrong_option_is_named_in_one_line(recorder: Recorder, options: dict[str, Any], words: list[str]) -> None:
    """The line names the option, the nearest right name, and at most 200 characters of the value."""
    with pytest.raises(ConfigurationError) as caught:
        recorder.instrument(**{"audit_targets": ["shop:record"], **options})
    message = str(caught.value)
    assert all(word in message for word in words)
    assert message.startswith(("option", "unknown option", "target"))
    assert len(message.splitlines()) == 1
    assert len(message) < 700


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("verfy", "did you mean 'verify'?"),
        ("Log.wirte", "did you mean 'write'?"),
        ("require_scope.<locals>.chek", "'check'"),
        ("verify?id=args.rwa", "did you mean 'raw'?"),
    ],
)
def test_a_wrong_target_has_the_nearest_name(recorder: Recorder, shop: Any, target: str, hint: str) -> None:
    """The nearest name is given for a function, a method, an inner function and a parameter."""
    recorder.instrument(auth_targets=[f"{shop.__name__}:{target}"])
    (status,) = KeyAuditInstrumentor().status()
    assert status.state == "wrong"
    assert hint in status.reason


@pytest.mark.parametrize(
    "target", ["{long}:x", "{shop}:{long}", "{shop}:verify?id=args.{long}", "{shop}:verify?id={long}"]
)
def test_a_long_target_is_cut_in_messages(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    """A message shows at most 200 characters of a name, each time that it names it."""
    caplog.set_level("INFO", "otel_keyaudit")
    recorder.instrument(auth_targets=[target.format(shop=shop.__name__, long="x" * 100_000)])
    with recorder.request():
        shop.verify("k_1")
    (status,) = KeyAuditInstrumentor().status()
    messages = [status.reason, *(record.getMessage() for record in caplog.records)]
    assert max(len(word) for message in messages for word in message.split()) < 212


@pytest.mark.parametrize("variable", ["AUTH_TARGET", "AUDIT_TARGETS_", "SAMPLERS"])
def test_an_unknown_variable_is_named_with_the_nearest_one(
    recorder: Recorder,
    shop: Any,
    variable: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One warning names the variable and the nearest one, without its value."""
    monkeypatch.setenv(f"OTEL_PYTHON_KEYAUDIT_{variable}", "s3cret-value")
    instrument(recorder, shop)
    (line,) = warnings(caplog)
    assert f"OTEL_PYTHON_KEYAUDIT_{variable}" in line
    assert "did you mean" in line
    assert "s3cret" not in line


def test_no_target_names_both_ways(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """The line for an empty configuration names targets and presets."""
    recorder.instrument()
    (line,) = warnings(caplog)
    assert "AUTH_TARGETS" in line
    assert "PRESETS" in line
