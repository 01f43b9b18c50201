"""A request has one key, several, or none with a name, and its server span shows which."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.attribution import ENDED, UNATTRIBUTED, Attribution, Delegation
from otel_keyaudit.request.context import Request, current_request
from otel_keyaudit.request.server_span import NO_ATTRIBUTES
from otel_keyaudit.request.state import MAX_CREDENTIALS, MAX_SUBJECTS
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.concurrency import at_once, in_each_collection
from support.environment.modules import LoadModule
from support.environment.unseen import MAX_ITEMS, unseen_request, unseen_state
from support.services import bare

SOURCE = """
class Key:
    def __init__(self, id, name=None, scopes=None, allow_list=None, is_active=True):
        self.id, self.name, self.scopes, self.allow_list = id, name, scopes, allow_list
        self.is_active = is_active

def look_up(key):
    return key

def verify(key):
    found = look_up(key)
    if found == "anonymous":
        return None
    if not found.is_active:
        raise PermissionError
    return found

def check(key):
    return key

def outer(key, error=None):
    verify(key)
    if error:
        raise error
    return key

rows = []

def record(action, additional_fields=None, resource_type=None, resource_id=None):
    rows.append(additional_fields or {})
"""


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Iterator[ModuleType]:
    """An application whose checks call one another, instrumented."""
    module = load_module(SOURCE)
    name = module.__name__
    targets = [f"{name}:look_up", f"{name}:verify", f"{name}:check?valid=is_active", f"{name}:outer"]
    recorder.instrument(auth_targets=targets, audit_targets=[f"{name}:record"])
    yield module
    recorder.uninstrument()


def _ids(row: dict[str, Any]) -> Any:
    member = row.get("request_api_key")
    return None if member is None else member.get("id", member.get("ids"))


def test_same_key_again_is_no_change(app: ModuleType, recorder: Recorder) -> None:
    """A second authentication with the same key changes nothing."""
    with recorder.request():
        for _ in range(3):
            app.verify(app.Key("k1", scopes=["a"]))
        app.record("x")
    assert _ids(app.rows[0]) == "k1"
    assert recorder.count("keyaudit.authentications") == 6


def test_later_snapshot_keeps_fields_that_it_lacks(app: ModuleType, recorder: Recorder) -> None:
    """The same id is the same key, and fields that the later snapshot lacks keep their values."""
    with recorder.request():
        app.verify(app.Key("k1", "name", ["a"], ["w"]))
        app.verify(app.Key("k1", None, ["b"]))
        found = current_key()
    assert found == ApiKey("k1", "name", ["b"], ["w"])
    shown = recorder.server_span()
    assert (shown["keyaudit.key.scopes"], shown["keyaudit.key.name"]) == (("b",), "name")
    assert shown["keyaudit.key.digest"] == found.digest


def test_two_keys_are_ambiguous(app: ModuleType, recorder: Recorder) -> None:
    """Rows and spans have both ids, and attributes of the first key are overwritten."""
    with recorder.request():
        app.verify(app.Key("k1", "name", ["a"], []))
        app.record("before")
        app.verify(app.Key("k2"))
        assert current_key() is None
        app.record("after")
    assert [_ids(row) for row in app.rows] == ["k1", ["k1", "k2"]]
    shown = recorder.server_span()
    assert (shown["keyaudit.ambiguous"], shown["keyaudit.key.ids"]) == (True, ("k1", "k2"))
    blank = ("id", "name", "digest", "scopes", "allow_list")
    assert [shown[f"keyaudit.key.{name}"] for name in blank] == ["", "", "", (), ()]
    assert shown["keyaudit.detail"] == ""
    audited = keyaudit_attributes(recorder.audit_spans()[1])
    assert (audited["keyaudit.ambiguous"], audited["keyaudit.key.ids"]) == (True, ("k1", "k2"))
    assert not {"keyaudit.key.id", "keyaudit.detail", "keyaudit.key.scopes"} & set(audited)
    assert recorder.writes() == {"attributed": 1, "ambiguous": 1, "none": 0, "failed": 0}


def test_unreadable_id_beside_a_key_is_ambiguous(app: ModuleType, recorder: Recorder) -> None:
    """A key without an id makes a request with another key ambiguous, in either order."""
    for order in (("k1", object()), (object(), "k1")):
        with recorder.request():
            for key_id in order:
                app.verify(app.Key(key_id))
            app.record("x")
    assert [_ids(row) for row in app.rows] == [["k1"], ["k1"]]
    assert recorder.writes()["ambiguous"] == 2


def test_unreadable_id_alone_fails(app: ModuleType, recorder: Recorder) -> None:
    """There was a key, which the row could not receive."""
    with recorder.request():
        app.verify(app.Key(object()))
        app.record("x")
        assert current_key() is None
    assert recorder.writes()["failed"] == 1
    assert recorder.errors()
    assert "keyaudit.key.id" not in recorder.server_span()
    assert recorder.server_span()["keyaudit.outcome"] == "accepted"


def test_look_up_inside_a_check_that_denies_is_withdrawn(app: ModuleType, recorder: Recorder) -> None:
    """A key that was found and then refused is withdrawn, and the denial names it."""
    with recorder.request():
        with pytest.raises(PermissionError):
            app.verify(app.Key("k1", "name", ["a"], is_active=False))
        assert current_key() is None
        app.record("x")
    assert _ids(app.rows[0]) is None
    shown = recorder.server_span()
    assert (shown["keyaudit.outcome"], shown["keyaudit.denied.reason"]) == ("denied", "PermissionError")
    assert shown["keyaudit.denied.key.id"] == "k1"
    assert shown["keyaudit.key.id"] == ""
    assert recorder.count("keyaudit.authentications") == 2
    assert recorder.writes()["none"] == 1


@pytest.mark.parametrize("error", [ValueError(), None])
def test_withdrawn_from_any_depth(error: Exception | None, app: ModuleType, recorder: Recorder) -> None:
    """A denial of the outermost check withdraws keys at any depth, and its acceptance keeps them."""
    with recorder.request():
        with suppress(ValueError):
            app.outer(app.Key("k1"), error)
        app.record("x")
    assert _ids(app.rows[0]) == (None if error else "k1")


def test_accepted_before_a_denial_stays(app: ModuleType, recorder: Recorder) -> None:
    """The request keeps its earlier key, and its last outcome is the denial."""
    with recorder.request():
        app.verify(app.Key("k1"))
        app.check(app.Key("k2", is_active=False))
        app.record("x")
    assert _ids(app.rows[0]) == "k1"
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.outcome"]) == ("k1", "denied")
    assert (shown["keyaudit.denied.reason"], shown["keyaudit.denied.key.id"]) == ("valid", "k2")


def test_the_same_key_accepted_before_and_withdrawn_stays(app: ModuleType, recorder: Recorder) -> None:
    """A later check that finds the same key and denies does not withdraw the earlier acceptance."""
    with recorder.request():
        app.look_up(app.Key("k1"))
        with pytest.raises(PermissionError):
            app.verify(app.Key("k1", is_active=False))
        app.record("x")
    assert _ids(app.rows[0]) == "k1"


def test_acceptance_after_a_denial_blanks_it(app: ModuleType, recorder: Recorder) -> None:
    """The last outcome is shown, and reason and id of the denial are overwritten."""
    with recorder.request():
        app.check(app.Key("k1", is_active=False))
        app.check(app.Key("k2"))
        app.record("x")
    shown = recorder.server_span()
    assert (shown["keyaudit.outcome"], shown["keyaudit.key.id"]) == ("accepted", "k2")
    assert (shown["keyaudit.denied.reason"], shown["keyaudit.denied.key.id"]) == ("", "")


def test_withdrawal_ends_the_ambiguity(app: ModuleType, recorder: Recorder) -> None:
    """If the second key is refused, the first is the request's again, and the span shows it."""
    with recorder.request():
        app.look_up(app.Key("k1", "name"))
        with pytest.raises(PermissionError):
            app.verify(app.Key("k2", is_active=False))
        app.record("x")
    assert _ids(app.rows[0]) == "k1"
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.key.name"]) == ("k1", "name")
    assert shown["keyaudit.denied.key.id"] == "k2"
    assert shown["keyaudit.ambiguous"] is False
    assert not shown.get("keyaudit.key.ids")


def test_last_write_shows_on_the_server_span(app: ModuleType, recorder: Recorder) -> None:
    """Without audit spans the server span has action and resource of the last write, and outdated ones are empty."""
    recorder.uninstrument()
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], audit_spans=False)
    with recorder.request():
        app.record("create", None, "workspace", "w1")
        app.record("list", None, "workspace")
    shown = recorder.server_span()
    assert (shown["keyaudit.action"], shown["keyaudit.resource.type"]) == ("list", "workspace")
    assert shown["keyaudit.resource.id"] == ""


def test_server_span_that_ended_early(app: ModuleType, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Keys that are found after the end of the server span are on the audit span, in the same trace and silently."""

    async def service(scope: Any, receive: Any, send: Any) -> None:
        span = recorder.tracer.start_span("server", kind=SpanKind.SERVER)
        span.end()
        app.verify(app.Key("k1", scopes=["a"]))
        app.record("x")

    async def run() -> None:
        async with AsyncClient(transport=ASGITransport(service, raise_app_exceptions=False)) as client:
            with pytest.raises(AssertionError):  # it never answers
                await client.get("http://test/")

    asyncio.run(run())
    (server,) = recorder.server_spans()
    (audited,) = recorder.audit_spans()
    assert keyaudit_attributes(server) == {}
    assert keyaudit_attributes(audited)["keyaudit.key.scopes"] == ("a",)
    assert audited.context is not None
    assert server.context is not None
    assert (audited.context.trace_id, audited.parent) == (server.context.trace_id, server.context)
    assert caplog.records == []


def request_from(service: Any) -> None:
    """Make a request to an ASGI application."""

    async def run() -> None:
        async with AsyncClient(transport=ASGITransport(service)) as client:
            await client.get("http://test/")

    asyncio.run(run())


class Authentication:
    """The call of an authentication target."""

    source = "Key"

    def __init__(self, within: Any = None) -> None:
        self.within = within
        self.accepted_id: str | None = None
        self.accepted_inside: Any = None


def test_long_request_gathers_nothing() -> None:
    """A socket that authenticates every message keeps as much as after the first message."""
    state = unseen_state()
    sizes = []
    for number in range(1000):
        check = Authentication()
        state.accept(ApiKey("k1", scopes=["a"]), Authentication(check))
        state.accept(ApiKey("k1", name=f"{number % 2}"), check)
        sizes.append(len(pickle.dumps(state._keys)))
    assert sizes[-1] <= sizes[2]
    assert state.attribution.key == ApiKey("k1", name="1", scopes=["a"])


def test_authentications_in_parallel_keep_their_look_ups_apart() -> None:
    """A denial withdraws only what was found inside it, not in a concurrent authentication."""
    state = unseen_state()
    first, second = Authentication(), Authentication()
    state.accept(ApiKey("k1"), Authentication(first))
    state.accept(ApiKey("k2"), Authentication(second))
    assert state.attribution.kind == "ambiguous"
    assert state.deny(first, "ValueError", None) == ApiKey("k1")
    assert state.attribution.key == ApiKey("k2")
    state.accept(ApiKey("k2"), second)
    assert state.deny(second, "ValueError", None) is None
    assert state.attribution.key == ApiKey("k2")


@pytest.mark.parametrize("key", [ApiKey("k1"), None])
def test_denial_withdraws_the_only_key_inside_it(key: ApiKey | None) -> None:
    """A key with an unreadable id is withdrawn, too."""
    state, outer = unseen_state(), Authentication()
    state.accept(key, Authentication(outer))
    assert state.deny(outer, "ValueError", None) == key
    assert state.attribution is UNATTRIBUTED


def test_key_inside_a_call_without_an_outcome_is_kept() -> None:
    """Only the outer authentication can withdraw it then."""
    state, outer = unseen_state(), Authentication()
    inner = Authentication(outer)
    state.accept(ApiKey("k1"), Authentication(inner))
    state.settle(inner)
    assert state.attribution.key == ApiKey("k1")
    assert state.deny(inner, "ValueError", None) is None
    assert state.attribution.key == ApiKey("k1")
    assert state.deny(outer, "ValueError", None) == ApiKey("k1")
    assert state.attribution is UNATTRIBUTED


def test_each_denial_of_a_call_withdraws_the_keys_inside_it() -> None:
    """A call that goes on after its denial, as a generator does, may find further keys."""
    state, outer = unseen_state(), Authentication()
    for key in (ApiKey("k1"), ApiKey("k2")):
        state.accept(key, Authentication(outer))
        assert state.attribution.key == key
        assert state.deny(outer, "ValueError", None) == key
        assert state.attribution is UNATTRIBUTED


def test_key_acts_through_the_actors_of_its_request() -> None:
    """In either order; a denial withdraws the actors inside it, too."""
    key, job, outer = ApiKey("k1"), ApiKey("job"), Authentication()
    for steps in ((True, False), (False, True)):
        state = unseen_state()
        for as_actor in steps:
            state.accept(job if as_actor else key, Authentication(outer if as_actor else None), as_actor=as_actor)
        assert (state.attribution.key, state.attribution.delegation.actors_count) == (key, 1)
        assert state.deny(outer, "ValueError", None) == job
        assert (state.attribution.key, state.attribution.delegation.actors_count) == (key, 0)


def test_ids_of_keys_and_actors_are_bounded(app: ModuleType, recorder: Recorder) -> None:
    """No row has more of them than ``max_items``, and the numbers are exact."""
    recorder.uninstrument()
    name = app.__name__
    auth_targets = [f"{name}:verify", f"{name}:check?role=actor"]
    recorder.instrument(auth_targets=auth_targets, audit_targets=[f"{name}:record"], max_items=2)
    with recorder.request():
        for number in range(3):
            app.verify(app.Key(f"k{number}"))
        app.record("x")
    with recorder.request():
        app.verify(app.Key("k"))
        for number in range(3):
            app.check(app.Key(f"job{number}"))
        app.record("x")
    ambiguous, attributed = [row["request_api_key"] for row in app.rows]
    assert (ambiguous["ids"], ambiguous["ids_count"]) == (["k0", "k1"], 3)
    assert (attributed["actors"], attributed["actors_count"]) == (["job2", "job1"], 3)


def test_the_source_of_the_first_key_counts() -> None:
    """Ids of digits are unique within a source only, also for the first key of a request."""
    for second, kind in (("Key", "attributed"), ("User", "ambiguous")):
        state, other = unseen_state(), Authentication()
        other.source = second
        for authentication in (Authentication(), other, Authentication()):
            state.accept(ApiKey("1"), authentication)
        assert state.attribution.kind == kind


def test_open_authentications_are_read_until_they_end() -> None:
    """A row in the middle of several calls reads the keys that they have stored so far."""

    class Open:
        def __init__(self, key_id: str) -> None:
            self.key_id = key_id

        def read_early(self) -> None:
            state.accept(ApiKey(self.key_id), Authentication())

    state, first, second = unseen_state(), Open("k1"), Open("k2")
    for authentication in (first, second):
        state.watch(authentication)
    state.read_open_keys()
    assert state.attribution.ids == ("k1", "k2")
    first.key_id = "k3"
    state.unwatch(first)
    state.read_open_keys()
    assert state.attribution.ids == ("k1", "k2")
    state.unwatch(second)
    assert state.open_authentications == ()


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("is_around", [True, False])
def test_open_authentication_is_read_when_the_server_span_ends(recorder: Recorder, is_around: bool) -> None:
    """A middleware around the span, or inside it, may end later."""

    class Open:
        def __init__(self) -> None:
            self.request = current_request()
            assert self.request is not None
            self.request.watch(self)

        def read_early(self) -> None:
            assert self.request is not None
            self.request.accept(ApiKey("k1"), Authentication())

    async def service(scope: Any, receive: Any, send: Any) -> None:
        if is_around:
            Open()
        with recorder.tracer.start_as_current_span("server", kind=SpanKind.SERVER):
            if not is_around:
                Open()
            await bare.answer(send)

    request_from(service)
    assert recorder.server_span()["keyaudit.key.id"] == "k1"


def test_latest_subjects_are_remembered() -> None:
    """A request that changes many stored keys remembers the last 1,024, each as it was first read or last written."""
    state = unseen_state()
    assert state.earlier_subject("k0") is None
    for number in range(MAX_SUBJECTS + 1):
        state.remember_subject(ApiKey(f"k{number}"), replaces=False)
    assert state.earlier_subject("k0") is None
    assert state.earlier_subject("k1") == ApiKey("k1")
    for replaces, name in ((False, None), (True, "new")):
        state.remember_subject(ApiKey("k1", name="new"), replaces=replaces)
        assert state.earlier_subject("k1") == ApiKey("k1", name=name)


@pytest.mark.parametrize(("error", "is_full"), [(None, False), (PermissionError(), True)])
def test_denied_check_shows_the_lists_of_the_key(
    recorder: Recorder, shop: ModuleType, error: BaseException | None, is_full: bool
) -> None:
    """With the sampler `on_change` a server span has the lists of a key whose check was not granted, cut if long."""
    recorder.instrument(
        auth_targets=["support.applications.shop:verify"],
        authz_targets=["support.applications.shop:require"],
        sampler="on_change",
        max_items=1,
    )
    with recorder.request(), suppress(PermissionError):
        shop.verify(shop.ci_bot("k1"))
        shop.require(["b:read", "c:read"], error)
    shown = recorder.server_span()
    assert shown["keyaudit.decision.required"] == ("b:read",)
    assert (shown["keyaudit.detail"], shown.get("keyaudit.key.scopes")) == (
        ("full", ("a:read",)) if is_full else ("minimal", None)
    )


@pytest.mark.parametrize(
    ("used", "key_id", "shown"),
    [(ApiKey("k1", scopes=["a"]), "k1", ("a",)), (ApiKey("k1"), "k2", None), (None, "k1", None)],
)
def test_full_row_shows_the_lists_of_the_used_key(
    recorder: Recorder, app: ModuleType, used: ApiKey | None, key_id: str, shown: object
) -> None:
    """A full row of another key, or of a withdrawn key, adds no lists to the server span."""
    recorder.uninstrument()
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler="always_minimal")
    with nullcontext() if used is None else use_key(used), recorder.request():
        request = current_request()
        assert request is not None
        request.wrote(NO_ATTRIBUTES, ApiKey(key_id, scopes=["a"]))
    assert recorder.server_span().get("keyaudit.key.scopes") == shown


@pytest.mark.usefixtures("app")
def test_key_that_is_used_around_a_request_shows_on_its_server_span(recorder: Recorder) -> None:
    """Also if the request neither authenticates nor writes."""
    with use_key(ApiKey("k1")), recorder.request():
        pass
    assert recorder.server_span()["keyaudit.key.id"] == "k1"


def test_write_before_the_server_span_shows_on_it(recorder: Recorder, shop: ModuleType) -> None:
    """Middleware may write its row before the tracing middleware opens the span."""
    recorder.instrument(audit_targets=["support.applications.shop:record"], audit_spans=False)

    async def service(scope: Any, receive: Any, send: Any) -> None:
        shop.record("early")
        with recorder.tracer.start_as_current_span("server", kind=SpanKind.SERVER):
            await bare.answer(send)

    request_from(service)
    assert recorder.server_span()["keyaudit.action"] == "early"


def test_the_same_key_of_a_request_is_accepted_at_no_cost() -> None:
    """An ordinary request needs no record of several keys, even if several checks find its key."""
    state, key, delegation = unseen_state(), ApiKey("k1"), Delegation("user:7")
    for _ in range(2):
        state.accept(key, Authentication(), delegation)
        assert state.attribution == Attribution("attributed", key, (), 0, delegation)
        assert state._keys is not None
        assert state._keys._accepted is None
    state.accept(key, Authentication(), Delegation("user:8"))
    assert state.attribution.delegation == Delegation("user:8")


def test_nested_key_of_an_outer_check_that_denies_later_is_no_ordinary_key() -> None:
    """Its authentication has accepted another key inside, so both count."""
    state, outer = unseen_state(), Authentication()
    state.accept(None, Authentication(outer))
    state.accept(ApiKey("k1"), outer)
    assert state.attribution.kind == "ambiguous"


def test_actors_of_a_request_are_bounded() -> None:
    """The latest are kept, and their number is exact."""
    state = unseen_state()
    for number in range(MAX_ITEMS + 2):
        state.accept(ApiKey(f"job{number}"), Authentication(), as_actor=True)
    state.accept(ApiKey("k1"), Authentication())
    assert len(state.attribution.delegation.actors) == MAX_ITEMS
    assert state.attribution.delegation.actors_count == MAX_ITEMS + 2


def test_every_request_has_a_number_of_its_own() -> None:
    """Rows are recognized as written in the same request by its number."""
    assert len({unseen_state().number for _ in range(10)} - {None}) == 10


def test_ended_request_releases_its_objects() -> None:
    """Later rows do not receive its key, and objects that the application freed live no longer because of it."""
    state = Request(unseen_state()._spans, {"type": "http"})
    assert state.scope == {"type": "http"}
    state.opened(None, Attribution("attributed", ApiKey("k2")))
    state.accept(ApiKey("k1"), Authentication())
    state.present(("token",))
    state.watch(Authentication())
    state.remember_subject(ApiKey("k3"), replaces=True)
    state.close()
    assert state.is_open is False
    assert state.attribution is ENDED
    assert [state.scope, state.server_span, state.used_key, state.earlier_subject("k3")] == [None] * 4
    assert [state.aliases, state.presented, state.open_authentications] == [()] * 3


def test_request_without_a_key_has_none_after_its_end() -> None:
    """It lost none."""
    state = unseen_state()
    state.close()
    assert state.attribution is UNATTRIBUTED


def test_request_shows_only_whether_it_is_open() -> None:
    """Its contents appear in no log line of an application."""
    state = unseen_state()
    assert repr(state) == "<RequestState open>"
    state.close()
    assert repr(state) == "<RequestState ended>"


def test_threads_change_one_request_at_once(app: ModuleType, recorder: Recorder) -> None:
    """At the end the span shows the final state, in whatever order threads changed it."""
    for round_ in range(20):
        keys = [f"k{round_}"] * 4 + ([f"other{round_}"] if round_ % 2 else [])
        with recorder.request(str(round_)):
            threads = [
                threading.Thread(target=contextvars.copy_context().run, args=(app.verify, app.Key(key))) for key in keys
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    for span in recorder.server_spans():
        shown = keyaudit_attributes(span)
        if int(span.name) % 2:
            assert shown["keyaudit.ambiguous"] is True
            assert set(shown["keyaudit.key.ids"]) == {f"k{span.name}", f"other{span.name}"}
            assert not shown.get("keyaudit.key.id")
        else:
            assert shown["keyaudit.key.id"] == f"k{span.name}"


def test_last_credentials_of_a_request_are_kept() -> None:
    """A socket that renews its token for days keeps only the last credentials, each once."""
    request = unseen_state()
    for number in range(3 * MAX_CREDENTIALS):
        request.present((f"token {number}",))
    request.present((f"token {3 * MAX_CREDENTIALS - 1}",))
    assert request.presented == tuple(f"token {number}" for number in range(2 * MAX_CREDENTIALS, 3 * MAX_CREDENTIALS))


def test_credentials_of_threads_are_all_kept() -> None:
    """A credential that is lost would not be refused as the value of a field."""
    for _ in range(200):
        request = unseen_state()
        at_once(*[partial(request.present, (f"token {number}",)) for number in range(4)])
        assert sorted(request.presented) == [f"token {number}" for number in range(4)]


def test_ended_request_accepts_and_remembers_nothing() -> None:
    """A thread of the request may still authenticate after its end."""
    request = unseen_state()
    request.close()
    assert request.accept(ApiKey("k_1"), Authentication()) is False
    request.present(("token",))
    request.remember_subject(ApiKey("k_2"), replaces=True)
    assert request.attribution is UNATTRIBUTED
    assert (request.presented, request.earlier_subject("k_2"), request._keys) == ((), None, None)


def test_request_that_ends_while_a_key_is_read_has_no_key(recorder: Recorder, app: ModuleType) -> None:
    """A worker that serves others in its context would name the key in their rows."""

    class Slow:
        id = "k_1"
        name = scopes = None

        @property
        def allow_list(self) -> None:
            request.end()

    with unseen_request() as request:
        app.look_up(Slow())
        app.record("create", {})
    assert [_ids(row) for row in app.rows] == [None]
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.NoRequestError"): 1}


class At:
    """Calls a function at one of many moments.

    Args:
        moment: The number of moments before it.
        work: The function.
    """

    def __init__(self, moment: int, work: Callable[[], object]) -> None:
        self.left = moment
        self._work = work

    def __call__(self) -> None:
        self.left -= 1
        if self.left == -1:
            with suppress(PermissionError):
                self._work()


@pytest.mark.parametrize("ends", ["accepted", "denied"])
def test_finalizer_may_authenticate_at_any_moment(ends: str, app: ModuleType, recorder: Recorder) -> None:
    """The rows and the server span after another key was accepted are ambiguous, wherever that interrupts."""
    other = app.Key("k_2", is_active=ends == "accepted")
    for moment in range(60):
        work = At(moment, partial(app.check, other))
        with recorder.request(str(moment)):
            with in_each_collection(work):
                app.look_up(app.Key("k_1"))
            app.record("create", {})
        expected = ["k_1", "k_2"] if work.left < 0 and ends == "accepted" else ["k_1"]
        shown = keyaudit_attributes(recorder.server_spans()[-1])
        assert sorted(shown.get("keyaudit.key.ids") or (shown["keyaudit.key.id"],)) == expected
        named = _ids(app.rows[-1])
        assert ([named] if isinstance(named, str) else sorted(named)) == expected
    assert recorder.errors() == {}
