"""The tally keeps one entry for each key and kind of decision, however many rows there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

from otel_keyaudit import ApiKey
from otel_keyaudit.cli.report.tally.tally import Tally
from support.report import denied, full, granted

KEYS = [ApiKey(f"k_{number}", "bot", ["a:x", "a:y"]) for number in range(20)]


def rows(number: int) -> Iterator[tuple[Any, ...]]:
    """Return rows that differ in time, resource and trace."""
    for count in range(number):
        decision = (denied if count % 100 == 0 else granted)("a:x", resource=f"a:{count}")
        member = full(KEYS[count % len(KEYS)], decisions=[decision], trace_id=f"{count:032x}")
        yield (1_795_000_000 + count, "x", "a", str(count), "ok", {"request_api_key": member, "nr": count})


def peak(number: int) -> int:
    """Return the memory at the end, in bytes."""
    tracemalloc.start()
    tally = Tally()
    seen: list[int] = []
    tally.add(rows(number), seen.append)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (tally.rows, len(tally.keys)) == (number, len(KEYS))
    assert seen == list(range(10_000, number + 1, 10_000))
    return used


def test_memory_does_not_grow_with_the_rows() -> None:
    """Only a refused request leaves an entry, which is a number."""
    small, large = peak(1_000), peak(11_000)
    assert large - small < 100_000
