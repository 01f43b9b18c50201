"""Count the bytecodes that a request executes. The count is reproducible, so ``make bench-check`` compares it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from statistics import mean
from types import FrameType
from typing import Any, Final

from benchmarks import application, service
from benchmarks.figure import Figure
from benchmarks.variants import ROWS, SCENARIOS, Scenario, Variants

WARM_UP: Final = 30

GOALS: Final = {
    Scenario("recorded", audit_spans=False): 1_300,
    Scenario("recorded", audit_spans=True): 1_500,
    Scenario("dropped", audit_spans=False): 1_500,
    Scenario("none", audit_spans=False): 1_300,
}
"""Bytecodes beyond F1 if spans are recorded; otherwise all that the library adds, because F1 then does hardly
anything."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Count the bytecodes that the library adds to a request."""
    application.present(application.make_key())
    for scenario in SCENARIOS:
        counts = [_counts(scenario, fields) for fields in ROWS.values()]
        plain, by_hand, ours = (mean(count[name] for count in counts) for name in ("plain", "F1", "ours"))
        details = {"F1 adds": by_hand - plain, "ours / F1": (ours - plain) / (by_hand - plain)}
        if scenario.telemetry == "recorded":
            title, value = f"bytecodes added beyond F1: {scenario.title}", ours - by_hand
        else:
            title, value = f"bytecodes added: {scenario.title}", ours - plain
        yield Figure(f"bytecodes.{scenario.name}", title, value, GOALS.get(scenario), details=details)
    plain, by_hand, ours = (_count_in_fastapi(variant) for variant in ("plain", "F1", "ours"))
    yield Figure(
        "bytecodes.fastapi",
        "bytecodes beyond F1 of a FastAPI request with contrib's tracing and audit span, in % of the plain request",
        100 * (ours - by_hand) / plain,
        9,
        details={"plain request": plain, "beyond F1": ours - by_hand},
    )


def bytecodes(work: Callable[[], Any]) -> int:
    """Return the number of bytecodes that one call executes, after a warm-up.

    Raises:
        AssertionError: Two counts in a row differ.
    """
    for _ in range(WARM_UP):
        work()
    gc.collect()
    gc.disable()
    try:
        _count(work)  # since Python 3.12, tracing a code for the first time misses some of it
        first, second = _count(work), _count(work)
    finally:
        gc.enable()
    if first != second:
        raise AssertionError(f"the count does not repeat: {first}, {second}")
    return second


def _counts(scenario: Scenario, fields: Any) -> dict[str, int]:
    variants = Variants(scenario, fields)
    counts = {}
    for name in ("plain", "F1", "ours"):
        with variants.request(name) as request:
            counts[name] = bytecodes(request)
    return counts


def _count_in_fastapi(variant: str) -> int:
    with service.request(variant) as request:
        return bytecodes(request)


def _count(work: Callable[[], Any]) -> int:
    executed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal executed
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        executed += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return executed
