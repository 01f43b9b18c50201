"""Measure the memory that the library keeps for each key that it remembers."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Final

from benchmarks import application
from benchmarks.figure import Figure
from benchmarks.variants import Scenario, Variants

FIRST: Final = 200
"""Number of keys before the measurement, so that everything else has been allocated."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Make requests with many keys, each with JSON text and each with a new key object."""
    count = 500 if quick else 4_000
    variants = Variants(Scenario("recorded", audit_spans=True), application.TEXT)
    with variants.request("ours") as request:
        application.present(application.make_key())
        for _ in range(2 * FIRST):  # fills the caches that are bounded by the number of rows
            request()
        before = after = 0
        tracemalloc.start()
        try:
            for number in range(FIRST + count):
                application.present(application.make_key(number=number))
                request()
                if number == FIRST - 1:
                    before = _traced()
            after = _traced()
        finally:
            tracemalloc.stop()
    yield Figure(
        "memory.key",
        "memory for each remembered key (6 scopes, 4 allowed), kB",
        (after - before) / count / 1000,
        4,
        details={"keys": count},
    )


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
