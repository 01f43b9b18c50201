"""Memory after many calls with many keys, against memory after few: it must not grow. In a process of its own.

As a program: ``python -m benchmarks.memory SAMPLER FIRST CALLS KEYS``.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from opentelemetry import trace

from benchmarks import application
from benchmarks.calls import Bench, Scenario, instrumented
from benchmarks.children import result_of
from benchmarks.figures import Figure
from benchmarks.measure import Effort

SHARE = 100
"""Memory is first looked at after a hundredth of the calls, with as large a share of the keys."""

STATM = Path("/proc/self/statm")


def memory_figures(effort: Effort) -> Iterator[Figure]:
    """Measure with the default sampler and, in the full form, with the one that remembers snapshots."""
    calls, keys = effort.memory_calls, effort.memory_keys
    first = max(calls // SHARE, min(10_000, calls // 2))
    for sampler in ("always_full", "on_change") if effort.full else ("always_full",):
        found = result_of("benchmarks.memory", sampler, first, calls, keys)
        before, after = found["before"], found["after"]
        is_default = sampler == "always_full"
        yield Figure(
            f"memory.{sampler}",
            f"memory after {calls:,} calls with {keys:,} keys against {first:,} calls, {sampler}",
            after["rss"] / before["rss"],
            1.02 if is_default else None,
            is_steady=is_default,
            details={"blocks": round(after["blocks"] / before["blocks"], 4), "before": before, "after": after},
        )


def measured(sampler: str, first: int, calls: int, keys: int) -> dict[str, dict[str, int]]:
    """Make calls, each with the next key, and look at memory after the first ones and after all."""
    bench = Bench(Scenario("memory", "memory", None, "recorded", True))
    request = bench.request("ours", "text")
    found = {}
    with instrumented(bench.provider, sampler=sampler):
        for number in range(calls):
            application.present(application.make_key(number=number % keys))
            request()
            if number + 1 in (first, calls):
                found["after" if number + 1 == calls else "before"] = _usage()
    assert trace.get_current_span() is trace.INVALID_SPAN  # noqa: S101 - else requests would pile up in the context
    return found


def _usage() -> dict[str, int]:
    """Return resident memory, the blocks that Python's allocator has given out, and the objects it can collect."""
    gc.collect()
    return {"rss": _resident(), "blocks": sys.getallocatedblocks(), "objects": len(gc.get_objects())}


def _resident() -> int:
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # no better than the peak so far, elsewhere than on Linux


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], *map(int, sys.argv[2:]))))
