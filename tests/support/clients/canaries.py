"""Secrets in every place where a client can put one, and the search for them in all outputs."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from otel_keyaudit.testing.secret_search import finder, texts

CANARIES = [
    "c4nary-1",
    "cänary-❄-2" + "é" * 20,
    "C4NARY_3/" + "x" * 503,
    "канарейка 4 " + "🐤" * 100,
]
"""ASCII and other characters, 8 to 512 of them."""

PLACES = ("header", "query", "body", "cookie", "basic", "nothing")
"""The place of a canary in its request."""

WAYS = ("create", "denied", "fails", "subject", "refused")
"""The ways in which the application uses a canary."""


def requests() -> Iterator[tuple[str, str, str]]:
    """Yield canary, place and way of every request."""
    for number, canary in enumerate(CANARIES):
        for place in PLACES:
            for way in WAYS if number < 2 else WAYS[:3]:
                yield canary, place, way


def send(port: int) -> list[int]:
    """Send every request; return the answers' statuses."""
    return [_answer(port, *request) for request in requests()]


def _answer(port: int, canary: str, place: str, way: str) -> int:
    headers: dict[str, bytes | str] = {"content-type": "application/json", "x-place": place}
    query = "?key=" + urllib.parse.quote(canary) if place == "query" else ""
    if place == "header":
        headers["x-api-key"] = canary.encode()
    elif place == "cookie":
        headers["cookie"] = b"session=" + canary.encode()
    elif place == "basic":
        headers["authorization"] = b"Basic " + base64.b64encode(b"me:" + canary.encode())
    body = json.dumps({"key": canary} if place == "body" else {})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", f"/{way}{query}", body, headers)
        with connection.getresponse() as response:
            response.read()
            return response.status


def holds_canary(value: Any) -> bool:
    """Say whether a canary is anywhere in a value, as it is or encoded in any of the ways that are looked for."""
    return any(find(text) for text in texts(value) for find in _FINDERS)


_FINDERS = [finder(canary) for canary in CANARIES]


Found = dict[str, Counter[str]]


def hits(folder: Path) -> Found:
    """Count the canaries in the files of a service, by output."""
    return {
        "spans": Counter(place for span in _lines(folder / "spans") for place in _in_span(span)),
        "metrics": Counter("metrics" for one in _lines(folder / "metrics") if holds_canary(one)),
        "logs": Counter(place for log in _lines(folder / "logs") for place in _in_log(log)),
        "otel_logs": Counter(place for log in _lines(folder / "otel_logs") for place in _in_log(log)),
        "rows": Counter(name for row in _lines(folder / "rows") for name in row if holds_canary([name, row[name]])),
        "texts": Counter("texts" for text in _lines(folder / "texts") if holds_canary(text)),
        "printed": Counter(
            line.split()[0]
            for name in ("stdout", "stderr")
            for line in (folder / name).read_text(encoding="utf-8").splitlines()
            if holds_canary(line)
        ),
    }


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _in_span(span: dict[str, Any]) -> Iterator[str]:
    parts = {"name": span["name"], "status": span["status"], "resource": span["resource"]}
    parts |= span["attributes"]
    parts |= {f"event.{name}": value for event in span["events"] for name, value in event["attributes"].items()}
    parts |= {f"link.{name}": value for link in span["links"] for name, value in link["attributes"].items()}
    kind = "audit span" if span["name"].startswith("audit") else span["kind"]
    for name, value in parts.items():
        if holds_canary([name, value]):
            yield f"{kind} {name}"


def _in_log(log: dict[str, Any]) -> Iterator[str]:
    parts = {"body": log["body"], "resource": log.get("resource"), **(log["attributes"] or {})}
    for name, value in parts.items():
        if holds_canary([name, value]):
            yield f"{log.get('logger', 'OpenTelemetry')} {name}"
