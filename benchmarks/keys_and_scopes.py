"""Measure how the CPU time of a request grows with the number of keys in use, and with the scopes of a key."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from statistics import median
from timeit import Timer
from typing import Final

from benchmarks import application
from benchmarks.application import Key, make_key, present
from benchmarks.figure import Figure
from benchmarks.variants import Scenario, Variants

KEYS: Final = 5_000
FEW_SCOPES, MANY_SCOPES = 100, 1_000
SCENARIO: Final = Scenario("recorded", audit_spans=True)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Compare many keys with one, and many scopes with few."""
    count = 200 if quick else KEYS
    keys = [make_key(number=number) for number in range(count)]
    shuffled = random.Random(count).choices(keys, k=len(keys))
    yield _ratio("keys", f"CPU time of a request, {count:,} keys at random against one key", shuffled, keys[:1], 1.25)
    many, few = (make_key(scopes=scopes) for scopes in (MANY_SCOPES, FEW_SCOPES))
    title = f"CPU time of a request, a key of {MANY_SCOPES:,} scopes against {FEW_SCOPES}"
    yield _ratio("scopes", title, [many], [few], 1.5)


def _ratio(name: str, title: str, keys: Sequence[Key], others: Sequence[Key], goal: float) -> Figure:
    variants = Variants(SCENARIO, application.TEXT)
    requests = max(len(keys), 200)
    times: tuple[list[float], list[float]] = [], []
    with variants.request("ours") as request:
        for _ in range(12):  # the first turn warms up
            for used, found in zip((keys, others), times, strict=True):
                source = cycle(used)

                def work(source: Iterator[Key] = source) -> None:
                    present(next(source))
                    request()

                found.append(Timer(work, timer=time.process_time).timeit(requests) / requests * 1e6)
    measured, reference = (median(found[1:]) for found in times)
    details = {"µs": measured, "reference, µs": reference}
    return Figure(f"growth.{name}", title, measured / reference, goal, details=details)
