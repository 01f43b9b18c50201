"""Event fields, ``when`` and the sampler of an audit target, also when only the result or the exception tells."""

import asyncio
from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuditEvent, AuditTarget, Detail, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule

APP = """
import asyncio
from concurrent.futures import Future

ROWS = []

class Answer:
    def __init__(self, status, verb="create"):
        self.status = status
        self.verb = verb

def record(action, additional_fields=None, outcome=None):
    if isinstance(outcome, BaseException):
        raise outcome
    ROWS.append(additional_fields)
    return outcome

def build(action, status=200):
    if isinstance(status, BaseException):
        raise status
    return {"action": action, "status": status}

async def abuild(action):
    return {"action": action}

async def as_task(action):
    return await asyncio.ensure_future(abuild_later(action))

def abuild_later(action):
    return asyncio.get_running_loop().create_task(later(action))

async def later(action):
    return {"action": action}

async def as_generator(action):
    return list(generate(action))[0]

def generate(action):
    yield {"action": action}

async def as_async_generator(action):
    return [row async for row in agenerate(action)][0]

async def agenerate(action):
    yield {"action": action}

async def as_done(action):
    return done(action).result()

def done(action):
    future = Future()
    future.set_result({"action": action})
    return future

def typed(action):
    return Answer(200)
"""
KEY = ApiKey("k_1", scopes=["a:read"])


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose writes return or raise their outcome."""
    return load_module(APP)


def shown(recorder: Recorder) -> dict[str, Any]:
    """Return the library's attributes of the only audit span."""
    (span,) = recorder.audit_spans()
    return keyaudit_attributes(span)


def test_an_outcome_of_the_result_is_shown(recorder: Recorder, app: Any) -> None:
    """The outcome is on the audit span, after the row's detail was chosen."""
    target = f"{app.__name__}:record?outcome=return.status"
    recorder.instrument(audit_targets=[target], sampler="actions", sampler_arg="delete")
    with use_key(KEY):
        app.record("create", {}, app.Answer(500))
    assert shown(recorder)["keyaudit.audit.outcome"] == "500"
    assert app.ROWS[0]["request_api_key"]["detail"] == "minimal"


def test_an_outcome_of_the_exception_is_shown(recorder: Recorder, app: Any) -> None:
    """An outcome can depend on whether the write raised."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?outcome=exc|if:failure,success"])
    app.record("create", {})
    with pytest.raises(LookupError):
        app.record("create", {}, LookupError())
    outcomes = [keyaudit_attributes(span)["keyaudit.audit.outcome"] for span in recorder.audit_spans()]
    assert outcomes == ["success", "failure"]


def test_an_outcome_function_sees_how_the_write_ended(recorder: Recorder, app: Any) -> None:
    """A function of the user derives the outcome from the exception."""
    target = AuditTarget(f"{app.__name__}:record", outcome=lambda call: "failed" if call.exc else "success")
    recorder.instrument(audit_targets=[target])
    with pytest.raises(LookupError):
        app.record("create", {}, LookupError())
    assert shown(recorder)["keyaudit.audit.outcome"] == "failed"


def test_an_outcome_function_may_need_the_result(recorder: Recorder, app: Any) -> None:
    """A function that needs the result is not a failure before the write."""
    target = AuditTarget(f"{app.__name__}:record", outcome=lambda call: call.result.status)
    recorder.instrument(audit_targets=[target])
    app.record("create", {}, app.Answer(204))
    assert shown(recorder)["keyaudit.audit.outcome"] == "204"
    assert recorder.errors() == {}


def test_an_outcome_function_of_the_arguments_chooses_the_detail(recorder: Recorder, app: Any) -> None:
    """If it finds a failure in the arguments, the row is full."""
    target = AuditTarget(f"{app.__name__}:record", outcome=lambda call: call.args["outcome"])
    recorder.instrument(audit_targets=[target], sampler="actions", sampler_arg="delete")
    with use_key(KEY):
        app.record("create", {}, "denied")
    assert app.ROWS[0]["request_api_key"]["detail"] == "full"


def test_action_of_the_result_names_the_audit_span(recorder: Recorder, app: Any) -> None:
    """The action is set on the span at its end if only the result has it."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?action=return.verb"])
    with recorder.request():
        app.record("x", {}, app.Answer(200, "delete"))
    assert recorder.audit_spans()[0].name == "audit delete"
    assert recorder.server_span() == {}


def test_an_action_of_the_result_needs_no_audit_span(recorder: Recorder, app: Any) -> None:
    """Without an audit span the action is on the server span."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?action=return.verb"], audit_spans=False)
    with recorder.request():
        app.record("x", {}, app.Answer(200, "delete"))
    assert recorder.audit_spans() == []
    assert recorder.server_span() == {"keyaudit.action": "delete"}


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [
        (False, "full"), (400, "full"), (599, "full"), ("DENIED", "full"), ("Failed", "full"), ("failure", "full"),
        ("error", "full"), (True, "minimal"), (399, "minimal"), ("success", "minimal"), (None, "minimal"),
        ("errors", "minimal"), (0, "minimal"), (399.9, "minimal"), (400.0, "full"),
    ],
)  # fmt: skip
def test_a_failed_outcome_makes_the_row_full(recorder: Recorder, app: Any, outcome: object, detail: str) -> None:
    """A failed outcome is always full, whatever the action."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler="actions", sampler_arg="delete")
    with use_key(KEY):
        app.record("create", {}, outcome)
    assert app.ROWS[0]["request_api_key"]["detail"] == detail


def test_a_builder_returns_a_copy_with_the_key(recorder: Recorder, app: Any) -> None:
    """With ``fields=return`` the key is merged into a copy of the result."""
    recorder.instrument(audit_targets=[f"{app.__name__}:build?fields=return"])
    with use_key(KEY):
        row = app.build("create")
    assert row["status"] == 200
    assert row["request_api_key"]["id"] == "k_1"
    assert row["request_api_key"]["span_id"] == f"{recorder.audit_spans()[0].context.span_id:016x}"


def test_a_coroutine_builds_fields(recorder: Recorder, app: Any) -> None:
    """An asynchronous function builds fields as well."""
    recorder.instrument(audit_targets=[f"{app.__name__}:abuild?fields=return"])
    with use_key(KEY):
        row = asyncio.run(app.abuild("create"))
    assert row["request_api_key"]["id"] == "k_1"


@pytest.mark.parametrize(
    ("use", "target"),
    [
        ("as_task", "abuild_later"),
        ("as_done", "done"),
        ("as_generator", "generate"),
        ("as_async_generator", "agenerate"),
    ],
)
@pytest.mark.parametrize("place", ["fields=return", "fields=none&id_to=return.key_id"])
def test_result_that_the_caller_already_has(recorder: Recorder, app: Any, use: str, target: str, place: str) -> None:
    """A result in a Future or from a generator cannot be replaced, so the write counts as failed."""
    recorder.instrument(audit_targets=[f"{app.__name__}:{target}?{place}"])
    with use_key(KEY):
        assert asyncio.run(getattr(app, use)("create")) == {"action": "create"}
    assert recorder.writes()["failed"] == sum(recorder.writes().values()) == 1
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 1}


def test_the_result_of_a_builder_chooses_its_detail(recorder: Recorder, app: Any) -> None:
    """Action and outcome of the result choose the detail, and are on both spans."""
    target = f"{app.__name__}:build?fields=return&action=return.action&outcome=return.status"
    recorder.instrument(audit_targets=[target], sampler="actions", sampler_arg="delete")
    with recorder.request(), use_key(KEY):
        details = [
            app.build(*args)["request_api_key"]["detail"] for args in (("create",), ("create", 500), ("delete",))
        ]
    assert details == ["minimal", "full", "full"]
    assert [span.name for span in recorder.audit_spans()] == ["audit create", "audit create", "audit delete"]


def test_a_builder_that_raises_is_a_failed_write(recorder: Recorder, app: Any) -> None:
    """There was a key, and there is no row that could receive it."""
    recorder.instrument(audit_targets=[f"{app.__name__}:build?fields=return&outcome=exc|if:failed,ok"])
    with use_key(KEY), pytest.raises(LookupError):
        app.build("create", LookupError())
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 1}
    assert shown(recorder)["keyaudit.audit.outcome"] == "failed"


@pytest.mark.parametrize(
    ("when", "failed"),
    [
        (lambda call: call.args["action"] == "create", 1),
        (lambda call: call.args["action"] == "delete", 0),
        (lambda call: call.result["status"] == 200, 1),
    ],
    ids=["it is meant", "it is not", "only a result would tell"],
)
def test_a_when_function_decides_about_a_builder_that_raises(
    recorder: Recorder, app: Any, when: Any, failed: int
) -> None:
    """The function decides without the result if it can; otherwise the call counts, without a failure."""
    recorder.instrument(audit_targets=[AuditTarget(f"{app.__name__}:build", fields="return", when=when)])
    with use_key(KEY), pytest.raises(LookupError):
        app.build("create", LookupError())
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": failed}
    assert len(recorder.audit_spans()) == failed
    assert recorder.errors() == {}


def test_a_builder_of_something_else_is_untouched(recorder: Recorder, app: Any) -> None:
    """An object that cannot receive members is returned itself."""
    recorder.instrument(audit_targets=[f"{app.__name__}:typed?fields=return"])
    with use_key(KEY):
        assert type(app.typed("create")) is app.Answer
    assert recorder.writes()["failed"] == 1
    assert len(recorder.errors()) == 1


def test_the_sampler_is_asked_once_for_both_keys(recorder: Recorder, app: Any) -> None:
    """The sampler is asked once per write with a key or a subject, and not at all otherwise."""
    events: list[AuditEvent] = []

    def sampler(event: AuditEvent) -> Detail:
        events.append(event)
        return Detail.MINIMAL

    subject = ApiKey("k_2")
    recorder.instrument(
        audit_targets=[f"{app.__name__}:record?subject=args.outcome&outcome=args.action"], sampler=sampler
    )
    app.record("create", {})
    app.record("create", {}, subject)
    with use_key(KEY):
        app.record("create", {}, subject)
    assert [(event.request_key, event.subject_key) for event in events] == [(None, subject), (KEY, subject)]
    assert app.ROWS[2]["api_key"]["detail"] == app.ROWS[2]["request_api_key"]["detail"] == "minimal"


@pytest.mark.parametrize("answer", ["full", None, True, object()])
def test_a_sampler_that_answers_something_else_means_full(recorder: Recorder, app: Any, answer: object) -> None:
    """Any other result than ``Detail.FULL`` and ``Detail.MINIMAL`` is a counted failure, and the row is full."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler=lambda event: answer)
    with use_key(KEY):
        app.record("create", {})
    assert app.ROWS[0]["request_api_key"]["detail"] == "full"
    assert [stage for stage, _ in recorder.errors()] == ["sampling"]


def test_a_sampler_that_cannot_be_loaded_means_full(recorder: Recorder, app: Any) -> None:
    """Its package exists but its module does not: every row is full, and each failure is counted."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler="email.nothing_here:sampler")
    with use_key(KEY):
        app.record("create", {})
        app.record("create", {})
    assert [row["request_api_key"]["detail"] for row in app.ROWS] == ["full", "full"]
    assert recorder.errors() == {("sampling", "ModuleNotFoundError"): 2}


@pytest.mark.parametrize("audit_spans", [True, False])
def test_on_change_writes_a_snapshot_in_full_once(recorder: Recorder, app: Any, audit_spans: bool) -> None:
    """The first row of a snapshot is full, the next rows refer to it, and another snapshot is full again."""
    targets = [f"{app.__name__}:record"]
    recorder.instrument(audit_targets=targets, sampler="on_change", audit_spans=audit_spans)
    for key in (KEY, KEY, KEY, ApiKey("k_1", scopes=["a:write"]), KEY):
        with use_key(key):
            app.record("create", {})
    details = [row["request_api_key"]["detail"] for row in app.ROWS]
    assert details == ["full", "minimal", "minimal", "full", "minimal"]


def test_on_change_counts_only_what_was_written(recorder: Recorder, app: Any) -> None:
    """After a row that could not receive its key, or whose write raised, the next row is full."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler="on_change")
    with use_key(KEY):
        app.record("create", ["no object"])
        with pytest.raises(LookupError):
            app.record("create", {}, LookupError())
        app.record("create", {})
        app.record("create", {})
    assert [row["request_api_key"]["detail"] for row in app.ROWS[1:]] == ["full", "minimal"]
    assert "sampling" not in [stage for stage, _ in recorder.errors()]


def test_an_excluded_audit_call_is_untouched(recorder: Recorder, app: Any) -> None:
    """``when`` excludes the call, so its fields are the caller's object and it has no span and no count."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?when=args.action|is:api.*"])
    fields: dict[str, object] = {}
    with recorder.request(), use_key(KEY):
        app.record("session.create", fields)
        app.record("api.create", fields)
    assert app.ROWS[0] is fields
    assert app.ROWS[1]["request_api_key"]["id"] == "k_1"
    assert len(recorder.audit_spans()) == 1
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}


def test_an_audit_when_that_cannot_be_read_is_counted(recorder: Recorder, app: Any) -> None:
    """The call passes through as if it were not a target, and is counted as degraded."""
    recorder.instrument(audit_targets=[f"{app.__name__}:record?when=args.action.kind"])
    app.record("create", {})
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.MissingError"): 1}
    assert sum(recorder.writes().values()) == 0


def test_a_when_of_the_result_passes_through_without_a_trace(recorder: Recorder, app: Any) -> None:
    """A call that ``when`` excludes by its result starts no span."""
    recorder.instrument(
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action|is:api.*"],
    )
    with recorder.request(), use_key(KEY):
        assert app.build("session.create") == {"action": "session.create", "status": 200}
        row = app.build("api.create")
    assert row["request_api_key"]["id"] == "k_1"
    assert [span.name for span in recorder.audit_spans()] == ["audit api.create"]
    assert row["request_api_key"]["span_id"] == f"{recorder.audit_spans()[0].context.span_id:016x}"
    assert recorder.writes()["attributed"] == 1
    assert sum(recorder.writes().values()) == 1


def test_a_builder_that_raises_counts_although_when_needs_its_result(recorder: Recorder, app: Any) -> None:
    """A ``when`` that needs the result counts as true after an exception, so the write is counted."""
    recorder.instrument(
        audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"],
    )
    with recorder.request(), use_key(KEY), pytest.raises(LookupError):
        app.build("create", LookupError())
    assert recorder.writes()["failed"] == 1
    assert (recorder.audit_spans()[0].attributes or {})["error.type"] == "LookupError"


def test_no_span_is_started_late_where_none_is_wanted(recorder: Recorder, app: Any) -> None:
    """Without audit spans no span starts, even if the call raises before ``when`` can decide."""
    recorder.instrument(audit_targets=[f"{app.__name__}:build?fields=return&when=return.action"], audit_spans=False)
    with use_key(KEY):
        assert app.build("api.create")["request_api_key"]["id"] == "k_1"
        with pytest.raises(LookupError):
            app.build("create", LookupError())
    assert recorder.audit_spans() == []


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["create"], "create"),
        (["create", "create"], "create"),
        (["create", "delete"], None),
        (["create", None], "create"),
        ([], None),
        ([None], None),
    ],
)
def test_event_of_a_list_of_rows_is_what_all_have_in_common(
    recorder: Recorder, shop: Any, actions: list[str | None], expected: str | None
) -> None:
    """A list is one write, so a field whose elements differ is unknown. Nothing is counted as unreadable."""
    name = shop.__name__
    rows: list[Any] = [{"action": action, "details": {}} for action in actions]
    target = f"{name}:record_all?fields=args.records[].details&action=args.records[].action"
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[target])
    with recorder.request():
        shop.verify({"id": "k_1"})
        shop.record_all(rows)
    (span,) = recorder.audit_spans()
    assert keyaudit_attributes(span).get("keyaudit.action") == expected
    assert span.name == ("audit" if expected is None else f"audit {expected}")
    assert recorder.degraded() == {}


def test_element_of_another_kind_is_refused(recorder: Recorder, shop: Any) -> None:
    """The common value must be a string, like the value of a single row."""
    name = shop.__name__
    target = f"{name}:record_all?fields=args.records[].details&action=args.records[].action"
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[target])
    with recorder.request():
        shop.verify({"id": "k_1"})
        shop.record_all([{"action": {"a": 1}, "details": {}}])
    assert recorder.degraded() == {"audit": 1}
