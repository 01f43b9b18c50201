"""A server under real load: requests per second of its CPU time, and what a request with a real row in SQLite notices.

All variants serve at once, each in a process of its own, and are put under load in turn, in several rounds.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import application
from benchmarks.children import ROOT, command, environ
from benchmarks.figures import Figure
from benchmarks.load import Load, p99, put_under_load
from benchmarks.measure import Effort

VARIANTS = ("plain", "hand", "ours")
PATIENCE = 60
FINER = 4
"""With SQLite there are more and shorter turns: the disk has its moods."""


@dataclass(frozen=True)
class Turn:
    """One load on one server.

    Attributes:
        load: What the requests noticed.
        cpu_seconds: What the server's process used.
    """

    load: Load
    cpu_seconds: float

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of the server's CPU time."""
        return len(self.load.latencies) / self.cpu_seconds


def server_figures(effort: Effort) -> Iterator[Figure]:
    """Put the servers under load."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {variant: stack.enter_context(serving(variant, folder)) for variant in VARIANTS}
        _check_rows(servers)
        thin = under_load(servers, "workspaces", effort.loads, effort.load)
        without = {name: servers[name] for name in ("plain", "ours")}
        stored = under_load(without, "stored", effort.loads * FINER, effort.load // FINER // 2)
    yield cpu_figure(thin)
    yield from sqlite_figures(stored)


def cpu_figure(found: dict[str, list[Turn]]) -> Figure:
    """Return how many requests a second of the server's CPU time answers, against code by hand."""
    pairs = zip(found["ours"], found["hand"], strict=True)
    return Figure(
        "server.cpu",
        "requests per CPU second, ours against by hand",
        median(ours.per_cpu_second / hand.per_cpu_second for ours, hand in pairs),
        1.0,
        higher_is_better=True,
        details={name: round(median(turn.per_cpu_second for turn in turns)) for name, turns in found.items()},
    )


def sqlite_figures(found: dict[str, list[Turn]]) -> Iterator[Figure]:
    """Return what a request notices whose row goes to SQLite, against the same without us."""
    pairs = zip(found["ours"], found["plain"], strict=True)
    yield Figure(
        "server.sqlite.throughput",
        "throughput with a row in SQLite, against without us",
        median(ours.load.per_second / plain.load.per_second for ours, plain in pairs),
        0.97,
        higher_is_better=True,
        details={name: round(median(turn.load.per_second for turn in turns)) for name, turns in found.items()},
    )
    latest = {name: p99([one for turn in turns for one in turn.load.latencies]) for name, turns in found.items()}
    yield Figure(
        "server.sqlite.p99",
        "p99 latency with a row in SQLite, against without us",
        latest["ours"] / latest["plain"],
        1.05,
        is_steady=False,
        details={f"{name}, ms": round(seconds * 1000, 1) for name, seconds in latest.items()},
    )


@contextmanager
def serving(variant: str, folder: Path) -> Iterator[str]:
    """Have a server run; yields where."""
    port_file = folder / f"{variant}.port"
    arguments = (variant, port_file, folder / f"{variant}.sqlite")
    process = subprocess.Popen(command("benchmarks.served", *arguments), cwd=ROOT, env=environ())
    try:
        deadline = time.monotonic() + PATIENCE
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server {variant!r} did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port_file.read_text()}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def under_load(servers: dict[str, str], path: str, rounds: int, requests: int) -> dict[str, list[Turn]]:
    """Put every server under load in each round, in another order each time; return its turns."""
    for base in servers.values():
        put_under_load(f"{base}/{path}", requests)
    order = list(servers)
    shuffle = random.Random(rounds).shuffle
    found: dict[str, list[Turn]] = {name: [] for name in servers}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            before = _cpu_seconds(servers[name])
            load = put_under_load(f"{servers[name]}/{path}", requests)
            found[name].append(Turn(load, _cpu_seconds(servers[name]) - before))
    return found


def _cpu_seconds(base: str) -> float:
    return float(_get(f"{base}/cpu")["seconds"])


def _check_rows(servers: dict[str, str]) -> None:
    """Make sure that ours and by hand write the same members, and that without us there are none."""
    names = {name: set(_get(f"{base}/row").get("request_api_key", ())) for name, base in servers.items()}
    if names["plain"] or not names["ours"] or names["ours"] != names["hand"]:
        raise AssertionError(f"the rows differ: {names}")


def _get(url: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"x-api-key": application.CREDENTIAL})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found
