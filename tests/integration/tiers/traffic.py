"""Sends traces as the library writes them, part by part, as OTLP to two collectors in turn."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

SPANS_IN_A_TRACE = 5
SERVER_SPAN = "POST /orders"
EARLY = ("authenticate", "audit order.create")
LATE = ("insert", "publish", SERVER_SPAN)
TRACES_IN_A_REQUEST = 100
SECONDS = 60

EVERY_REFUSED = 20
EVERY_FULL = 100


@dataclass
class Traffic:
    """The traffic of one service. Every 20th request is refused, every 100th writes a row with full detail.

    The ending spans of a request, with the server span, go to another collector than its first ones.

    Attributes:
        sent: The number of traces.
        refused: The ids of the refused traces.
        full: The ids of the traces with full detail.
    """

    service: str
    collectors: list[str]
    sent: int = 0
    refused: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    _begun: dict[str, tuple[int, int]] = field(default_factory=dict)

    def send(self, traces: int) -> set[str]:
        """Send whole traces and return the ids of the refused ones."""
        refused: set[str] = set()
        while traces:
            batch = min(traces, TRACES_IN_A_REQUEST)
            begun = self.begin(batch)
            self.finish(begun)
            refused |= self.refused & set(begun)
            traces -= batch
        return refused

    def begin(self, traces: int) -> list[str]:
        """Send the first spans of new traces and return their ids."""
        ids = [self._begin_one() for _ in range(traces)]
        self._post(0, [span for trace in ids for span in self._spans(trace, EARLY)])
        return ids

    def finish(self, traces: list[str]) -> None:
        """Send the other spans of traces."""
        self._post(1, [span for trace in traces for span in self._spans(trace, LATE)])

    def _begin_one(self) -> str:
        number = self.sent
        # Random as real ids are: the ingesters' memory of decisions knows a trace by one half of its id.
        trace = uuid.uuid4().hex
        self._begun[trace] = (number, time.time_ns())
        self.sent += 1
        if number % EVERY_REFUSED == 0:
            self.refused.add(trace)
        elif number % EVERY_FULL == 1:
            self.full.add(trace)
        return trace

    def _spans(self, trace: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
        _, start = self._begun[trace]
        return [
            {
                "traceId": trace,
                "spanId": span_id(trace, name),
                "parentSpanId": "" if name == SERVER_SPAN else span_id(trace, SERVER_SPAN),
                "name": name,
                "kind": 2 if name == SERVER_SPAN else 1,
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + 1_000_000),
                "attributes": attributes(self._attributes(trace, name)),
            }
            for name in names
        ]

    def _attributes(self, trace: str, name: str) -> dict[str, str]:
        """Return a span's attributes: half of the refusals are denied keys, half are denied decisions."""
        found = {"keyaudit.key.id": "k_ci", "keyaudit.detail": "full" if trace in self.full else "minimal"}
        if trace not in self.refused:
            return found
        number, _ = self._begun[trace]
        by_decision = number // EVERY_REFUSED % 2
        if by_decision and name == "audit order.create":
            return found | {"keyaudit.decision.outcome": "denied"}
        if not by_decision and name == SERVER_SPAN:
            return {"keyaudit.outcome": "denied"}
        return {}

    def _post(self, collector: int, spans: list[dict[str, Any]]) -> None:
        resource = {"attributes": attributes({"service.name": self.service})}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
        request = Request(  # noqa: S310  our own http URLs only
            f"{self.collectors[collector]}/v1/traces",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            assert json.load(answer) == {"partialSuccess": {}}


def span_id(trace: str, name: str) -> str:
    """Return the id of a span, which is always the same."""
    return f"{trace[:15]}{(*EARLY, *LATE).index(name):x}"


def attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    """Return attributes in OTLP JSON."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
