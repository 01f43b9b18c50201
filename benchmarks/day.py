"""A simulated day of audit rows: how much smaller they are when a snapshot is written once, and that nothing is lost.

A thousand keys: half with one scope and one id, 40 % with three composites and ten ids, 10 % with seven and 128. They
are used as Zipf's law has it, and some are changed during the day. Creating or changing a key is an audited action
about that key, so its row holds the whole snapshot under every sampler. At the end the full snapshot behind every row
is recovered from the rows alone, and compared with what the key was when the row was written. A quick day is shorter
and has fewer keys: it proves as much, but its bytes say little.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from benchmarks.calls import tracer_provider
from benchmarks.figures import Figure
from benchmarks.measure import Effort
from otel_keyaudit import ApiKey, KeyAuditInstrumentor

ROWS_PER_KEY = 100
ROWS_PER_CHANGE = 300
SEED = 20261123
SAMPLERS = {"on_change": None, "actions": "create,delete,api_key.*"}
USES = {"read": 70, "update": 20, "start": 4, "stop": 4, "create": 1, "delete": 1}
"""What keys are used for, per hundred rows."""

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
    """One row to be written: by which key, and about which when it is about one."""

    key: ApiKey
    action: str
    subject: ApiKey | None = None

    @property
    def resource_type(self) -> str:
        """What the row is about."""
        return "workspace" if self.subject is None else "api_key"


def verify(key: ApiKey) -> ApiKey:
    """Return the key: the authentication target."""
    return key


def record(action: str, resource_type: str, resource_id: str, subject: Any, additional_fields: str) -> str:
    """Return the row's additional fields: the audit target."""
    return additional_fields


def day_figures(effort: Effort) -> Iterator[Figure]:
    """Write the day under each sampler, count its bytes, and recover every snapshot."""
    events = list(day(effort.rows))
    full = written(events, "always_full", None)
    check_recovery(events, full)
    for sampler, argument in SAMPLERS.items():
        rows = written(events, sampler, argument)
        recovered = check_recovery(events, rows)
        yield Figure(
            f"day.{sampler}",
            f"bytes that a key adds to an audit row, {sampler} against always_full",
            _added(events, rows) / _added(events, full),
            1 / 8 if effort.full else None,
            details={
                "bytes added per row": round(_added(events, rows)),
                "bytes added per row, always_full": round(_added(events, full)),
                "ratio of whole rows": round(_bytes(rows) / _bytes(full), 4),
                "rows": len(rows),
                "snapshots recovered": recovered,
            },
        )


def day(rows: int) -> Iterator[Event]:
    """Return the events of a day, always the same ones."""
    chance = random.Random(SEED)
    admin = ApiKey("k_admin", "admin", ["api_key:*"], ["*:*"])
    keys = [_key(chance, number, of=rows // ROWS_PER_KEY) for number in range(rows // ROWS_PER_KEY)]
    chance.shuffle(keys)  # how much a key is used has nothing to do with its size
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


def written(events: list[Event], sampler: str, argument: str | None) -> list[str]:
    """Return the rows that the application writes under a sampler, each in a request of its own."""
    with writing(sampler, argument) as write:
        return [write(number, event) for number, event in enumerate(events)]


@contextmanager
def writing(sampler: str, argument: str | None) -> Iterator[Callable[..., str]]:
    """Have the library on; yields what writes the row of an event, in a request in which some keys are accepted."""
    provider = tracer_provider("dropped")  # trace and span ids are in the rows all the same
    tracer = trace.get_tracer("benchmarks", tracer_provider=provider)
    options = {} if argument is None else {"sampler_arg": argument}
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder, "scopes.json")
        catalog.write_text(json.dumps(CATALOG))
        KeyAuditInstrumentor().instrument(
            auth_targets=["benchmarks.day:verify"],
            audit_targets=["benchmarks.day:record?subject=args.subject"],
            sampler=sampler,
            scope_catalog=str(catalog),
            tracer_provider=provider,
            **options,
        )

    def write(number: int, event: Event, keys: Sequence[ApiKey] | None = None) -> str:
        with tracer.start_as_current_span("request", kind=SpanKind.SERVER):
            for key in (event.key,) if keys is None else keys:
                verify(key)
            kind = event.resource_type
            return record(event.action, kind, f"{kind}_{number}", event.subject, _fields(number))

    try:
        yield write
    finally:
        KeyAuditInstrumentor().uninstrument()


def check_recovery(events: list[Event], rows: list[str]) -> int:
    """Recover the full snapshot behind every row from the rows alone; return how many different ones there were.

    Raises:
        AssertionError: One cannot be recovered, or is not what the key was.
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
        raise AssertionError(f"the snapshot of {key.id} is not what was written")


def _digest(member: dict[str, Any]) -> str:
    """Return the digest of a recovered snapshot, worked out as anyone could."""
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
    """Return what the application itself has to say in a row."""
    return json.dumps({"name": f"row-{number}", "build": number, "reason": "requested by user"})


def _bytes(rows: list[str]) -> int:
    return sum(len(row.encode()) for row in rows)


def _added(events: list[Event], rows: list[str]) -> float:
    """Return how many bytes the library added to a row."""
    return (_bytes(rows) - _bytes([_fields(number) for number in range(len(events))])) / len(rows)
