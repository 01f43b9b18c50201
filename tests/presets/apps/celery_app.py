"""A service that sends tasks, in every way that Celery knows, and the tasks, whose rows are kept in Redis.

The worker runs with ``opentelemetry-instrument celery -A presets.apps.celery_app:celery worker``.
"""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import Any

import flask
import redis
from celery import Celery, chain, chord, group
from opentelemetry import baggage, propagate

KEYS = {
    f"celery-s3cret-{number}": SimpleNamespace(
        id=f"k{number}", name="loader", scopes=["note:create"], allow_list=[], owner="owner-1"
    )
    for number in (1, 2)
}
"""The keys by presented credential."""

URL = os.environ.get("KEYAUDIT_TESTS_REDIS", "memory://")
celery = Celery("keyaudit_tests", broker=URL, backend=URL if URL.startswith("redis") else "cache+memory://")
celery.conf.update(broker_connection_retry_on_startup=True, task_track_started=False)
rows: list[dict[str, Any]] = []


def verify(presented: str | None) -> Any:
    """Authenticate."""
    if presented is not None and presented not in KEYS:
        raise PermissionError
    return None if presented is None else KEYS[presented]


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Write a row."""
    row = {"action": action, **(additional_fields or {})}
    rows.append(row)
    if URL.startswith("redis"):
        with redis.from_url(URL) as connection:
            connection.rpush("rows", json.dumps(row))


def written() -> dict[str, dict[str, Any]]:
    """Return the rows that all processes wrote since the last time, by their actions."""
    with redis.from_url(URL) as connection, connection.pipeline() as transaction:
        transaction.lrange("rows", 0, -1)
        transaction.delete("rows")
        found = [json.loads(row) for row in transaction.execute()[0]]
    return {row["action"]: row for row in found}


@celery.task
def write(action: str) -> dict[str, Any]:
    """Write a row and return the headers of a request to another service."""
    record(action)
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return {"headers": headers, "baggage": dict(baggage.get_all())}


@celery.task(bind=True, max_retries=1)
def try_twice(self: Any, action: str) -> None:
    """Fail at first."""
    record(f"{action} {self.request.retries}")
    if not self.request.retries:
        raise self.retry(countdown=0)


@celery.task
def send_another(action: str) -> str:
    """Send a task from a task."""
    record(action)
    return str(write.delay(f"{action} inner").id)


@celery.task
def fail(action: str) -> None:
    """Raise."""
    record(action)
    raise LookupError


@celery.task(time_limit=1)
def overrun(action: str) -> None:
    """Run until the worker kills the process."""
    record(action)
    time.sleep(60)


@celery.task
def die(action: str) -> None:
    """End the process."""
    record(action)
    os._exit(1)


@celery.task
def collect(results: list[Any], action: str) -> None:
    """Come after a group."""
    record(action)


WAYS: dict[str, Any] = {
    "delay": lambda: write.delay("delay"),
    "by name": lambda: celery.send_task(write.name, ["by name"]),
    "retry": lambda: try_twice.delay("retry"),
    "nested": lambda: send_another.delay("nested"),
    "chain": lambda: chain(write.si("chain 0"), write.si("chain 1")).delay(),
    "group": lambda: group(write.si("group 0"), write.si("group 1")).delay(),
    "chord": lambda: chord([write.si("chord 0"), write.si("chord 1")], collect.s("chord 2")).delay(),
    "link": lambda: write.apply_async(["link"], link=write.si("link inner")),
    "link_error": lambda: fail.apply_async(["link_error"], link_error=write.si("link_error inner")),
}
KILLED: dict[str, Any] = {
    "overrun": lambda: overrun.apply_async(["overrun"], link_error=write.si("overrun error")),
    "die": lambda: die.apply_async(["die"], link_error=write.si("die error")),
}
"""The tasks whose process the worker loses."""

app = flask.Flask(__name__)


@app.post("/<way>")
def send(way: str) -> Any:
    """Send tasks in one of the ways."""
    try:
        verify(flask.request.headers.get("X-API-Key"))
        verify(flask.request.headers.get("X-Second-Key"))
    except PermissionError:
        return {}, 401
    result = {**WAYS, **KILLED}[way]()
    return {"id": result.id}
