"""Measures CPU time in rounds: in each round every variant has its turn, so that what disturbs one disturbs all.

Only ratios are worth comparing: absolute times depend on the machine and on what else it does. CPU time of the process
is taken, not wall time, and the median over the rounds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from statistics import median
from typing import Any

Batch = Callable[[], float]
"""Runs a variant for a while and returns microseconds per call."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: How often every variant has its turn.
        calls: How many calls a turn has.
        loads: How often each server is put under load.
        load: Requests of one load.
        memory_calls: Calls after which memory is compared.
        memory_keys: Distinct keys among them.
        rows: Audit rows of the simulated day.
        sql_rows: Audit rows in a database.
        processes: How often what can be measured once per process is repeated.
        full: This is the full form.
    """

    rounds: int
    calls: int
    loads: int
    load: int
    memory_calls: int
    memory_keys: int
    rows: int
    sql_rows: int
    processes: int
    full: bool


FULL = Effort(
    rounds=101,
    calls=100,
    loads=9,
    load=3000,
    memory_calls=1_000_000,
    memory_keys=100_000,
    rows=100_000,
    sql_rows=1_000_000,
    processes=11,
    full=True,
)
QUICK = replace(
    FULL,
    rounds=21,
    calls=60,
    loads=3,
    load=400,
    memory_calls=30_000,
    memory_keys=5_000,
    rows=10_000,
    sql_rows=20_000,
    processes=3,
    full=False,
)
TINY = replace(
    QUICK, rounds=2, calls=3, loads=1, load=64, memory_calls=2_000, memory_keys=500, rows=500, sql_rows=500, processes=1
)
"""For the tests of the benchmarks themselves: everything runs, nothing is measured."""


def cpu_per_call(function: Callable[[], Any], calls: int) -> float:
    """Return microseconds of CPU time per call of a function."""
    started = time.process_time_ns()
    for _ in repeat(None, calls):
        function()
    return (time.process_time_ns() - started) / calls / 1000


def interleaved(variants: Mapping[str, Batch], rounds: int) -> dict[str, list[float]]:
    """Give every variant its turn in each round, in another order each time; return the times by variant."""
    shuffle = random.Random(rounds).shuffle
    order = list(variants)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(variants[name]())
    return times


def added(times: list[float], without: list[float]) -> float:
    """Return the median of what was added, round by round."""
    return median(with_it - plain for with_it, plain in zip(times, without, strict=True))
