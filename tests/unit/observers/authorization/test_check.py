"""Decisions: which check counts, its outcome, the cause, and where each is recorded."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuthzTarget, KeyAuditInstrumentor, use_key
from otel_keyaudit.presets._definition import DecidedTarget, PartTarget
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule

APP = """
class Forbidden(Exception):
    pass

class Teapot(Exception):
    status_code = 418

class Outage(Exception):
    status_code = 503

class Key:
    def __init__(self, id, scopes=("workspace:read",), allow_list=None):
        self.id, self.name, self.scopes, self.allow_list = id, "ci", scopes, allow_list

ROWS = []

def verify(key):
    return key

def require(permission, resource_type=None, resource_id=None, error=None):
    if error is not None:
        raise error

def ask(permissions, answer):
    return answer

def outer(inner, error=None):
    inner()
    if error is not None:
        raise error

def outer_with(permission, inner):
    inner()

def needed():
    return ["workspace:update"]

async def require_later(permission, error=None, work=bool):
    await asyncio.sleep(0)
    work()
    if error is not None:
        raise error

def require_in_future(permission, error, is_done):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    conclude = partial(future.set_result, None) if error is None else partial(future.set_exception, error)
    conclude() if is_done else loop.call_soon(conclude)
    return future

async def outer_later(start):
    start()
    await asyncio.sleep(0)  # the task begins its check

def outer_in_future(require):
    return require()

def check_and_write(permission, outcome):
    record("check", outcome=outcome)

def authenticate_and_check(key, permission):
    verify(key)
    raise Forbidden("no")

def scoped(scope):
    def check(user):
        return None
    return check

def guarding(permission, error=None):
    if error is not None:
        raise error
    yield permission

async def guarding_later(permission, error=None):
    if error is not None:
        raise error
    yield permission

def record(action, additional_fields=None, outcome=None):
    ROWS.append(additional_fields)
    return additional_fields

def write_checked(permission, additional_fields=None, outcome=None):
    return record("write", additional_fields, outcome)

async def write_checked_later(permission, additional_fields=None, outcome=None):
    return record("write", additional_fields, outcome)

def build_checked(permission, additional_fields=None, outcome=None):
    return additional_fields

import asyncio
from functools import partial
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application with checks."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any, *authz: str, **options: Any) -> None:
    """Instrument the application with some checks."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        audit_targets=[f"{name}:record"],
        authz_targets=[f"{name}:{one}" for one in authz],
        **options,
    )


def refused(call: Any, *args: Any) -> None:
    """Call a check that raises."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - any that the check raises
        call(*args)


def decisions(row: Any) -> list[dict[str, Any]]:
    """Return the decisions of a row."""
    found: list[dict[str, Any]] = row["request_api_key"]["decisions"]
    return found


def test_granted_by_a_scope(recorder: Recorder, app: Any) -> None:
    """Row, spans and counter have the permission, the outcome, the cause and the deciding scope."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1", ["workspace:*", "workspace:read"]))
        app.require("workspace:read")
        row = app.record("create")
    assert decisions(row) == [
        {"required": ["workspace:read"], "outcome": "granted", "cause": "scope", "scopes": ["workspace:*"]}
    ]
    assert "decisions_count" not in row["request_api_key"]
    for shown in (recorder.server_span(), keyaudit_attributes(recorder.audit_spans()[0])):
        assert shown["keyaudit.decision.outcome"] == "granted"
        assert shown["keyaudit.decision.cause"] == "scope"
        assert shown["keyaudit.decision.required"] == ("workspace:read",)
    assert recorder.count("keyaudit.decisions", {"keyaudit.decision.outcome": "granted"}) == 1


def test_first_covering_scope_decides(recorder: Recorder, app: Any) -> None:
    """A scope of the same name that comes later does not decide."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1", ["workspace:*", "workspace:read"]))
        app.require("workspace:read")
        assert decisions(app.record("create"))[0]["scopes"] == ["workspace:*"]


def test_denied_for_a_missing_scope(recorder: Recorder, app: Any) -> None:
    """The row written afterwards names the missing permission and the class of the exception."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(app.require, "workspace:delete", None, None, app.Forbidden())
        row = app.record("delete")
    assert decisions(row) == [
        {
            "required": ["workspace:delete"],
            "outcome": "denied",
            "cause": "scope",
            "missing": ["workspace:delete"],
            "reason": f"{app.__name__}.Forbidden",
        }
    ]
    assert recorder.server_span()["keyaudit.decision.missing"] == ("workspace:delete",)


def test_denied_by_the_allow_list(recorder: Recorder, app: Any) -> None:
    """The scopes cover the permission, but the allow list lacks the resource."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1", ["workspace:read"], ["workspace:1"]))
        refused(app.require, "workspace:read", "workspace", 2, PermissionError())
        (decision,) = decisions(app.record("read"))
    assert (decision["cause"], decision["resource"], decision["reason"]) == (
        "allow_list",
        "workspace:2",
        "PermissionError",
    )


@pytest.mark.parametrize(
    ("error", "outcome"), [("Forbidden", "denied"), ("Teapot", "denied"), ("Outage", "error"), (None, "error")]
)
def test_outcome_of_an_exception(recorder: Recorder, app: Any, error: str | None, outcome: str) -> None:
    """A client error or a refusing class is a denial; any other exception is an error without a cause."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(app.require, "workspace:read", None, None, RuntimeError() if error is None else getattr(app, error)())
        (decision,) = decisions(app.record("read"))
    assert decision["outcome"] == outcome
    assert ("cause" in decision) is (outcome == "denied")


@pytest.mark.parametrize(
    ("fields", "error", "outcome"),
    [
        ("denied=exc.status_code|is:418", "Teapot", "denied"),
        ("denied=exc.status_code|is:418", "Outage", "error"),
        ("denied=exc.status_code", "Forbidden", "error"),
        ("granted=args.resource_id", None, "denied"),
    ],
)
def test_fields_choose_the_outcome(recorder: Recorder, app: Any, fields: str, error: str | None, outcome: str) -> None:
    """``denied`` decides about exceptions in place of their class, and ``granted`` about results."""
    instrument(recorder, app, f"require?{fields}")
    with recorder.request():
        app.verify(app.Key("k_1"))
        with suppress(Exception):
            app.require("workspace:read", None, None, None if error is None else getattr(app, error)())
        (decision,) = decisions(app.record("read"))
    assert decision["outcome"] == outcome


@pytest.mark.parametrize(
    ("resource_type", "action", "required"),
    [("workspace", "read", ["workspace:read"]), (None, "read", []), ("workspace", None, []), (None, None, [])],
)
def test_requirement_of_a_resource_type_and_an_action(
    recorder: Recorder, load_module: LoadModule, resource_type: str | None, action: str | None, required: list[str]
) -> None:
    """Both together are the permission. A check with these parameters adopts no requirement of inner checks."""
    app: Any = load_module(APP + "def allow(resource_type, action, inner):\n    inner()\n")
    instrument(recorder, app, "allow", "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.allow(resource_type, action, lambda: app.require("workspace:delete"))
        (decision,) = decisions(app.record("read"))
    assert decision.get("required", []) == required


def test_resource_type_alone_is_no_requirement(recorder: Recorder, app: Any) -> None:
    """Such a check adopts the requirements of inner checks."""
    instrument(recorder, app, "outer?resource_type=args.error", "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.outer(lambda: app.require("workspace:delete"))
        (decision,) = decisions(app.record("read"))
    assert decision["required"] == ["workspace:delete"]


def test_row_inside_a_check_names_its_resource(recorder: Recorder, load_module: LoadModule) -> None:
    """The resource is known before the outcome."""
    app: Any = load_module(APP + "def inside(permission, resource_type, resource_id):\n    return record('x')\n")
    instrument(recorder, app, "inside")
    with recorder.request():
        app.verify(app.Key("k_1"))
        row = app.inside("workspace:read", "workspace", 1)
    assert decisions(row) == [{"required": ["workspace:read"], "resource": "workspace:1"}]


def test_decision_of_an_ambiguous_request_is_shown(recorder: Recorder, app: Any) -> None:
    """A request with several keys has a decision whose cause is unknown; a used key suffices, too."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.verify(app.Key("k_2"))
        app.require("workspace:read")
    with recorder.request(), use_key(ApiKey("k_3")):
        app.require("workspace:read")
    ambiguous, used = (keyaudit_attributes(span) for span in recorder.server_spans())
    assert ambiguous["keyaudit.decision.cause"] == used["keyaudit.decision.cause"] == "unknown"


def test_check_that_outlives_the_outer_check(recorder: Recorder, app: Any) -> None:
    """A check in a task that the outer check started and did not await is a separate decision."""
    instrument(recorder, app, "require_later", "outer_later")
    rows: list[Any] = []

    async def check() -> Any:
        app.verify(app.Key("k_1"))
        tasks: list[asyncio.Task[None]] = []
        inner = partial(app.require_later, "workspace:delete", PermissionError(), lambda: rows.append(app.record("in")))
        await app.outer_later(lambda: tasks.append(asyncio.ensure_future(inner())))
        with suppress(PermissionError):
            await tasks[0]
        return app.record("delete")

    with recorder.request():
        outer, inner = decisions(asyncio.run(check()))
    assert decisions(rows[0]) == [outer, {"required": ["workspace:delete"]}]
    assert outer["outcome"] == "granted"
    assert (inner["outcome"], inner["missing"]) == ("denied", ["workspace:delete"])
    assert recorder.count("keyaudit.decisions") == 2


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize(("error", "outcome"), [(None, "granted"), (PermissionError(), "denied")])
@pytest.mark.parametrize("is_nested", [False, True])
def test_check_that_returns_a_future(
    recorder: Recorder, app: Any, is_done: bool, error: Exception | None, outcome: str, is_nested: bool
) -> None:
    """The Future decides, alone and inside a check that passes it on, also if it is done when it is returned."""
    instrument(recorder, app, "require_in_future", "outer_in_future")

    async def check() -> Any:
        app.verify(app.Key("k_1"))
        require = partial(app.require_in_future, "workspace:read", error, is_done)
        with suppress(PermissionError):
            await (app.outer_in_future(require) if is_nested else require())
        return app.record("read")

    with recorder.request():
        (decision,) = decisions(asyncio.run(check()))
    assert (decision["required"], decision["outcome"]) == (["workspace:read"], outcome)
    assert recorder.count("keyaudit.decisions") == 1


class StatusError(Exception):
    """Cannot be asked for its HTTP status."""

    @property
    def status_code(self) -> int:
        raise KeyError("status_code")


class Nameless(type):
    """A metaclass whose classes cannot be asked for their names."""

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise KeyError("module")


@pytest.mark.parametrize("error", [StatusError(), Nameless("Odd", (Exception,), {})()], ids=["status", "name"])
def test_exception_that_cannot_be_read_is_an_error(recorder: Recorder, app: Any, error: Exception) -> None:
    """The failure to read it is counted, and so is the decision."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(app.require, "workspace:read", None, None, error)
        (decision,) = decisions(app.record("read"))
    assert (decision["outcome"], decision["required"]) == ("error", ["workspace:read"])
    assert recorder.count("keyaudit.decisions") == 1
    assert recorder.errors() == {("decision", "KeyError"): 1}


@pytest.mark.parametrize(
    "arguments", [{"permission": "s3cret-0123456789"}, {"permission": ["a:b", "x s3cret-0123456789"]},
                  {"permission": "a:b", "resource_type": "order", "resource_id": "s3cret-0123456789"}],
)  # fmt: skip
def test_credential_is_no_permission_and_no_resource(
    recorder: Recorder, load_module: LoadModule, arguments: dict[str, Any]
) -> None:
    """A value that contains the presented credential is unknown and counted, and the decision is recorded."""
    app = load_module(APP.replace("def verify(key)", "def verify(key, token=None)"))
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1"), token="s3cret-0123456789")
        app.require(**arguments)
        row = app.record("read")
    assert decisions(row)[0]["outcome"] == "granted"
    assert "s3cret" not in repr(row) + repr(recorder.server_span())
    assert recorder.errors() == {("decision", "otel_keyaudit.errors.CredentialError"): 1}


def test_cancelled_check_is_no_decision(recorder: Recorder, app: Any) -> None:
    """A cancellation has no outcome and is not counted."""
    instrument(recorder, app, "require_later")
    with recorder.request(), pytest.raises(asyncio.CancelledError):
        asyncio.run(app.require_later("a:b", asyncio.CancelledError()))
    assert recorder.count("keyaudit.decisions") == 0


@pytest.mark.parametrize(
    ("answer", "outcome"), [(True, "granted"), (None, "granted"), (0, "granted"), (False, "denied")]
)
def test_outcome_of_a_result(recorder: Recorder, app: Any, answer: object, outcome: str) -> None:
    """Only ``False`` denies by default."""
    instrument(recorder, app, "ask")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.ask(["workspace:read"], answer)
        assert decisions(app.record("read"))[0]["outcome"] == outcome


def test_only_the_outermost_check_decides(recorder: Recorder, app: Any) -> None:
    """Without its own requirement it takes those of inner checks, except of one with the opposite outcome."""
    instrument(recorder, app, "outer", "require", "ask")
    with recorder.request():
        app.verify(app.Key("k_1"))

        def either() -> None:
            app.ask(["workspace:delete"], False)
            app.require("workspace:read")

        app.outer(either)
        refused(app.outer, either, app.Forbidden())
        granted, denied = decisions(app.record("read"))
    assert (granted["required"], granted["outcome"]) == (["workspace:read"], "granted")
    assert (denied["required"], denied["outcome"]) == (["workspace:delete", "workspace:read"], "denied")
    assert recorder.count("keyaudit.decisions") == 2


def test_own_requirement_ignores_those_inside(recorder: Recorder, app: Any) -> None:
    """A check with its own requirement ignores the requirements of inner checks."""
    instrument(recorder, app, "outer_with", "require")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.outer_with("workspace:read", lambda: app.require("workspace:delete"))
        assert decisions(app.record("read"))[0]["required"] == ["workspace:read"]


@pytest.mark.parametrize("name", ["guarding", "guarding_later"])
def test_generator_has_granted_when_it_yields(recorder: Recorder, app: Any, name: str) -> None:
    """Code between its steps, such as the endpoint of a dependency, is outside: its failure and its checks are so."""
    instrument(recorder, app, name, "require")
    rows = []

    async def use(*args: Any) -> None:
        manage = contextmanager if name == "guarding" else asynccontextmanager
        async with AsyncExitStack() as stack:
            manager = manage(getattr(app, name))(*args)
            if isinstance(manager, AbstractContextManager):
                stack.enter_context(manager)
            else:
                await stack.enter_async_context(manager)
            rows.append(app.record("read"))
            app.require("workspace:delete")
            raise app.Forbidden

    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(asyncio.run, use("workspace:read"))
        refused(asyncio.run, use("workspace:update", app.Forbidden()))
        rows.append(app.record("read"))

    granted = {"required": ["workspace:read"], "outcome": "granted", "cause": "scope", "scopes": ["workspace:read"]}
    assert decisions(rows[0]) == [granted]
    outcomes = [(one["required"], one["outcome"]) for one in decisions(rows[1])]
    assert outcomes[1:] == [(["workspace:delete"], "granted"), (["workspace:update"], "denied")]
    assert recorder.count("keyaudit.decisions") == 3


def test_function_that_runs_after_the_decision_is_no_check(recorder: Recorder, app: Any) -> None:
    """Its decision is there when it runs. Checks inside it are decisions of their own, and its failure denies none."""
    name, inside = app.__name__, []
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        audit_targets=[f"{name}:record"],
        authz_targets=[DecidedTarget(f"{name}:outer_with", required="args.permission"), f"{name}:require"],
    )

    def serve() -> None:
        app.require("workspace:delete")
        inside.extend(decisions(app.record("read")))
        raise app.Forbidden

    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(app.outer_with, "workspace:read", serve)

    assert [(one["required"], one["outcome"], one["cause"]) for one in inside] == [
        (["workspace:read"], "granted", "scope"),
        (["workspace:delete"], "granted", "unknown"),
    ]
    assert recorder.count("keyaudit.decisions") == 2


def test_decision_of_a_function_with_two_targets_counts_once(recorder: Recorder, app: Any) -> None:
    """The second target is asked only if the first, whose condition needs the result, does not observe the call."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        authz_targets=[f"{name}:ask?when=return", DecidedTarget(f"{name}:ask", required="args.permissions")],
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.ask(["workspace:read"], True)
    assert recorder.count("keyaudit.decisions") == 1


def test_part_counts_only_inside_another_check(recorder: Recorder, app: Any) -> None:
    """A condition may ask whether a check has parts, which count whatever they answered."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        audit_targets=[f"{name}:record"],
        authz_targets=[
            AuthzTarget(f"{name}:outer", when=lambda check: check.has_inner),
            PartTarget(f"{name}:ask", granted="return"),
        ],
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.ask(["workspace:update"], False)
        app.outer(bool)
        assert recorder.count("keyaudit.decisions") == 0
        app.outer(lambda: app.ask(["workspace:read"], True))
        refused(app.outer, lambda: app.ask([], False), app.Forbidden())
        granted, denied = decisions(app.record("read"))

    assert (granted["required"], granted["outcome"]) == (["workspace:read"], "granted")
    assert denied["outcome"] == "denied"
    assert "required" not in denied


def test_row_inside_a_part_that_is_in_no_check_has_no_decision(recorder: Recorder, app: Any) -> None:
    """Inside a check, the requirement of the open part is shown."""
    name, rows = app.__name__, []
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        audit_targets=[f"{name}:record"],
        authz_targets=[f"{name}:outer", PartTarget(f"{name}:outer_with", required="args.permission")],
    )

    def part() -> None:
        app.outer_with("workspace:read", lambda: rows.append(app.record("read")))

    with recorder.request():
        app.verify(app.Key("k_1"))
        part()
        app.outer(part)

    assert "decisions" not in rows[0]["request_api_key"]
    assert decisions(rows[1]) == [{"required": ["workspace:read"]}]


def test_part_that_raises_outside_of_a_check_is_no_decision(recorder: Recorder, app: Any) -> None:
    """The exception decides nothing, as a result decides nothing."""
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        authz_targets=[f"{app.__name__}:outer?when=return", PartTarget(f"{app.__name__}:require")],
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        refused(app.require, "workspace:read", None, None, app.Forbidden())
        app.outer(lambda: app.require("workspace:read"))
    assert recorder.count("keyaudit.decisions") == 0


def test_requirement_function_is_no_check(recorder: Recorder, app: Any) -> None:
    """A target whose ``required`` reads its result supplies the requirement of the check around it."""
    instrument(recorder, app, "outer", "needed?required=return")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.outer(app.needed)
        app.needed()
        assert decisions(app.record("read"))[0]["required"] == ["workspace:update"]
    assert recorder.count("keyaudit.decisions") == 1


def test_row_inside_a_check_shows_it_without_a_cause(recorder: Recorder, app: Any) -> None:
    """The cause is unknown while the check runs, unless the row itself counts as failed."""
    instrument(recorder, app, "check_and_write")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.check_and_write("workspace:delete", "denied")
        app.check_and_write("workspace:read", "ok")
    assert [decisions(row)[-1] for row in app.ROWS] == [
        {"required": ["workspace:delete"], "outcome": "denied"},
        {"required": ["workspace:read"]},
    ]


@pytest.mark.parametrize("name", ["write_checked", "write_checked_later", "build_checked"])
def test_row_of_a_function_that_is_a_check_shows_it(recorder: Recorder, app: Any, name: str) -> None:
    """The write is inside the check of the same call, whose outcome is known only at the end."""
    path = f"{app.__name__}:{name}"
    fields = "?fields=return" if name == "build_checked" else ""
    recorder.instrument(auth_targets=f"{app.__name__}:verify", authz_targets=path, audit_targets=f"{path}{fields}")

    def write(permission: str, outcome: str | None) -> Any:
        made = getattr(app, name)(permission, {}, outcome)
        return asyncio.run(made) if asyncio.iscoroutine(made) else made

    with recorder.request():
        app.verify(app.Key("k_1"))
        rows = [write("workspace:read", None), write("workspace:delete", "failed")]
    first, second = ({"required": ["workspace:read"]}, {"required": ["workspace:delete"], "outcome": "denied"})
    granted = {"required": ["workspace:read"], "outcome": "granted", "cause": "scope", "scopes": ["workspace:read"]}
    assert [decisions(row) for row in rows] == [[first], [granted, second]]
    assert recorder.writes()["attributed"] == 2
    assert recorder.count("keyaudit.decisions") == 2


def test_row_inside_several_checks_has_all_requirements(recorder: Recorder, app: Any) -> None:
    """The outermost check takes the requirement of an open check too, unless it has its own."""
    instrument(recorder, app, "outer", "outer_with", "check_and_write", "ask")

    def two() -> None:
        app.ask(["workspace:read"], True)
        app.check_and_write("workspace:delete", "denied")

    with recorder.request():
        app.verify(app.Key("k_1"))
        app.outer(lambda: app.outer(two))
        app.outer_with("template:use", two)
        app.outer(lambda: app.outer_with("template:use", two))
    assert [decisions(row)[-1]["required"] for row in app.ROWS] == [
        ["workspace:read", "workspace:delete"],
        ["template:use"],
        ["template:use"],
    ]


def test_row_inside_a_check_outside_of_a_request_has_no_decision(recorder: Recorder, app: Any) -> None:
    """``use_key`` names a key, but a decision outside of a request, or after its end, is in no row."""
    instrument(recorder, app, "check_and_write")

    def write_with_a_key() -> None:
        with use_key(ApiKey("k_1")):
            app.check_and_write("workspace:read", "ok")

    write_with_a_key()
    with recorder.request():
        app.verify(app.Key("k_1"))
        later = copy_context()
        later.run(write_with_a_key)
    later.run(write_with_a_key)
    assert "decisions" not in app.ROWS[0]["request_api_key"]
    inside, after = map(decisions, app.ROWS[1:])
    assert inside == [{"required": ["workspace:read"]}]
    assert [one["outcome"] for one in after] == ["granted"]  # of the request's own decision


def test_request_inside_a_check_has_its_own_decisions(recorder: Recorder, app: Any) -> None:
    """A check that sends a request in the same process decides for its own request only."""
    instrument(recorder, app, "outer", "outer_with", "require", "check_and_write")

    def send_request() -> None:
        with recorder.request():
            app.verify(app.Key("k_inner"))
            app.record("before")
            app.outer(partial(app.require, "workspace:read"))
            app.check_and_write("workspace:delete", "ok")

    with recorder.request():
        app.verify(app.Key("k_outer"))
        app.outer_with("workspace:create", send_request)
        app.record("after")
    before, inside, after = (row["request_api_key"] for row in app.ROWS)
    assert "decisions" not in before
    assert [one["required"] for one in inside["decisions"]] == [["workspace:read"], ["workspace:delete"]]
    assert [one["required"] for one in after["decisions"]] == [["workspace:create"]]
    required = [keyaudit_attributes(span)["keyaudit.decision.required"] for span in recorder.server_spans()]
    assert required == [("workspace:delete",), ("workspace:create",)]
    assert recorder.count("keyaudit.decisions") == 3


def test_key_refused_in_a_request_inside_a_check_explains_nothing(recorder: Recorder, app: Any) -> None:
    """The key of another request is not named beside the decision."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:authenticate_and_check", f"{name}:verify"], authz_targets=[f"{name}:outer"]
    )

    def send_request() -> None:
        with recorder.request():
            refused(app.authenticate_and_check, app.Key("k_inner"), "workspace:delete")

    with recorder.request():
        app.outer(send_request)
    inner, outer = map(keyaudit_attributes, recorder.server_spans())
    assert inner["keyaudit.denied.key.id"] == "k_inner"
    assert outer == {}


def test_row_inside_a_requirement_function_does_not_ask_for_its_result(recorder: Recorder, app: Any) -> None:
    """The function has no result yet, and nothing is counted as unreadable."""
    instrument(recorder, app, "outer", "check_and_write?required=return")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.outer(lambda: app.check_and_write("workspace:delete", "denied"))
    assert decisions(app.ROWS[0])[-1] == {"outcome": "denied"}
    assert recorder.errors() == {}


def test_denial_is_explained_with_the_key_that_it_withdrew(recorder: Recorder, app: Any) -> None:
    """The key that a function refused explains its decision, on the server span too."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify", f"{name}:authenticate_and_check"],
        authz_targets=[f"{name}:authenticate_and_check"],
    )
    with recorder.request():
        refused(app.authenticate_and_check, app.Key("k_1"), "workspace:delete")
    shown = recorder.server_span()
    assert shown["keyaudit.denied.key.id"] == "k_1"
    assert (shown["keyaudit.decision.outcome"], shown["keyaudit.decision.cause"]) == ("denied", "scope")


def test_without_a_key_only_the_counter_knows(recorder: Recorder, app: Any) -> None:
    """Without a key the decision is on no span and in no row."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.require("workspace:read")
        assert app.record("read") is None
    assert recorder.server_span() == {}
    assert recorder.count("keyaudit.decisions", {"keyaudit.decision.cause": "unknown"}) == 1


def test_at_most_eight_decisions_and_denials_stay(recorder: Recorder, app: Any) -> None:
    """Each distinct decision is kept once, a new denial replaces the oldest grant, and the count is exact."""
    instrument(recorder, app, "require")
    with recorder.request():
        app.verify(app.Key("k_1", ["*"]))
        for number in range(10):
            app.require(f"a:{number}")
        refused(app.require, "z:z", None, None, app.Forbidden())
        member = app.record("read")["request_api_key"]
    assert [one["required"][0] for one in member["decisions"]] == [*(f"a:{number}" for number in range(1, 8)), "z:z"]
    assert member["decisions_count"] == 11


def test_refusal_makes_the_row_full(recorder: Recorder, app: Any) -> None:
    """With ``on_change``, a row after a denied decision is full, and the server span has the lists."""
    instrument(recorder, app, "require", sampler="on_change")
    with recorder.request(), use_key(ApiKey("k_1", scopes=["a:b"])):
        app.record("read")
    with recorder.request():
        app.verify(app.Key("k_2"))
        app.record("read")
    with recorder.request():
        app.verify(app.Key("k_2"))
        assert app.record("read")["request_api_key"]["detail"] == "minimal"
        refused(app.require, "workspace:delete", None, None, app.Forbidden())
        assert app.record("read")["request_api_key"]["detail"] == "full"
    assert "keyaudit.key.scopes" in keyaudit_attributes(recorder.spans[-1])


def test_any_of_and_granted_by_something_else(recorder: Recorder, app: Any, tmp_path: Path) -> None:
    """With ``any_of`` one permission is enough; a grant beyond the scopes is ``other`` with a full catalog."""
    catalog = tmp_path / "scopes.json"
    catalog.write_text(json.dumps({"version": "1", "resources": {"workspace": ["read", "delete"]}}))
    target = AuthzTarget(f"{app.__name__}:ask", any_of=lambda call: True)
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"],
        audit_targets=[f"{app.__name__}:record"],
        authz_targets=[target, f"{app.__name__}:require"],
        scope_catalog=str(catalog),
    )
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.ask(["workspace:read", "workspace:delete"], True)
        app.require("workspace:delete")
        first, second = decisions(app.record("read"))
    assert (first["cause"], first["scopes"]) == ("scope", ["workspace:read"])
    assert (second["outcome"], second["cause"], second["missing"]) == ("granted", "other", ["workspace:delete"])


def test_factory_as_a_check_is_wrong(recorder: Recorder, app: Any) -> None:
    """A factory decides nothing, so the reason names the function that checks."""
    instrument(recorder, app, "scoped")
    app.scoped("a:b")
    status = next(one for one in KeyAuditInstrumentor().status() if one.kind == "authz")
    assert status.state == "wrong"
    assert f"{app.__name__}:scoped.<locals>.check" in status.reason
    assert recorder.count("keyaudit.decisions") == 0


@pytest.mark.parametrize("name", ["managed", "managed_later", "Guard.method"])
def test_function_that_returns_a_context_manager_is_wrong(
    recorder: Recorder, load_module: LoadModule, name: str
) -> None:
    """No authentication and no decision is counted, and the target in the reason observes the check."""
    app = load_module(
        APP
        + """
import contextlib

@contextlib.contextmanager
def managed(key, permission):
    yield key

@contextlib.asynccontextmanager
async def managed_later(key, permission):
    yield key

class Guard:
    @contextlib.contextmanager
    def method(self, key, permission):
        yield key
"""
    )
    module = app.__name__
    made = {"managed": app.managed, "managed_later": app.managed_later, "Guard.method": app.Guard().method}[name]

    def enter(target: str) -> Any:
        recorder.instrument(
            auth_targets=[target], authz_targets=[target], audit_targets=[f"{module}:record"], presets=[]
        )

        async def use() -> None:
            manager = made(app.Key("k_1"), "workspace:read")
            if name == "managed_later":
                async with manager:
                    pass
            else:
                with manager:
                    pass

        with recorder.request():
            asyncio.run(use())
            row = app.record("read")
        reasons = {status.reason for status in KeyAuditInstrumentor().status() if status.target == target}
        recorder.uninstrument()
        return row, reasons

    row, (reason,) = enter(f"{module}:{name}")
    assert not row
    assert reason == f"it returns a context manager and checks nothing itself; use {module}:{name}.__wrapped__"
    assert recorder.count("keyaudit.decisions") == recorder.authentications()["accepted"] == 0
    row, _ = enter(f"{module}:{name}.__wrapped__")
    assert decisions(row)[0]["required"] == ["workspace:read"]
    assert row["request_api_key"]["id"] == "k_1"


def test_closure_of_a_factory_is_a_check(recorder: Recorder, app: Any) -> None:
    """A requirement in a free variable is read, also for a function that was made before."""
    source = "def scoped(scope):\n    def check(user):\n        return scope\n    return check\n"
    exec(compile(source, app.__file__, "exec"), vars(app))  # noqa: S102 - the factory of this test
    check = app.scoped("workspace:read")
    instrument(recorder, app, "scoped.<locals>.check?required=closure.scope")
    with recorder.request():
        app.verify(app.Key("k_1"))
        check("u_1")
        assert decisions(app.record("read"))[0]["required"] == ["workspace:read"]
