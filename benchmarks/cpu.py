"""Compare the CPU time that the library adds to a request with code by hand.

Times depend on the machine, ratios less so. Each round runs all variants, so that a disturbance affects all of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from statistics import median
from timeit import Timer
from typing import Final

from benchmarks import application
from benchmarks.figure import Figure
from benchmarks.variants import ROWS, Scenario, Variants

NAMES: Final = ("plain", "F1", "F3", "ours")
GOALS: Final = {"F1": {False: 1.85, True: 1.55}, "F3": {False: 0.95, True: 1.0}}
WARM_UP: Final = 20


def figures(*, quick: bool) -> Iterator[Figure]:
    """Compare with F1 and F3."""
    application.present(application.make_key())
    for audit_spans in (False, True):
        scenario = Scenario("recorded", audit_spans)
        added = _added(scenario, rounds=3 if quick else 41, requests=10 if quick else 100)
        for hand in ("F1", "F3"):
            yield Figure(
                f"cpu.{hand}.{scenario.name}",
                f"CPU time added against {hand}: {scenario.title}",
                added["ours"] / added[hand],
                GOALS[hand][audit_spans],
                details={f"{name}, µs": added[name] for name in (hand, "ours")},
            )


def _added(scenario: Scenario, rounds: int, requests: int) -> dict[str, float]:
    """Return the microseconds that each variant adds to the plain request: the median of all rounds, both rows."""
    variants = [Variants(scenario, fields) for fields in ROWS.values()]
    order = list(NAMES)
    shuffle = random.Random(rounds).shuffle
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(sum(_microseconds(variant, name, requests) for variant in variants) / len(variants))
    return {
        name: median(with_it - plain for with_it, plain in zip(times[name], times["plain"], strict=True))
        for name in NAMES[1:]
    }


def _microseconds(variants: Variants, name: str, requests: int) -> float:
    """Return the CPU time of one request."""
    with variants.request(name) as request:
        timer = Timer(request, timer=time.process_time)
        timer.timeit(WARM_UP)
        return timer.timeit(requests) / requests * 1e6
