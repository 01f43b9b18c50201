"""Several targets of one kind on one function: the first whose condition holds observes the call."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from otel_keyaudit import AuthTarget, KeyAuditInstrumentor, current_key
from otel_keyaudit.cli.doctor.probe import observed_targets
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.calls.results import consume
from support.environment.concurrency import at_once
from support.environment.modules import LoadModule
from support.environment.unseen import unseen_request

APP = """
import asyncio

class Key:
    def __init__(self, id, kind):
        self.id, self.name, self.scopes, self.allow_list, self.kind = id, "ci", ["a:read"], [], kind
        self.session_id = f"s_{id}"

def make(kind, error=None):
    if error is not None:
        raise error
    return Key("k_1", kind)

def verify(kind, error=None):
    return make(kind, error)

async def verify_later(kind, error=None):
    await asyncio.sleep(0)
    return make(kind, error)

def verify_future(kind, error=None):
    return asyncio.get_running_loop().create_task(verify_later_bare(kind, error))

async def verify_later_bare(kind, error=None):
    await asyncio.sleep(0)
    return make(kind, error)

def verify_lending(kind, error=None):
    yield make(kind, error)

async def verify_lending_later(kind, error=None):
    await asyncio.sleep(0)
    yield make(kind, error)

class Verifier:
    def verify(self, kind, error=None):
        return make(kind, error)

class SpecialVerifier(Verifier):
    pass

def outer(*inner, error=None):
    for verify in inner:
        verify()
    if error is not None:
        raise error

def check(permission, answer=True):
    return answer

def guarded(inner, answer=True):
    inner()
    return answer

def load(kind):
    return Key("k_2", kind)

def build(action, kind):
    return {"kind": kind, "details": {}, "meta": {}}

def record(action, additional_fields=None, subject=None):
    return additional_fields
"""
FUNCTIONS = ["verify", "verify_later", "verify_future", "verify_lending", "verify_lending_later"]


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """The application."""
    return load_module(APP)


async def used(function: Any, *args: Any) -> None:
    """Call a function inside an event loop, and wait for its end."""
    await consume(function(*args))


def calls() -> list[int]:
    """Return the number of calls of each target."""
    return [status.calls for status in KeyAuditInstrumentor().status()]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("kind", "expected", "key_id"), [("api", [1, 0], "k_1"), ("session", [0, 1], "s_k_1")])
def test_next_target_observes_a_call_that_a_late_condition_excludes(
    recorder: Recorder, app: Any, name: str, kind: str, expected: list[int], key_id: str
) -> None:
    """The condition needs the result, and each kind of function is concluded at a different moment."""
    path = f"{app.__name__}:{name}"
    recorder.instrument(auth_targets=[f"{path}?when=kind|is:api", f"{path}?id=session_id&when=kind|is:session"])
    with recorder.request():
        asyncio.run(used(getattr(app, name), kind))
        assert current_key() is not None
        assert current_key().id == key_id  # type: ignore[union-attr]
    assert calls() == expected
    assert recorder.authentications() == {"accepted": 1, "denied": 0}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["return.kind|is:api", None], [0, 1]),
        (["return.kind|is:api", "kind|is:other", "args.kind|is:session"], [0, 0, 1]),
        (["args.kind|is:api", "return.kind|is:session", None], [0, 1, 0]),
        (["return.kind|is:session", "args.kind"], [1, 0]),
        (["return.kind|is:api", "args.kind|is:api"], [0, 0]),
        (["return.missing.kind", None], [0, 1]),
    ],
)
def test_targets_are_asked_in_order(
    recorder: Recorder, app: Any, conditions: list[str | None], expected: list[int]
) -> None:
    """Conditions that are read before and after the call can stand in any order."""
    path = f"{app.__name__}:verify"
    recorder.instrument(auth_targets=[path if when is None else f"{path}?when={when}" for when in conditions])
    with recorder.request():
        app.verify("session")
        assert (current_key() is not None) == (sum(expected) == 1)
    assert calls() == expected


def test_a_function_as_condition_does_not_hide_the_next_target(recorder: Recorder, app: Any) -> None:
    """A function may need the result, so it is called after the call; it decides after an exception, too."""
    path = f"{app.__name__}:verify"
    recorder.instrument(auth_targets=[AuthTarget(path, when=lambda call: call.args["kind"] == "api"), AuthTarget(path)])
    with recorder.request():
        with suppress(PermissionError):
            app.verify("session", PermissionError())
        app.verify("api")
    assert calls() == [1, 1]
    assert recorder.authentications() == {"accepted": 1, "denied": 1}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_denial_belongs_to_the_first_target_whose_condition_needs_the_result(
    recorder: Recorder, app: Any, name: str
) -> None:
    """After an exception such a condition counts as truthy, so one denial is counted."""
    path = f"{app.__name__}:{name}"
    recorder.instrument(auth_targets=[f"{path}?when=kind|is:api", path])

    async def call() -> None:
        with suppress(PermissionError):
            await used(getattr(app, name), "session", PermissionError())

    with recorder.request():
        asyncio.run(call())
    assert calls() == [1, 0]
    assert recorder.authentications() == {"accepted": 0, "denied": 1}


def test_alternatives_observe_only_their_own_objects(recorder: Recorder, app: Any) -> None:
    """A target of a subclass does not observe the calls on other classes."""
    path = app.__name__
    recorder.instrument(
        auth_targets=[f"{path}:Verifier.verify?when=kind|is:api", f"{path}:SpecialVerifier.verify?id=session_id"]
    )
    with recorder.request():
        app.Verifier().verify("session")
        assert current_key() is None
        app.SpecialVerifier().verify("session")
        assert current_key().id == "s_k_1"  # type: ignore[union-attr]
    assert calls() == [0, 1]


def test_an_excluded_call_leaves_the_keys_inside_it_to_the_call_around_it(recorder: Recorder, app: Any) -> None:
    """A denial withdraws every key that was returned inside it, also through a call that is no authentication."""
    path = app.__name__
    recorder.instrument(auth_targets=[f"{path}:outer?when=return.kind", f"{path}:verify", f"{path}:guarded"])

    def work() -> None:
        app.outer(lambda: app.verify("api"))
        raise PermissionError

    with recorder.request():
        with suppress(PermissionError):
            app.guarded(work)
        assert current_key() is None
    assert recorder.server_span()["keyaudit.outcome"] == "denied"


def test_next_authorization_target_observes_a_call_that_a_late_condition_excludes(recorder: Recorder, app: Any) -> None:
    """The decision is made with the fields of the target that observes it."""
    path = f"{app.__name__}:check"
    recorder.instrument(authz_targets=[f"{path}?when=return|is:no&required=args.answer", f"{path}?granted=args.answer"])
    with recorder.request():
        app.check("a:read", answer="yes")
        app.check("a:write", answer="no")
    assert calls() == [1, 1]
    assert recorder.count("keyaudit.decisions", {"keyaudit.decision.outcome": "granted"}) == 2


def test_an_excluded_check_leaves_the_checks_inside_it_to_the_check_around_it(recorder: Recorder, app: Any) -> None:
    """A check without a requirement adopts those of the checks inside, also through a call that is no check."""
    path = app.__name__
    recorder.instrument(
        auth_targets=f"{path}:verify",
        authz_targets=[f"{path}:outer", f"{path}:guarded?when=return|is:yes", f"{path}:check"],
        audit_targets=f"{path}:record",
    )
    with recorder.request():
        app.verify("api")
        app.outer(lambda: app.guarded(lambda: app.check("a:read")))
        row = app.record("create", {})
    assert [one["required"] for one in row["request_api_key"]["decisions"]] == [["a:read"]]


def test_checks_inside_an_excluded_outermost_check_are_the_decisions(recorder: Recorder, app: Any) -> None:
    """Each of them is recorded, also through several excluded calls, whether they return or raise."""
    path = app.__name__
    recorder.instrument(
        auth_targets=f"{path}:verify",
        authz_targets=[f"{path}:outer?when=return|is:yes", f"{path}:guarded?when=return|is:yes", f"{path}:check"],
        audit_targets=f"{path}:record",
    )
    with recorder.request():
        app.verify("api")
        app.outer(lambda: app.guarded(lambda: app.check("a:read")), lambda: app.check("a:write", answer=False))
        row = app.record("create", {})
    decided = [(one["required"], one["outcome"]) for one in row["request_api_key"]["decisions"]]
    assert decided == [(["a:read"], "granted"), (["a:write"], "denied")]
    assert recorder.count("keyaudit.decisions") == 2


def test_checks_inside_a_check_that_is_not_excluded_are_no_decisions(recorder: Recorder, app: Any) -> None:
    """Only the outermost check is one, with the requirements of those inside, also through an excluded call."""
    path = app.__name__
    recorder.instrument(
        auth_targets=f"{path}:verify",
        authz_targets=[f"{path}:guarded?when=return", f"{path}:check"],
        audit_targets=f"{path}:record",
    )
    with recorder.request():
        app.verify("api")
        app.guarded(lambda: app.guarded(lambda: app.check("a:read"), answer=False))
        row = app.record("create", {})
    assert [one["required"] for one in row["request_api_key"]["decisions"]] == [["a:read"]]
    assert recorder.count("keyaudit.decisions") == 1


def test_next_subject_target_observes_a_call_that_a_late_condition_excludes(recorder: Recorder, app: Any) -> None:
    """The earlier snapshot of the key is read with the fields of the second target."""
    path = f"{app.__name__}:load"
    recorder.instrument(subject_targets=[f"{path}?when=kind|is:api", f"{path}?id=session_id"])
    with recorder.request():
        app.load("session")
    assert calls() == [0, 1]


def test_next_building_target_observes_a_call_that_a_late_condition_excludes(recorder: Recorder, app: Any) -> None:
    """The key is in the place of the second target, and one write is counted."""
    path = f"{app.__name__}:build"
    recorder.instrument(
        auth_targets=f"{app.__name__}:verify",
        audit_targets=[
            f"{path}?fields=return.meta&when=return.kind|is:api",
            f"{path}?fields=return.details&when=return.kind|is:job",
            f"{path}?fields=return",
        ],
    )
    with recorder.request():
        app.verify("api")
        rows = [app.build("create", kind) for kind in ("api", "job", "other")]
    assert ["request_api_key" in place for row in rows for place in (row["meta"], row["details"], row)] == [
        True, False, False, False, True, False, False, False, True,
    ]  # fmt: skip
    assert recorder.writes()["attributed"] == 3
    assert [keyaudit_attributes(span)["keyaudit.action"] for span in recorder.audit_spans()] == ["create"] * 3


def test_a_target_that_changes_the_arguments_comes_too_late(recorder: Recorder, app: Any) -> None:
    """The row is built before the call, when the condition of the earlier target is unknown."""
    path = f"{app.__name__}:record"
    recorder.instrument(
        auth_targets=f"{app.__name__}:verify", audit_targets=[f"{path}?fields=return&when=return.kind", path]
    )
    with recorder.request():
        app.verify("api")
        assert app.record("create", {}) == {}
    assert calls() == [1, 0, 0]


def test_threads_lose_no_count(recorder: Recorder, shop: Any) -> None:
    """Denials, decisions and unreadable fields are counted by target, and several threads count at once."""
    module = shop.__name__
    shop.instrument(recorder, auth="?owner=missing", authz_targets=[f"{module}:require"])

    def work() -> None:
        for _ in range(100):
            with suppress(PermissionError), unseen_request():
                shop.verify(shop.ci_bot("k_1"))
                shop.require("a:read")
                shop.verify(None, PermissionError())

    at_once(*[work] * 4)
    verify, require = (
        next(one for one in observed_targets() if one["kind"] == kind) for kind in ("auth", "authz")
    )  # fmt: skip
    assert verify["outcomes"] == {"accepted": 400, "denied": 400}
    assert verify["unreadable"] == {"owner": 400}
    assert require["outcomes"] == {"granted": 400}
