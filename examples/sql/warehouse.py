"""A service with an audit table, and a day of its audit rows."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from otel_keyaudit import KeyAuditInstrumentor

HERE = Path(__file__).parent
TABLE = """
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL, outcome TEXT NOT NULL, additional_fields TEXT
)
"""


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]
    allow_list: tuple[str, ...] = ("shelf:*",)


def verify(key: Key) -> Key:
    """Authentication target: return the key of a credential."""
    return key


class AuditLog:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.length = 0

    def record(
        self,
        action: str,
        resource_type: str,
        resource_id: str,
        subject: Key | None = None,  # noqa: ARG002 - otel-keyaudit reads it
        additional_fields: str | None = None,
    ) -> None:
        """Audit target: write a row."""
        self.length += 1
        at = f"2026-11-23T16:{self.length:02}:00Z"
        row = (at, "dana", action, resource_type, resource_id, "ok", additional_fields)
        self.connection.execute("INSERT INTO audit_log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)


def a_day() -> sqlite3.Connection:
    """Return a database with the day's rows."""
    connection = sqlite3.connect(":memory:")
    connection.execute(TABLE)
    log = AuditLog(connection)
    ops = Key("k_ops", "ops-admin", ("api_key:*", "crate:*"), ("*:*",))
    bot = Key("k_bot", "ci-bot", ("crate:*", "shelf:read"))
    narrow = replace(bot, scopes=("crate:create", "shelf:read"), allow_list=("shelf:7", "shelf:9"))
    fields = json.dumps({"via": "api"})
    with instrumented() as request:
        with request(ops):
            log.record("create", "api_key", bot.id, bot, fields)
        for crate in ("c_1", "c_2"):
            with request(bot):
                log.record("create", "crate", crate, additional_fields=fields)
        with request():
            log.record("login", "person", "dana", additional_fields=fields)
        with request(ops):
            log.record("update", "api_key", bot.id, narrow, fields)
        with request(narrow):
            log.record("create", "crate", "c_3", additional_fields=fields)
        with request(narrow, ops):
            log.record("delete", "crate", "c_1", additional_fields=fields)
    return connection


@contextmanager
def instrumented() -> Iterator[Any]:
    """Instrument this module; yield a function that opens a request in which some keys are accepted."""
    provider = TracerProvider()
    tracer = provider.get_tracer("warehouse")

    @contextmanager
    def request(*keys: Key) -> Iterator[None]:
        with tracer.start_as_current_span("request", kind=SpanKind.SERVER):
            for key in keys:
                verify(key)
            yield

    KeyAuditInstrumentor().instrument(
        auth_targets=["warehouse:verify"],
        audit_targets=["warehouse:AuditLog.record?subject=args.subject"],
        sampler="on_change",
        tracer_provider=provider,
    )
    try:
        yield request
    finally:
        KeyAuditInstrumentor().uninstrument()
        provider.shutdown()
