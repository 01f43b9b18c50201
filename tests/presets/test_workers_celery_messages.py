"""The preset "celery" without a worker: headers of messages, and tasks that run at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.signals import before_task_publish, task_postrun, task_prerun, task_success
from celery.worker.request import Request
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.context import used_key
from otel_keyaudit.request.workers.message import encode_key
from otel_keyaudit.testing import Recorder
from support.services import bare

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
HEADER = "keyaudit-key"
KEY = ApiKey("k1", "loader", ["read"], [], "owner", "2027-01-01T00:00:00Z")
WRITTEN = (
    '{"id":"k1","name":"loader","scopes":["read"],"allow_list":[],"owner":"owner","expires_at":"2027-01-01T00:00:00Z"}'
)


@pytest.fixture
def celery(lenient_recorder: Recorder) -> Iterator[Celery]:
    """An application with a broker in memory, and the preset on."""
    bare.rows.clear()
    app = Celery("messages", broker="memory://", backend="cache+memory://", set_as_current=False)
    lenient_recorder.instrument(auth_targets=bare.AUTH_TARGETS, audit_targets=bare.AUDIT_TARGETS, presets="celery")
    yield app
    app.close()
    lenient_recorder.uninstrument()


@pytest.fixture
def write(celery: Celery) -> Task:
    """A task that writes a row."""
    return celery.task(bare.record, name="write", shared=False)


def _published(celery: Celery) -> dict[str, Any]:
    """Take the next message; return its headers."""
    with celery.connection_for_read() as connection:
        queue = connection.SimpleQueue(celery.conf.task_default_queue)
        message = queue.get(timeout=5)
        message.ack()
        queue.close()
    return dict(message.headers)


def _run(task: Task, action: str, **headers: Any) -> None:
    """Run a task as a worker does that has received a message with these headers."""
    request = {"id": str(uuid4()), "delivery_info": {}, "ignore_result": True, **headers}
    build_tracer(task.name, task, app=task.app)(request["id"], (action,), {}, request)


def _record_signal(name: str, **_: Any) -> None:
    bare.record(name)


def _fail(action: str) -> None:
    bare.record(action)
    raise LookupError


def test_the_key_is_in_the_headers_of_the_message(celery: Celery, write: Task) -> None:
    """The key is only in the headers of the message, and a task that is sent without a key has no such header."""
    with use_key(KEY):
        write.delay("one")
    write.delay("two")
    headers = _published(celery)

    assert headers.pop(HEADER) == WRITTEN
    assert "k1" not in json.dumps(headers)
    assert HEADER not in _published(celery)


@pytest.mark.parametrize("key", [KEY, None])
def test_a_header_that_was_given_is_never_sent(key: ApiKey | None, celery: Celery, write: Task) -> None:
    """A header that the caller passes, which may come from a client, is never sent."""
    with use_key(key):
        write.apply_async(["one"], headers={HEADER: '{"id":"forged"}', "other": "1"})
    headers = _published(celery)

    assert headers.get(HEADER) == (WRITTEN if key else None)
    assert headers["other"] == "1"


@pytest.mark.parametrize("field", ["scopes", "allow_list"])
def test_overlong_lists_are_left_out(field: str, celery: Celery, write: Task, lenient_recorder: Recorder) -> None:
    """The message names the key without the long list, which a broker could refuse, and the loss is counted."""
    lists: Any = {field: [f"{number:050}" for number in range(1000)]}
    with use_key(ApiKey("k1", "loader", **lists)):
        write.delay("one")

    assert _published(celery)[HEADER] == '{"id":"k1","name":"loader"}'
    assert lenient_recorder.errors() == {("authentication", "otel_keyaudit.errors.UnreadableError"): 1}


def test_overlong_key_is_left_out(celery: Celery, write: Task, lenient_recorder: Recorder) -> None:
    """The message is sent without the key."""
    with use_key(ApiKey("k" * 16_000, "n" * 16_000, owner="o" * 16_000)):
        write.delay("one")

    assert HEADER not in _published(celery)
    assert len(lenient_recorder.errors()) == 1


def test_the_key_is_set_while_the_task_runs(celery: Celery, write: Task, lenient_recorder: Recorder) -> None:
    """The task has every field of the key, which is gone after the task returns or raises."""
    fail = celery.task(_fail, name="fail", shared=False)
    _run(write, "one", **{HEADER: WRITTEN})
    assert current_key() is None
    _run(fail, "two", **{HEADER: WRITTEN})
    assert current_key() is None
    _run(write, "three")

    assert bare.named() == {"one": "k1", "two": "k1", "three": None}
    member = bare.rows[0]["request_api_key"]
    assert (member["owner"], member["allow_list"], member["digest"]) == ("owner", [], KEY.digest)
    assert lenient_recorder.errors() == {}


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "k1",
            "[]",
            '"k1"',
            "null",
            "{",
            "{}",
            '{"name":"x"}',
            '{"id":""}',
            '{"id":null}',
            '{"id":"k1","id":"k2"}',
        ),
        *('{"id":7}', '{"id":"k1","secret":"x"}', '{"id":"k1","scopes":"read"}', '{"id":"k1","scopes":["a","a"]}'),
        *(
            '{"id":"k1","expires_at":"soon"}',
            '{"id": "k1"}',
            '{"scopes":["read"],"id":"k1"}',
            '{"id":"k1","name":null}',
        ),
        *("[" * 20_000, '{"id":"' + "k" * 40_000 + '"}', 7, b'{"id":"k1"}', {"id": "k1"}, ["k1"], True),
    ],
    ids=lambda header: repr(header)[:24],
)
def test_a_header_that_this_library_did_not_write_is_refused(
    header: Any, write: Task, lenient_recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The task runs without a key, which is counted and logged once without the header's content."""
    _run(write, "one", **{HEADER: header})
    _run(write, "two", **{HEADER: header})

    assert bare.named() == {"one": None, "two": None}
    assert sum(lenient_recorder.errors().values()) == 2
    (message,) = [record.getMessage() for record in caplog.records if record.name == "otel_keyaudit"]
    assert message.startswith("keyaudit: a job: authentication failed with ")
    assert "k1" not in message


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_task_that_runs_at_once(is_traced: bool, celery: Celery, write: Task, lenient_recorder: Recorder) -> None:
    """With ``task_always_eager`` the row names the key of the surrounding request, also under a span of the task."""
    celery.conf.task_always_eager = True

    def send_another(action: str) -> None:
        write.delay(f"{action} inner")

    nested = celery.task(send_another, name="nested", shared=False)
    if is_traced:
        CeleryInstrumentor().instrument(tracer_provider=lenient_recorder.tracer_provider)
    try:
        with lenient_recorder.request():
            bare.verify("k1")
            write.delay("one")
            write.apply(["two"], headers={HEADER: '{"id":"forged"}'})
            nested.delay("three")
            (write.si("four") | write.si("five")).delay()
            bare.record("after")
        with lenient_recorder.request():
            write.apply(["keyless"], headers={HEADER: '{"id":"forged"}'})
        write.delay("outside")
    finally:
        if is_traced:
            CeleryInstrumentor().uninstrument()

    named = dict.fromkeys(("one", "two", "three inner", "four", "five", "after"), "k1")
    assert bare.named() == {**named, "keyless": None, "outside": None}


def test_uninstrument_disconnects_everything(celery: Celery, write: Task, lenient_recorder: Recorder) -> None:
    """After ``uninstrument()`` no signal is connected, and incoming headers are ignored."""
    functions = [Task.apply, build_tracer, build_tracer(write.name, write, app=celery), Request.on_failure]
    traced = [function.__code__ for function in functions]
    with use_key(KEY):
        lenient_recorder.uninstrument()
        write.delay("one")
        assert HEADER not in _published(celery)
    _run(write, "two", **{HEADER: WRITTEN})

    assert bare.named() == {"two": None}
    modules = [getattr(receiver[1], "__module__", "") for receiver in before_task_publish.receivers]
    assert [module for module in modules if "otel_keyaudit" in module] == []
    assert [function.__code__ is code for function, code in zip(functions, traced, strict=True)] == [False] * 4


def test_signals_and_hooks_of_a_task_have_its_key(celery: Celery) -> None:
    """The key is set in receivers of every signal of the task and in the hooks of its class, whoever came first."""

    class Audited(Task):
        abstract = True

        def before_start(self, *_: Any) -> None:
            bare.record("before start")

        def on_success(self, *_: Any) -> None:
            bare.record("on success")

        def after_return(self, *_: Any) -> None:
            bare.record("after return")

    task = celery.task(bare.record, name="audited", base=Audited, shared=False)
    signals = {"prerun": task_prerun, "success": task_success, "postrun": task_postrun}
    receivers = [partial(_record_signal, name) for name in signals]
    for signal, receiver in zip(signals.values(), receivers, strict=True):
        signal.connect(receiver, weak=False)
    try:
        _run(task, "body", **{HEADER: WRITTEN})
    finally:
        for signal, receiver in zip(signals.values(), receivers, strict=True):
            signal.disconnect(receiver)

    actions = ("prerun", "before start", "body", "on success", "success", "after return", "postrun")
    assert bare.named() == dict.fromkeys(actions, "k1")


def test_a_key_that_a_task_sets_by_hand_and_does_not_leave(celery: Celery, write: Task) -> None:
    """The key ends with the task, with and without a header, and the next task has its own key or none."""

    def leaves_behind(action: str) -> None:
        use_key(ApiKey("left")).__enter__()
        bare.record(action)

    task = celery.task(leaves_behind, name="leaves_behind", shared=False)
    _run(task, "one")
    _run(write, "two")
    _run(task, "three", **{HEADER: '{"id":"k1"}'})
    _run(write, "four", **{HEADER: '{"id":"k2"}'})
    _run(write, "five")

    assert bare.named() == {"one": "left", "two": None, "three": "left", "four": "k2", "five": None}


def test_delegation_travels_with_the_key(write: Task) -> None:
    """The header says for whom and through whom the key acts."""
    used: list[Any] = []

    def keep(action: str) -> None:
        used.append(used_key())

    header = '{"id":"k1","on_behalf_of":"user:7","actors":["gateway"]}'
    _run(write.app.task(keep, name="keep", shared=False), "one", **{HEADER: header})
    assert encode_key(used[0]) == header
