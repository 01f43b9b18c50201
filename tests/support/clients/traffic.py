"""Requests to :mod:`support.services.service`, and the rows and spans that they must leave."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_trace_id

from otel_keyaudit.testing import Recorder
from support.services import service


@dataclass(frozen=True)
class Sent:
    """A request, by its nonce.

    Attributes:
        key: The presented key; empty for none, ``wrong`` for a key that is refused.
    """

    nonce: str
    key: str
    dependency: str
    place: str
    mounted: bool = False

    @property
    def path(self) -> str:
        return f"{'/mounted' if self.mounted else ''}/{self.dependency}/{self.place}/{self.nonce}"

    @property
    def headers(self) -> dict[str, str]:
        return service.headers(self.dependency, self.key)

    @property
    def row_count(self) -> int:
        """How many rows it writes: one is in no doubt whether it was reached."""
        if self.key == "wrong":
            return 1 if self.place == "dispatch" else 0
        return 2 if self.place == "gather" else 1

    @property
    def row_key(self) -> str | None:
        """The key that its rows must name."""
        known = self.key not in ("", "wrong") and self.place not in service.UNKNOWN_PLACES
        return self.key if known else None

    @property
    def span_key(self) -> str | None:
        """The key that its server span must name."""
        return self.key if self.key not in ("", "wrong") else None


def every_kind(prefix: str = "") -> list[Sent]:
    """Return a request of every kind, with and without a key, in the application and in the mounted one."""
    return [
        Sent(f"{prefix}n{number}.", f"{prefix}k{number}" if has_key else "", dependency, place, mounted)
        for number, (dependency, place, has_key, mounted) in enumerate(
            (dependency, place, has_key, mounted)
            for dependency in (*service.DEPENDENCIES, "middleware")
            for place in service.PLACES
            for has_key, mounted in ((True, False), (False, False), (True, True))
        )
    ]


def mixed(count: int, seed: int) -> list[Sent]:
    """Return requests of random kinds; most have a key of their own, some share one, some have none or a wrong one."""
    choose = random.Random(seed)
    requests = []
    for number in range(count):
        dependency = choose.choice((*service.DEPENDENCIES, "middleware"))
        key = choose.choices((f"k{number}", f"k{number % 7}", "", "wrong"), (70, 10, 15, 5))[0]
        if key == "wrong" and dependency == "middleware":
            key = ""
        place = choose.choice(list(service.PLACES))
        requests.append(Sent(f"n{number}.", key, dependency, place, choose.random() < 0.2))
    return requests


async def send(client: httpx.AsyncClient, requests: Iterable[Sent], concurrency: int = 50) -> None:
    """Send all requests, some at a time."""
    limit = asyncio.Semaphore(concurrency)

    async def one(sent: Sent) -> None:
        async with limit:
            response = await client.post(sent.path, headers=sent.headers)
            assert response.status_code == (401 if sent.key == "wrong" else 200), (sent, response.text)

    await asyncio.gather(*map(one, requests))


def wrong_rows(requests: Iterable[Sent]) -> list[tuple[Sent, list[Any]]]:
    """Return the requests whose rows do not name exactly the request's own key."""
    found = defaultdict(list)
    for row in service.rows:
        found[row.nonce].append(row.key_id)
    return [(sent, found[sent.nonce]) for sent in requests if found[sent.nonce] != [sent.row_key] * sent.row_count]


def wrong_audit_spans(requests: Iterable[Sent], recorder: Recorder) -> list[tuple[Sent, list[Any]]]:
    """Return the requests whose audit spans do not name exactly the request's own key."""
    found = defaultdict(list)
    for span in recorder.audit_spans():
        attributes = span.attributes or {}
        found[attributes["keyaudit.resource.id"]].append(attributes.get("keyaudit.key.id"))
    return [(sent, found[sent.nonce]) for sent in requests if found[sent.nonce] != [sent.row_key] * sent.row_count]


def server_spans(recorder: Recorder) -> dict[str, list[ReadableSpan]]:
    """Return the server spans of each nonce, the last part of a path, outermost first."""
    found = defaultdict(list)
    for span in sorted(recorder.server_spans(), key=lambda span: span.start_time or 0):
        attributes = span.attributes or {}
        path = str(attributes.get("url.path") or attributes.get("http.target"))
        found[path.rpartition("/")[2]].append(span)
    return found


def wrong_server_spans(requests: Iterable[Sent], recorder: Recorder) -> list[tuple[Sent, list[Any]]]:
    """Return the requests whose outermost server span, and no other, does not name exactly the request's own key."""
    found = server_spans(recorder)
    wrong = []
    for sent in requests:
        keys = [(span.attributes or {}).get("keyaudit.key.id") for span in found[sent.nonce]]
        if not keys or keys != [sent.span_key] + [None] * (len(keys) - 1):
            wrong.append((sent, keys))
    return wrong


def strayed_audit_spans(requests: Iterable[Sent], recorder: Recorder) -> list[Sent]:
    """Return the requests with an audit span outside of the trace of their outermost server span."""
    traces = defaultdict(set)
    for span in recorder.audit_spans():
        assert span.context is not None
        traces[(span.attributes or {})["keyaudit.resource.id"]].add(format_trace_id(span.context.trace_id))
    found = server_spans(recorder)
    strayed = []
    for sent in requests:
        if sent.place not in service.UNKNOWN_PLACES and traces[sent.nonce]:
            context = found[sent.nonce][0].context
            assert context is not None
            if traces[sent.nonce] != {format_trace_id(context.trace_id)}:
                strayed.append(sent)
    return strayed


def expected_writes(requests: Iterable[Sent]) -> dict[str, int]:
    """Return the expected counts of writes."""
    counted = Counter(
        {True: "attributed", False: "none"}[sent.row_key is not None]
        for sent in requests
        for _ in range(sent.row_count)
    )
    return {"attributed": counted["attributed"], "ambiguous": 0, "none": counted["none"], "failed": 0}
