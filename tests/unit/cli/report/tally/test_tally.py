"""The tally keeps one entry for each key and kind of decision, however many rows there are."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.cli.report.tally.tally import Tally
from support.commands.report import LATE, denied, full, granted
from support.environment.instructions import count_instructions

KEYS = [ApiKey(f"k_{number}", "bot", ["a:x", "a:y"]) for number in range(500)]


def rows(number: int, keys: int = 20) -> Iterator[tuple[Any, ...]]:
    """Return rows that differ in time, resource and trace."""
    for count in range(number):
        decision = (denied if count % 100 == 0 else granted)("a:x", resource=f"a:{count}")
        member = full(KEYS[count % keys], decisions=[decision], trace_id=f"{count:032x}")
        yield (1_795_000_000 + count, "x", "a", str(count), "ok", {"request_api_key": member, "nr": count})


def peak(number: int) -> int:
    """Return the memory at the end, in bytes."""
    tracemalloc.start()
    tally = Tally()
    tally.add(rows(number))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (tally.rows, len(tally.keys)) == (number, 20)
    return used


def test_memory_does_not_grow_with_the_rows() -> None:
    """Only a refused request leaves an entry, which is a number."""
    small, large = peak(1_000), peak(11_000)
    assert large - small < 100_000


def instructions(number: int, keys: int) -> int:
    """Return the number of bytecode instructions for some rows, as a database gives them."""
    texts = [(*one[:5], json.dumps(one[5])) for one in rows(number, keys)]
    tally = Tally()
    tally.add(texts)  # the snapshots are known from now on, and Python 3.12 traces every instruction
    return count_instructions(lambda: tally.add(texts))


@pytest.mark.parametrize("keys", [1, 500])
def test_row_costs_few_instructions(keys: int) -> None:
    """A full row with a decision costs the same whether there are few keys or many."""
    count_instructions(lambda: None)
    cost = (instructions(1_500, keys) - instructions(500, keys)) / 1_000
    assert 100 < cost < 490, cost


def test_altered_snapshots_of_one_digest_cost_linear_time() -> None:
    """Each new copy is found by its content instead of a comparison with all others."""

    def cost(number: int) -> int:
        members = [full(KEYS[0]) | {"name": f"{count}"} for count in range(number)]
        altered = [(LATE, "x", "a", "1", "ok", {"request_api_key": member}) for member in members]
        return count_instructions(lambda: Tally().add(altered))

    cost(1)
    assert cost(1_200) < 5 * cost(300)


@pytest.mark.parametrize("odd", [5, {"a": 1}, ["b"], True])
def test_members_of_other_types_are_skipped(odd: Any) -> None:
    """Rows of another writer can have any value in a member."""
    member = full(KEYS[0], decisions=[denied("a:x", resource=odd)], trace_id=odd)
    names = [{"ambiguous": True, "ids": odd}, {"id": odd, "digest": odd}, {"id": "k", "digest": odd}, odd]
    tally = Tally()
    tally.add((LATE, "x", "a", "1", "ok", {"request_api_key": one, "api_key": odd}) for one in (member, *names))
    (use,) = tally.keys["k_0"].decisions.values()
    assert (tally.rows, tally.ambiguous.count, tally.keyless.count, [*tally.keys]) == (5, 1, 2, ["k_0", "k"])
    assert (use.occurrences.count, use.occurrences.first.trace_id) == (1, None)
