"""Where the time of a call goes, by samples: no profiler makes small functions look dearer than they are.

Each sample is put to the account of the innermost function of ours on the stack, together with what that function calls
elsewhere (the SDK, the standard library): so each line is something that could be left out.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from itertools import repeat
from pathlib import Path
from types import FrameType

import otel_keyaudit
from benchmarks import application
from benchmarks.calls import ROWS, SCENARIOS, WARM_UP, Bench, Scenario
from benchmarks.measure import cpu_per_call

CPU_SECONDS = 20.0
INTERVAL = 0.001
"""Seconds of CPU time between samples; the kernel may make it longer."""

PACKAGE = str(Path(otel_keyaudit.__file__).parent)
AROUND = "boundaries."
REQUEST = "the request itself, and the application"

Samples = Counter[tuple[str, str]]
"""How many samples, by function of ours and by what it called elsewhere."""


def profile(cpu_seconds: float = CPU_SECONDS, top: int = 15) -> None:
    """Print where the time goes in the two scenarios with recorded spans."""
    application.present(application.make_key())
    for scenario in SCENARIOS[:2]:
        samples, request = sampled(scenario, cpu_seconds)
        total = samples.total()
        print(f"\n{scenario.title}: {request:.0f} µs a request, by {total} samples")
        by_function: Counter[str] = Counter()
        for (function, _), count in samples.items():
            by_function[function] += count
        for function, count in by_function.most_common(top + 1):
            elsewhere = Counter({callee: n for (one, callee), n in samples.items() if one == function and callee})
            callees = ", ".join(f"{callee} {n * request / total:.1f}" for callee, n in elsewhere.most_common(3))
            print(f"{count / total:6.1%} {count * request / total:6.1f} µs  {function}  {callees}".rstrip())
        modules: Counter[str] = Counter()
        for function, count in by_function.items():
            modules[function if function == REQUEST else function.partition(".")[0]] += count
        print("by module:", ", ".join(f"{name} {n * request / total:.1f}" for name, n in modules.most_common(top)))


def sampled(scenario: Scenario, cpu_seconds: float) -> tuple[Samples, float]:
    """Make requests for a while and take samples; return them and microseconds per request."""
    bench = Bench(scenario)
    requests = [bench.request("ours", rows) for rows in ROWS]
    samples: Samples = Counter()

    def take(_: int, frame: FrameType | None) -> None:
        samples[account(frame)] += 1

    def both() -> None:
        for request in requests:
            request()

    with bench.switched("ours"):
        cpu_per_call(both, WARM_UP)
        before = signal.signal(signal.SIGPROF, take)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        try:
            end = time.process_time() + cpu_seconds
            calls = 0
            started = time.process_time()
            while time.process_time() < end:
                calls += 100
                for _ in repeat(None, 100):
                    both()
            elapsed = time.process_time() - started
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
    return samples, elapsed / calls / len(requests) * 1e6


def account(frame: FrameType | None) -> tuple[str, str]:
    """Return the innermost function of ours on the stack, and what it called elsewhere."""
    callee = ""
    while frame is not None:
        name = _name(frame)
        if not frame.f_code.co_filename.startswith(PACKAGE):
            callee = name
        elif not (callee and name.startswith(AROUND)):  # what runs inside an entry point is there without us too
            return name, callee
        frame = frame.f_back
    return REQUEST, ""


def _name(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    place = path.parent.name if path.stem == "__init__" else path.stem
    return f"{place}.{getattr(frame.f_code, 'co_qualname', frame.f_code.co_name)}"
