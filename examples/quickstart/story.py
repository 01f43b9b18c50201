"""The story of the demo: its keys, its requests, and the audit rows that they leave."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service import DemoError, call
from shop import security, storage

DANA = "dana"
LEE = "lee"


@dataclass(frozen=True)
class Sent:
    """One request, the name of its key, and its answer."""

    key: str
    method: str
    path: str
    status: int
    answer: Any


@dataclass
class Story:
    """The results of one run of the requests.

    Attributes:
        requests: The requests, in order.
        rows: The audit log, with `additional_fields` decoded.
        row_requests: For each audit row, the number of the request that wrote it, from 1.
        key_ids: The ids of the keys by name.
        secrets: The secret of each key and its hash, which must appear nowhere.
    """

    requests: list[Sent] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    row_requests: list[int] = field(default_factory=list)
    key_ids: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    def row_of(self, number: int) -> dict[str, Any]:
        """Return the audit row that a request wrote."""
        return self.rows[self.row_requests.index(number)]

    def number_of(self, key: str, method: str) -> int:
        """Return the number of the only request with this key and method."""
        (number,) = [n for n, sent in enumerate(self.requests, 1) if (sent.key, sent.method) == (key, method)]
        return number

    def answers(self) -> list[str]:
        """Return status and body of each answer, with names in place of the random ids and secrets of keys."""
        text = json.dumps([(sent.status, sent.answer) for sent in self.requests])
        for name, key_id in self.key_ids.items():
            text = text.replace(key_id, name)
        for secret in self.secrets:
            text = text.replace(secret, "secret")
        return [json.dumps(answer) for answer in json.loads(text)]


class Visitor:
    """Sends the requests of the story to one running service and reads its database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._keys: dict[str, str] = {}
        self._base = ""
        self.story = Story()

    def prepare(self) -> None:
        """Create the tables, a workspace, a template and the first keys."""
        connection = storage.connect(str(self._database))
        storage.create_tables(connection)
        connection.execute("INSERT INTO workspaces VALUES ('checkout', 'python')")
        connection.execute("INSERT INTO templates VALUES ('python', 'python:3.12')")
        keys: list[tuple[str, str, str, list[str], list[str]]] = [
            ("k_ops", "ops-admin", DANA, ["ops:all"], ["*:*"]),
            ("k_ci", "ci-bot", DANA, ["template:read", "workspace:*"], ["template:*", "workspace:search"]),
            ("k_acme", "acme-partner", LEE, ["ops:workspaces.operate"], ["workspace:checkout", "template:python"]),
            ("k_old", "old-laptop", DANA, ["ops:all"], ["*:*"]),
        ]
        for key_id, name, owner, scopes, allow_list in keys:
            key, presented = security.create_key(connection, name, owner, scopes, allow_list, key_id)
            self._remember(name, presented)
            if name == "old-laptop":
                security.revoke_key(connection, key)
        connection.close()

    def play(self, base: str) -> None:
        """Send every request, then read the audit log."""
        self._base = base
        self._send("ci-bot", "GET", "/templates", 200)
        self._send("ci-bot", "POST", "/workspaces", 201, {"id": "search", "template": "python"})
        self._send("ci-bot", "PATCH", "/workspaces/search", 200, {"template": "python-ml"})
        self._send("acme-partner", "GET", "/workspaces/checkout", 200)
        self._send("acme-partner", "DELETE", "/workspaces/checkout", 403)
        self._send("old-laptop", "GET", "/workspaces", 401)
        wide = {"scopes": ["workspace:*", "template:update"], "allow_list": ["workspace:*", "template:python"]}
        created = self._send("ops-admin", "POST", "/keys", 201, {"name": "release-bot", **wide})
        self._remember("release-bot", created["api_key"])
        self._send("release-bot", "PUT", "/templates/python", 200, {"image": "python:3.13"})
        self._send("release-bot", "DELETE", "/workspaces/search", 204)
        narrow = {"scopes": ["workspace:read"], "allow_list": ["workspace:checkout"]}
        self._send("ops-admin", "PATCH", f"/keys/{created['id']}", 200, narrow)
        self._send("release-bot", "GET", "/workspaces/checkout", 200)
        self._send("ops-admin", "DELETE", f"/keys/{created['id']}", 204)
        self._send("release-bot", "GET", "/workspaces/checkout", 401)

    def _send(self, key: str, method: str, path: str, expected: int, body: Mapping[str, Any] | None = None) -> Any:
        status, answer = call(method, self._base + path, self._keys[key], body)
        self.story.requests.append(Sent(key, method, path, status, answer))
        if status != expected:
            raise DemoError(f"{method} {path} with {key} was answered {status}, not {expected}: see the service's log")
        known = len(self.story.rows)
        self.story.rows = _audit_rows(self._database)
        self.story.row_requests += [len(self.story.requests)] * (len(self.story.rows) - known)
        return answer

    def _remember(self, name: str, presented: str) -> None:
        key_id, _, secret = presented.partition(".")
        self._keys[name] = presented
        self.story.key_ids[name] = key_id
        self.story.secrets += [secret, hashlib.sha256(secret.encode()).hexdigest()]


def check_rows(before: Story, after: Story) -> None:
    """Make sure that the instrumented run has the same answers, and rows that name the right key."""
    if before.answers() != after.answers():
        raise DemoError("an answer with the library differs from the answer without it: please report this")
    if len(before.rows) != len(after.rows):
        raise DemoError(f"the same requests left {len(before.rows)} audit rows without and {len(after.rows)} with it")
    for plain, row, number in zip(before.rows, after.rows, after.row_requests, strict=True):
        key_id = after.key_ids[after.requests[number - 1].key]
        fields = dict(row["additional_fields"])
        request_key, subject = fields.pop("request_api_key", None), fields.pop("api_key", None)
        name = f"audit row {row['id']} ({row['resource_type']}.{row['action']})"
        if request_key is None:
            raise DemoError(f"{name} does not carry request_api_key: the service's last log lines above say why")
        if request_key.get("id") != key_id:
            raise DemoError(f"{name} names the key {request_key.get('id')!r}, but {key_id!r} made the request")
        if row["resource_type"] == "api_key" and (subject or {}).get("id") != row["resource_id"]:
            raise DemoError(f"{name} does not carry the key it is about as api_key")
        if fields != plain["additional_fields"]:
            raise DemoError(f"{name} has other additional fields than without instrumentation")
    _check_explanations(after)


def _check_explanations(after: Story) -> None:
    """Make sure that the refused request names the missing permission, and the row of the narrowed key the loss."""
    refused = after.row_of(after.number_of("acme-partner", "DELETE"))["additional_fields"]["request_api_key"]
    if (refused["decisions"][-1]["required"], refused["decisions"][-1].get("outcome")) != (
        ["workspace:delete"],
        "denied",
    ):
        raise DemoError("the row of the refused request does not name the missing permission")
    narrowed = after.row_of(after.number_of("ops-admin", "PATCH"))["additional_fields"]["api_key"]
    if narrowed.get("changes", {}).get("power") != "narrowed":
        raise DemoError("the row about the narrowed key does not name the lost permissions")


def check_secrets(after: Story, spans: str) -> None:
    """Make sure that no row and no span contains a secret or the hash of a secret."""
    everything = json.dumps(after.rows) + spans
    if any(secret in everything for secret in after.secrets):
        raise DemoError("a key's secret appears in an audit row or a span: please report this")


def _audit_rows(database: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM audit_log ORDER BY id")]
    connection.close()
    for row in rows:
        row["bytes"] = len(row["additional_fields"].encode())
        row["additional_fields"] = json.loads(row["additional_fields"])
    return rows
