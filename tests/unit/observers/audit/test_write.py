"""A call that writes an audit row: the row that it receives, and how the write is counted."""

import json
import threading
from collections import UserDict
from contextvars import copy_context
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from otel_keyaudit import ApiKey, AuditTarget, current_key, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule


class Event:
    def __init__(self, verb: str) -> None:
        self.verb = verb


def write(event: Event, fields: Any) -> Any:
    """Write an audit row about an event."""
    return fields


def test_a_row_has_the_whole_snapshot(recorder: Recorder, shop: Any) -> None:
    """With the default sampler a row has every member of the key, and the ids of its span."""
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        assert shop.record("create", {"a": 1}) is shop.ROWS[0]
    (span,) = recorder.audit_spans()
    key = ApiKey("k_1", "ci-bot", ["a:read", "a:write"], ["a:1"])
    rows: list[object] = shop.ROWS
    assert rows == [
        {
            "a": 1,
            "request_api_key": {
                "id": "k_1",
                "name": "ci-bot",
                "digest": key.digest,
                "detail": "full",
                "scopes": ["a:read", "a:write"],
                "allow_list": ["a:1"],
                "trace_id": f"{span.context.trace_id:032x}",
                "span_id": f"{span.context.span_id:016x}",
            },
        }
    ]


def test_a_minimal_row_has_six_members(recorder: Recorder, shop: Any) -> None:
    """A minimal row refers to the whole snapshot by its digest."""
    shop.instrument(recorder, sampler="always_minimal")
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create", {})
    assert list(shop.ROWS[0]["request_api_key"]) == ["id", "name", "digest", "detail", "trace_id", "span_id"]
    assert shop.ROWS[0]["request_api_key"]["detail"] == "minimal"


def test_without_a_key_nothing_is_added(recorder: Recorder, shop: Any) -> None:
    """The writer gets the caller's own object."""
    shop.instrument(recorder)
    fields = {"a": 1}
    with recorder.request():
        shop.verify(None)
        shop.record("create", fields)
    assert shop.ROWS[0] is fields
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 1, "failed": 0}


def test_outside_of_a_request_nothing_is_attributed(recorder: Recorder, shop: Any) -> None:
    """Without a request only a key that is set by hand is attributed."""
    shop.instrument(recorder)
    shop.verify(shop.ci_bot("k_1"))
    shop.record("create", {})
    with use_key(ApiKey("k_2")):
        shop.record("create", {})
    assert shop.ROWS[0] == {}
    assert shop.ROWS[1]["request_api_key"]["id"] == "k_2"


def test_two_keys_are_ambiguous(recorder: Recorder, shop: Any) -> None:
    """The row has both ids and chooses neither."""
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.verify(shop.ci_bot("k_2"))
        shop.record("create", {})
    member = shop.ROWS[0]["request_api_key"]
    assert list(member) == ["ambiguous", "ids", "trace_id", "span_id"]
    assert member["ids"] == ["k_1", "k_2"]
    assert recorder.writes()["ambiguous"] == 1


def test_fields_that_cannot_be_changed_are_untouched(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything but an object stays as it is, is counted and logged once, and is written."""
    shop.instrument(recorder)
    fields = ["not", "an", "object"]
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create", fields)
        shop.record("create", fields)
    assert len(shop.ROWS) == 2
    assert shop.ROWS[0] is shop.ROWS[1] is fields
    assert fields == ["not", "an", "object"]
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 2}
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 2}
    assert len(caplog.records) == 1
    assert caplog.records[0].levelname == "WARNING"


def test_a_forged_member_is_kept_aside(recorder: Recorder, shop: Any) -> None:
    """A client's own member of the reserved name keeps its value under another name and is counted."""
    shop.instrument(recorder)
    shop.record("create", {"request_api_key": {"id": "forged"}})
    assert shop.ROWS == [{"request_api_key_unverified": {"id": "forged"}}]
    assert recorder.errors() == {("collision", "otel_keyaudit.errors.CollisionError"): 1}


def test_an_unreadable_audit_field_is_counted_once(recorder: Recorder, shop: Any) -> None:
    """Two unreadable fields are one degraded call, and the row has its key."""
    audit = f"{__name__}:write?fields=args.fields&action=args.event.action&resource_id=args.event.target"
    shop.instrument(recorder, audit_targets=[audit])
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        row = write(Event("create"), {})
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.MissingError"): 1}
    assert row["request_api_key"]["id"] == "k_1"
    assert recorder.audit_spans()[0].name == "audit"


def test_a_field_may_be_a_function(recorder: Recorder) -> None:
    """A typed target takes functions, which receive the call."""
    target = AuditTarget(
        f"{__name__}:write", fields="args.fields", action=lambda call: f"event.{call.args['event'].verb}"
    )
    recorder.instrument(audit_targets=[target])
    write(Event("create"), {})
    assert recorder.audit_spans()[0].name == "audit event.create"


def test_an_action_that_is_no_text_is_refused(recorder: Recorder, shop: Any) -> None:
    """An object as the action is never converted to a string."""
    shop.instrument(recorder)
    shop.record(object(), {})
    assert recorder.audit_spans()[0].name == "audit"
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.UnreadableError"): 1}


def test_a_write_after_the_end_of_its_request(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The row gets no key, counts as failed, and is logged once with the remedy."""
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        context = copy_context()
        key = current_key()
    for _ in range(2):
        context.run(shop.record, "late", {})
    assert shop.ROWS == [{}, {}]
    assert recorder.writes()["failed"] == 2
    (record,) = caplog.records
    assert record.getMessage() == (
        f"keyaudit: {shop.__name__}:record was called after the end of the request in which it was started, so its row "
        "names no key; put `with use_key(current_key()):` around work that outlives its request"
    )
    with use_key(key):
        context.run(shop.record, "late", {})
        shop.record("late", {})
    assert shop.ROWS[3]["request_api_key"]["id"] == "k_1"


def test_a_thread_that_inherits_the_context_writes_for_its_request(recorder: Recorder, shop: Any) -> None:
    """A worker thread in a copy of the context writes rows of its request."""
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        thread = threading.Thread(target=copy_context().run, args=(shop.record, "create", {}))
        thread.start()
        thread.join()
    assert shop.ROWS[0]["request_api_key"]["id"] == "k_1"


def test_a_row_does_not_depend_on_trace_sampling(shop: Any) -> None:
    """A dropped trace has ids, which the row names, and nothing is exported."""
    recorder = Recorder(strict=False, keep_rows=False, trace_sampler=ALWAYS_OFF)
    shop.instrument(recorder)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create", {})
    member = shop.ROWS[0]["request_api_key"]
    assert member["detail"] == "full"
    assert len(member["trace_id"]) == 32
    assert len(member["span_id"]) == 16
    assert recorder.spans == []


def test_a_row_without_any_span_has_no_location(recorder: Recorder, shop: Any) -> None:
    """Without a span the row has no trace ids."""
    shop.instrument(recorder, tracer_provider=NoOpTracerProvider())
    with use_key(ApiKey("k_1")):
        shop.record("create", {})
    assert shop.ROWS[0]["request_api_key"].keys() == {"id", "digest", "detail"}


def test_without_audit_spans_a_row_names_the_server_span(recorder: Recorder, shop: Any) -> None:
    """The row has the ids of the server span."""
    shop.instrument(recorder, audit_spans=False)
    with recorder.request() as span:
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create", {})
    assert recorder.audit_spans() == []
    assert shop.ROWS[0]["request_api_key"]["span_id"] == f"{span.get_span_context().span_id:016x}"


APP = """
import json

ROWS = []
BUFFER = []
TOKEN = "s3cret-0123456789"

class Key:
    def __init__(self, id, **fields):
        self.id = id
        vars(self).update(fields)

def verify(key, token=None):
    return key

def record(action, additional_fields=None, subject=None, before=None, resource_type=None, resource_id=None):
    BUFFER.append(json.dumps(additional_fields))
    return {"id": resource_id}

def flush():
    for row in BUFFER:
        store(row)

def store(additional_fields):
    ROWS.append(json.loads(additional_fields))

def columns(action, key_id=None, trace_id=None, meta=None):
    return key_id, trace_id, meta

def stored(fields, meta):
    fields["row"] = 1
    meta["row"] = 1
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that serializes its rows and stores them later."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any, *audit: str, **options: Any) -> None:
    """Instrument the application with some audit targets."""
    name = app.__name__
    recorder.instrument(
        auth_targets=f"{name}:verify", audit_targets=[f"{name}:{target}" for target in audit], **options
    )


@pytest.mark.parametrize("audit_spans", [True, False])
def test_rows_that_are_stored_after_later_ones_have_one_member(recorder: Recorder, app: Any, audit_spans: bool) -> None:
    """Both targets write into the same rows of one request, and none of its members is taken for a client's."""
    instrument(recorder, app, "record", "store", sampler="on_change", audit_spans=audit_spans)
    with recorder.request():
        app.verify(app.Key("k_1", scopes=["a:read"]))
        app.record("create", {"n": 1})
        app.record("create", {"n": 2})
        app.flush()
    assert [list(row) for row in app.ROWS] == [["n", "request_api_key"]] * 2
    assert recorder.errors() == {}


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("emit?fields=none", [None]),
        ("emit?fields=args.rows[].extra", [[]]),
        ("emit?fields=args.rows[].extra", [iter([{"extra": {}}])]),
        ("emit?fields=args.rows[].extra", [[{"extra": "no JSON"}]]),
        ("emit?fields=return[]", [[]]),
    ],
)
def test_digest_leads_to_a_row(recorder: Recorder, load_module: LoadModule, target: str, arguments: list[Any]) -> None:
    """With ``on_change``, a write that no row received does not count as the full row of its snapshot."""
    app = load_module("""\
        def emit(rows):
            return rows if type(rows) is list else []

        def record(action, additional_fields=None):
            return additional_fields
    """)
    name = app.__name__
    recorder.instrument(audit_targets=[f"{name}:{target}", f"{name}:record?fields=return"], sampler="on_change")
    with recorder.request(), use_key(ApiKey("k_1")):
        app.emit(*arguments)
        details = [app.record("create", {})["request_api_key"]["detail"] for _ in range(2)]
    assert details == ["full", "minimal"]


@pytest.mark.parametrize("kind", [dict, UserDict, json.dumps])
@pytest.mark.parametrize(
    "later", ["record", "save?fields=self.details", "many?fields=args.rows[].details", "built?fields=return"]
)
def test_row_that_is_written_again_stays_full(
    recorder: Recorder, load_module: LoadModule, kind: Any, later: str
) -> None:
    """With ``on_change``, no reference replaces the snapshot to which it refers; the function's changes stay, too."""
    app = load_module("""\
        class Log:
            def __init__(self, details):
                self.details = details
            def save(self):
                pass

        def record(details):
            if not isinstance(details, str):
                details["added"] = 1
            return details

        def many(rows):
            for row in rows:
                record(row["details"])
            return rows[0]["details"]

        def built(row):
            return row
    """)
    name = app.__name__
    method = f"Log.{later}" if later.startswith("save") else later.replace("record", "record?fields=args.details")
    first = f"{name}:Log.__init__?fields=args.details"
    recorder.instrument(audit_targets=[first, f"{name}:{method}"], sampler="on_change")
    with recorder.request(), use_key(ApiKey("k_1", scopes=["a:read"])):
        log = app.Log(kind({"a": 1}))
        given = log.details
        if later.startswith("save"):
            log.save()
            row = log.details
        elif later.startswith("many"):
            row = app.many([{"details": given}])
        else:
            row = getattr(app, later.partition("?")[0])(given)
        minimal = app.Log({}).details
    members = dict(json.loads(row) if isinstance(row, str) else row)
    assert (members["a"], members["request_api_key"]["detail"]) == (1, "full")
    assert members["request_api_key"]["scopes"] == ["a:read"]
    assert minimal["request_api_key"]["detail"] == "minimal"
    if not isinstance(given, str) and "added" in members:
        assert given["added"] == 1
    assert [keyaudit_attributes(span)["keyaudit.detail"] for span in recorder.audit_spans()] == [
        "full",
        "full",
        "minimal",
    ]
    assert recorder.errors() == {}


@pytest.mark.parametrize("source", ["args.resource_id", "return.id"])
def test_event_field_with_the_presented_credential_is_absent(recorder: Recorder, app: Any, source: str) -> None:
    """Whether it is read before the call or after its end."""
    instrument(recorder, app, f"record?resource_id={source}")
    with recorder.request():
        app.verify(app.Key("k_1"), app.TOKEN)
        app.record("create", {}, resource_type="note", resource_id=app.TOKEN)
        app.record("create", {}, resource_type="note", resource_id="n_1")
    first, second = (keyaudit_attributes(span) for span in recorder.audit_spans())
    assert first["keyaudit.resource.type"] == "note"
    assert "keyaudit.resource.id" not in first
    assert second["keyaudit.resource.id"] == "n_1"
    assert recorder.errors() == {("audit", "otel_keyaudit.errors.CredentialError"): 1}


def test_subject_with_the_presented_credential_is_not_written(recorder: Recorder, app: Any) -> None:
    """Neither as its id nor as another field, and not as a change."""
    instrument(recorder, app, "record?subject=args.subject&subject_before=args.before&subject_id=id")
    with recorder.request():
        app.verify(app.Key("k_1"), app.TOKEN)
        app.record("create", {}, app.Key(app.TOKEN))
        app.record("create", {}, app.Key("k_2", name=app.TOKEN), app.Key("k_2", name="old", scopes=[app.TOKEN]))
    first, second = map(json.loads, app.BUFFER)
    assert "api_key" not in first
    assert second["api_key"]["id"] == "k_2"
    assert app.TOKEN not in "".join(app.BUFFER)
    assert recorder.errors()


def test_ids_are_written_into_arguments_of_their_own(recorder: Recorder, app: Any) -> None:
    """Columns of a table receive the id of the key and of the trace; an object of the caller stays as it was."""
    instrument(
        recorder, app, "columns?fields=none&id_to=args.key_id&trace_id_to=args.trace_id&digest_to=args.meta.digest"
    )
    meta = {"a": 1}
    with recorder.request() as span:
        app.verify(app.Key("k_1"))
        key_id, trace_id, written = app.columns("create", meta=meta)
    key = ApiKey("k_1")
    assert (key_id, trace_id) == ("k_1", f"{span.get_span_context().trace_id:032x}")
    assert written == {"a": 1, "digest": key.digest}
    assert meta == {"a": 1}


class Sealed(dict[str, Any]):
    """A dict whose items cannot change any more after its copy was made."""

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError("sealed")


@pytest.mark.parametrize("sealed", ["fields", "meta"])
def test_changes_are_copied_back_to_each_object(recorder: Recorder, app: Any, sealed: str) -> None:
    """An object that refuses the changes of the function does not keep another one from receiving them."""
    instrument(recorder, app, "stored?fields=args.fields&digest_to=args.meta.digest")
    arguments = {name: Sealed() if name == sealed else {} for name in ("fields", "meta")}
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.stored(**arguments)
    assert arguments == {name: {} if name == sealed else {"row": 1} for name in arguments}
    assert recorder.errors() == {("merge", "TypeError"): 1}


def test_writes_are_counted_with_their_detail(recorder: Recorder, shop: Any) -> None:
    """Only rows of a key have one."""
    shop.instrument(recorder, sampler="on_change")
    shop.record("create", {})
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        for _ in range(3):
            shop.record("create", {})
    counts = {
        tuple(sorted(attributes)): count
        for (name, attributes), count in recorder.counters().items()
        if name == "keyaudit.audit.writes"
    }
    attribution = "keyaudit.attribution"
    assert counts == {
        ((attribution, "none"),): 1,
        ((attribution, "attributed"), ("keyaudit.detail", "full")): 1,
        ((attribution, "attributed"), ("keyaudit.detail", "minimal")): 2,
    }
