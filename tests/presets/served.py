"""Requests to an application in its own processes, and their rows and spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from presets.processes import SECONDS, Served, serving
from support.environment.eventually import eventually

PROCESSES = {"gunicorn": 2, "gunicorn-threads": 2, "gunicorn-uvicorn": 2, "granian": 2, "granian-wsgi": 2}
MOST_ROUNDS = 50
ACCEPT = {"Accept": "application/json, text/event-stream"}
Keys = dict[str, dict[str, str]]
"""Headers by key id."""


@dataclass(frozen=True)
class Application:
    """An application, and how it is asked.

    Attributes:
        app: Its module and name.
        path: Where requests go.
        variables: Of its processes.
        body: JSON that is sent.
        is_traced: Something opens server spans.
        anonymous: The outcome of a request without a key; some libraries refuse it as they do one with a wrong key.
    """

    app: str
    path: str
    variables: Mapping[str, str]
    body: Any = None
    is_traced: bool = True
    anonymous: str | None = None


def assert_served(application: Application, server: str, keys: Keys, folder: Path) -> None:
    """Assert that rows and spans name their own request's key.

    Requests with each key, with a wrong one and with none are sent at once, until each process has answered some.
    """
    with serving(server, application.app, folder, application.variables) as served:
        rounds = 0
        while rounds < 2 or _processes(served) < PROCESSES.get(server, 1):
            assert rounds < MOST_ROUNDS
            _send(served, application, keys)
            rounds += 1
            _wait_for(served, rows=len(keys) * rounds, spans=(len(keys) + 2) * rounds * application.is_traced)

    _check_rows(served, Counter(dict.fromkeys(keys, rounds)))
    if application.is_traced:
        outcomes = [*["accepted"] * len(keys), "denied", application.anonymous]
        _check_server_spans(served, Counter(outcomes * rounds))
    for headers in keys.values():
        (value,) = headers.values()
        secret = value.rpartition(" ")[2].rpartition(".")[2]
        assert secret not in served.output()


def _send(served: Served, application: Application, keys: Keys) -> None:
    """Send a request with each key, one with a wrong key and one with none, all at once."""
    wrong = {name: f"{value[:-4]}AAAA" for name, value in next(iter(keys.values())).items()}
    allowed = [*keys.values()]

    def answer(headers: Mapping[str, str]) -> int:
        sent = {**(ACCEPT if application.body else {}), **headers}
        response = httpx.post(f"{served.address}/{application.path}", headers=sent, json=application.body, timeout=60)
        return response.status_code // 100

    with ThreadPoolExecutor(len(allowed) + 2) as pool:
        answers = list(pool.map(answer, [*allowed, wrong, {}]))
    assert answers == [2] * len(allowed) + [4, 4]


def _wait_for(served: Served, rows: int, spans: int) -> None:
    assert eventually(lambda: min(len(served.rows()), len(served.writes())) >= rows, SECONDS)
    assert eventually(lambda: len(served.server_spans()) >= spans, SECONDS)


def _processes(served: Served) -> int:
    return len({span["process"] for span in served.spans("INTERNAL")})


def _check_rows(served: Served, expected: Counter[str]) -> None:
    rows, writes = served.rows(), {span["trace_id"]: span for span in served.writes()}
    servers = {span["trace_id"]: span for span in served.server_spans()}
    assert Counter(row["request_api_key"]["id"] for row in rows) == expected
    for row in rows:
        said = row["request_api_key"]
        write = writes[said["trace_id"]]
        for span in (write, servers.get(said["trace_id"], write)):
            assert span["attributes"]["keyaudit.key.id"] == said["id"]


def _check_server_spans(served: Served, outcomes: Mapping[str | None, int]) -> None:
    spans = [span["attributes"] for span in served.server_spans()]
    assert Counter(span.get("keyaudit.outcome") for span in spans) == outcomes
    for span in spans:
        has_key = any(name.startswith("keyaudit.key") for name in span)
        assert has_key is (span.get("keyaudit.outcome") == "accepted")
