"""Usage of keys is sent early if there is much of it, and an exporter can use a key itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import pytest

from otel_keyaudit.guard import collection
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.events import usage
from otel_keyaudit.observers.events.usage import Usage
from support.environment.concurrency import in_a_collection
from support.environment.eventually import eventually
from support.environment.undisturbed import unmeasured_environment

Sent = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def sent() -> Sent:
    """The sent events: keys and attributes."""
    return []


@pytest.fixture
def counted(sent: Sent) -> Iterator[Usage]:
    """The usage of keys, which appends its events to a list."""
    counted = Usage(lambda key, attributes: sent.append((key.id, attributes)))
    yield counted
    counted.close()


def test_a_key_with_many_permissions_is_sent_early(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event of this key is sent at once, and the other keys wait."""
    monkeypatch.setattr(usage, "MAX_PERMISSIONS", 2)
    counted.decided(ApiKey("k_1"), Decision(("a:read",), "granted"))
    counted.authenticated(ApiKey("k_2"))
    assert sent == []
    counted.decided(ApiKey("k_1"), Decision(("a:write",), "denied"))
    ((key_id, attributes),) = sent
    assert key_id == "k_1"
    assert attributes["keyaudit.usage.permissions"] == ["a:read", "a:write"]
    assert attributes["keyaudit.usage.outcomes"] == ["granted", "denied"]
    counted.close()
    assert [key_id for key_id, _ in sent] == ["k_1", "k_2"]


def test_many_keys_are_sent_early(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are sent, and none twice."""
    monkeypatch.setattr(usage, "MAX_KEYS", 3)
    for number in (1, 2, 3, 4):
        counted.authenticated(ApiKey(f"k_{number}"))
    assert [key_id for key_id, _ in sent] == ["k_1", "k_2", "k_3"]
    counted.close()
    assert [(key_id, attributes["keyaudit.usage.requests"]) for key_id, attributes in sent] == [
        ("k_1", 1),
        ("k_2", 1),
        ("k_3", 1),
        ("k_4", 1),
    ]


def test_an_exporter_may_use_a_key_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage is sent without the lock, so this neither waits for itself nor loses a use."""
    monkeypatch.setattr(usage, "MAX_KEYS", 2)
    sent: list[str] = []

    def send(key: ApiKey, _: Mapping[str, Any]) -> None:
        sent.append(key.id)
        if len(sent) == 1:
            uses.authenticated(ApiKey("exporter"))

    uses = Usage(send)
    uses.authenticated(ApiKey("k_1"))
    uses.authenticated(ApiKey("k_2"))
    uses.close()
    assert sorted(sent) == ["exporter", "k_1", "k_2"]


def test_keys_of_two_owners_with_the_same_id_have_their_own_events(counted: Usage, sent: Sent) -> None:
    """Numbers of rows in the tables of two tenants are two keys."""
    for owner, permission in (("A", "a:read"), ("B", "a:write"), ("A", "a:read")):
        counted.authenticated(ApiKey("7", owner=owner))
        counted.decided(ApiKey("7", owner=owner), Decision((permission,), "granted"))
    counted.close()
    assert [(one["keyaudit.usage.permissions"], one["keyaudit.usage.requests"]) for _, one in sent] == [
        (["a:read"], 2),
        (["a:write"], 1),
    ]


def test_end_is_never_before_the_start(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval of an event is valid even if the clock was set back in it."""
    counted.authenticated(ApiKey("k_1"))
    earlier = time.time() - 7200
    monkeypatch.setattr(time, "time", lambda: earlier)
    counted.close()
    ((_, attributes),) = sent
    assert attributes["keyaudit.usage.from"] == attributes["keyaudit.usage.to"]


def test_usage_is_sent_regularly(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer sends the counts again and again, and nothing in an interval without use."""
    monkeypatch.setattr(usage, "SECONDS", 0.01)
    counted.authenticated(ApiKey("k_1"))
    assert eventually(lambda: len(sent) == 1)
    counted.authenticated(ApiKey("k_2"))
    assert eventually(lambda: len(sent) == 2)
    counted.close()
    assert [key_id for key_id, _ in sent] == ["k_1", "k_2"]


def test_timer_starts_with_the_first_use_outside_of_its_request(
    counted: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without requests, such as one that only forks workers, has no thread; a thread keeps no context."""
    request: ContextVar[str | None] = ContextVar("request", default=None)
    contexts: list[str | None] = []
    start = threading.Thread.start

    def record(thread: threading.Thread) -> None:
        contexts.append(request.get())
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", record)
    counted.flush()
    assert contexts == []
    token = request.set("of k_1")
    counted.authenticated(ApiKey("k_1"))
    counted.authenticated(ApiKey("k_1"))
    request.reset(token)
    assert contexts == [None]


def test_first_use_in_a_collection_waits_for_no_thread(counted: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection may interrupt the start of another thread, whose lock the start of the timer needs."""
    started: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", lambda _: started.append(threading.get_ident()))
    collection.watch_collections()
    try:
        in_a_collection(lambda: counted.authenticated(ApiKey("k_1")))
    finally:
        collection.unwatch_collections()
    assert eventually(lambda: started != [])
    assert started != [threading.get_ident()]


def test_use_of_a_key_in_a_finalizer_is_counted(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finalizer may interrupt the first use of the same key."""
    uses = iter([counted.authenticated])

    def interrupted() -> float:
        for use in uses:
            use(ApiKey("k_1"))
        return 1.0

    monkeypatch.setattr(time, "time", interrupted)
    counted.authenticated(ApiKey("k_1"))
    counted.flush()
    assert [attributes["keyaudit.usage.requests"] for _, attributes in sent] == [2]


PROGRAM = """
import atexit, os, sys, threading
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.observers.events.usage import Usage

def send(key, attributes):
    print(key.id, attributes["keyaudit.usage.requests"], "after shutdown" if is_shut_down else "", flush=True)

is_shut_down = False

def shut_down():
    global is_shut_down
    is_shut_down = True

usage = Usage(send)
usage.authenticated(ApiKey("parent"))
child = os.fork()
"""


def run(program: str) -> list[str]:
    """Return the lines that a program prints after it has forked a child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + program],
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_forked_child_without_use_ends_silently() -> None:
    """It starts no thread at exit, which Python 3.12 refuses, and sends nothing of its parent."""
    assert run("if child: os.waitpid(child, 0)") == ["parent 1 "]


def test_forked_child_sends_its_usage_before_its_own_provider_is_shut_down() -> None:
    """A worker that configures a logger provider after the fork, in a hook of its server, loses no usage at exit."""
    assert run("""
if not child:
    atexit.register(shut_down)
    usage.authenticated(ApiKey("child"))
else:
    os.waitpid(child, 0)
""") == ["child 1 ", "parent 1 "]


def test_first_uses_of_a_forked_child_are_all_counted() -> None:
    """Threads that use a key for the first time at once count in one place."""
    assert run("""
if not child:
    sys.setswitchinterval(1e-6)
    barrier = threading.Barrier(8)
    threads = [
        threading.Thread(target=lambda: (barrier.wait(), usage.authenticated(ApiKey("child")))) for _ in range(8)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
else:
    os.waitpid(child, 0)
""") == ["child 8 ", "parent 1 "]
