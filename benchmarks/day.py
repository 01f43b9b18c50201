"""Measure the size of a day's audit rows under samplers, and recover every full snapshot from the rows alone.

Of a thousand keys, half have one scope and one id, 40 % three composites and ten ids, 10 % seven composites and 128
ids. Their use follows Zipf's law, and some are changed during the day. The row about a key that is created or changed
has the full snapshot under every sampler. In a quick run, first uses have more weight, so its sizes are not meaningful.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from benchmarks.figure import Figure
from benchmarks.variants import instrumented, tracer_provider
from otel_keyaudit import ApiKey

ROWS_PER_KEY = 100
ROWS_PER_CHANGE = 300
SEED = 20261123
SAMPLERS = {"on_change": None, "actions": "create,delete,api_key.*"}
USES = {"read": 70, "update": 20, "start": 4, "stop": 4, "create": 1, "delete": 1}
"""Number of rows with each action, per hundred."""

RESOURCES = ("workspace", "template", "volume", "image", "secret", "network", "account", "job")
ACTIONS = ("read", "create", "update", "delete")
COMPOSITES = {
    f"ops:{resource}s.operate": [f"{resource}:read", f"{resource}:update", f"{other}:read"]
    for resource, other in zip(RESOURCES, (*RESOURCES[1:], RESOURCES[0]), strict=True)
}
CATALOG = {
    "version": "2026-11",
    "resources": {resource: list(ACTIONS) for resource in RESOURCES},
    "composites": COMPOSITES,
}


@dataclass(frozen=True)
class Event:
    """One row to be written.

    Attributes:
        key: The key of the request.
        action: The action.
        subject: The key that the row is about, if any.
    """

    key: ApiKey
    action: str
    subject: ApiKey | None = None

    @property
    def resource_type(self) -> str:
        """The type of the resource."""
        return "workspace" if self.subject is None else "api_key"


def verify(key: ApiKey) -> ApiKey:
    """Return the key: the authentication target."""
    return key


def record(action: str, resource_type: str, resource_id: str, subject: Any, additional_fields: str) -> str:
    """Return the row's additional fields: the audit target."""
    return additional_fields


def figures(*, quick: bool) -> Iterator[Figure]:
    """Write the day under each sampler, add up its bytes, and recover every snapshot."""
    events = list(day(2_000 if quick else 100_000))
    own = _bytes(_fields(number) for number in range(len(events)))
    full = written(events, "always_full")
    check_recovery(events, full)
    for sampler, argument in SAMPLERS.items():
        rows = written(events, sampler, argument)
        recovered = check_recovery(events, rows)
        added, added_full = (_bytes(of) - own for of in (rows, full))
        yield Figure(
            f"day.{sampler}",
            f"bytes that the key adds to a row, {sampler} against always_full",
            added / added_full,
            None if quick else 1 / 8,
            details={
                "bytes a row": added / len(rows),
                "always_full": added_full / len(rows),
                "whole rows": _bytes(rows) / _bytes(full),
                "rows": len(rows),
                "snapshots recovered": recovered,
            },
        )


def day(rows: int) -> Iterator[Event]:
    """Yield the same events for each number of rows."""
    chance = random.Random(SEED)
    admin = ApiKey("k_admin", "admin", ["api_key:*"], ["*:*"])
    keys = [_key(chance, number, of=rows // ROWS_PER_KEY) for number in range(rows // ROWS_PER_KEY)]
    chance.shuffle(keys)  # the frequency of a key does not depend on its size
    shares = list(accumulate(1 / rank for rank in range(1, len(keys) + 1)))
    yield Event(admin, "create", admin)
    for key in keys:
        yield Event(admin, "create", key)
    left = rows - len(keys) - 1
    changes = set(chance.sample(range(left), rows // ROWS_PER_CHANGE))
    for number in range(left):
        place = bisect(shares, chance.random() * shares[-1])
        if number in changes:
            keys[place] = _changed(chance, keys[place])
            yield Event(admin, "update", keys[place])
        else:
            yield Event(keys[place], chance.choices(list(USES), list(USES.values()))[0])


def _key(chance: random.Random, number: int, *, of: int) -> ApiKey:
    if number < of // 2:
        scopes, ids = [f"{chance.choice(RESOURCES)}:{chance.choice(ACTIONS)}"], 1
    elif number < of * 9 // 10:
        scopes, ids = chance.sample(sorted(COMPOSITES), 3), 10
    else:
        scopes, ids = chance.sample(sorted(COMPOSITES), 7), 128
    allowed = [f"{chance.choice(RESOURCES)}:{_uuid(chance)}" for _ in range(ids)]
    return ApiKey(f"k_{_uuid(chance)[:8]}", f"ci-bot-{number}", scopes, allowed)


def _changed(chance: random.Random, key: ApiKey) -> ApiKey:
    assert key.allow_list is not None  # noqa: S101 - every key here has one
    return replace(key, allow_list=(*key.allow_list[1:], f"{chance.choice(RESOURCES)}:{_uuid(chance)}"))


def _uuid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def written(events: list[Event], sampler: str, argument: str | None = None) -> list[str]:
    """Return the rows that the application writes under a sampler, each in a request of its own."""
    with writing(sampler, argument) as write:
        return [write(number, event) for number, event in enumerate(events)]


@contextmanager
def writing(sampler: str, argument: str | None = None) -> Iterator[Callable[..., str]]:
    """Yield a function that writes the row of an event, in a request that has accepted some keys."""
    provider = tracer_provider("dropped")  # rows still have trace and span ids
    tracer = trace.get_tracer("benchmarks", tracer_provider=provider)
    options = {} if argument is None else {"sampler_arg": argument}

    def write(number: int, event: Event, keys: Sequence[ApiKey] | None = None) -> str:
        with tracer.start_as_current_span("request", kind=SpanKind.SERVER):
            for key in (event.key,) if keys is None else keys:
                verify(key)
            kind = event.resource_type
            return record(event.action, kind, f"{kind}_{number}", event.subject, _fields(number))

    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder, "scopes.json")
        catalog.write_text(json.dumps(CATALOG))
        with instrumented(
            provider,
            auth_targets=["benchmarks.day:verify"],
            audit_targets=["benchmarks.day:record?subject=args.subject"],
            sampler=sampler,
            scope_catalog=str(catalog),
            **options,
        ):
            yield write


def check_recovery(events: list[Event], rows: list[str]) -> int:
    """Recover the full snapshot of every row from the rows alone.

    Returns:
        The number of different snapshots.

    Raises:
        KeyError: A snapshot is missing.
        AssertionError: A snapshot differs from the key at the time of its row.
    """
    parsed = [json.loads(row) for row in rows]
    full = {
        member["digest"]: member
        for row in parsed
        for name in ("request_api_key", "api_key")
        if (member := row.get(name)) is not None and member["detail"] == "full"
    }
    for digest, member in full.items():
        if _digest(member) != digest:
            raise AssertionError(f"{digest} is not the digest of its snapshot")
    for event, row in zip(events, parsed, strict=True):
        for key, name in ((event.key, "request_api_key"), (event.subject, "api_key")):
            if key is not None:
                _check(key, full[row[name]["digest"]])
    return len(full)


def _check(key: ApiKey, member: dict[str, Any]) -> None:
    wanted = {"id": key.id, "name": key.name, "scopes": key.scopes, "allow_list": key.allow_list}
    found = {name: tuple(value) if isinstance(value := member[name], list) else value for name in wanted}
    if found != wanted or "permissions" not in member["effective_scope"]:
        raise AssertionError(f"the snapshot of {key.id} differs from the key")


def _digest(member: dict[str, Any]) -> str:
    """Return the digest of a recovered snapshot, computed from the row alone."""
    content = {
        "id": member["id"],
        "name": member["name"],
        "scopes": sorted(set(member["scopes"])),
        "allow_list": sorted(set(member["allow_list"])),
        "catalog": member["effective_scope"]["catalog"],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _fields(number: int) -> str:
    """Return the application's own additional fields."""
    return json.dumps({"name": f"row-{number}", "build": number, "reason": "requested by user"})


def _bytes(rows: Iterable[str]) -> int:
    return sum(len(row.encode()) for row in rows)
