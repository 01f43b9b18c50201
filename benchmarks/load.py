"""Load on a server over a real socket: by `hey` where it is installed, else by the few lines here."""

from __future__ import annotations

import asyncio
import csv
import shutil
import subprocess
import time
from dataclasses import dataclass

from benchmarks.application import CREDENTIAL

CONNECTIONS = 8
HEADER = f"x-api-key: {CREDENTIAL}"


@dataclass(frozen=True)
class Load:
    """What a load found.

    Attributes:
        seconds: How long it took.
        latencies: Of each request, in seconds.
    """

    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return len(self.latencies) / self.seconds


def p99(latencies: list[float]) -> float:
    """Return the time within which 99 of 100 requests were answered."""
    return sorted(latencies)[int(len(latencies) * 0.99)]


def put_under_load(url: str, requests: int) -> Load:
    """Send POST requests over a few connections that are kept open, each as soon as the last one was answered.

    Raises:
        AssertionError: Not every request was answered with 200.
    """
    started = time.perf_counter()
    latencies = _by_hey(url, requests) if shutil.which("hey") else asyncio.run(_by_ourselves(url, requests))
    return Load(time.perf_counter() - started, latencies)


def _by_hey(url: str, requests: int) -> list[float]:
    command = ["hey", "-n", str(requests), "-c", str(CONNECTIONS), "-m", "POST", "-H", HEADER, "-o", "csv", url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answers = list(csv.DictReader(done.stdout.splitlines()))
    wrong = [answer["status-code"] for answer in answers if answer["status-code"] != "200"]
    if wrong or len(answers) < requests // CONNECTIONS * CONNECTIONS:
        raise AssertionError(f"{len(wrong)} of {len(answers)} answers were not 200: {wrong[:3]}")
    return [float(answer["response-time"]) for answer in answers]


async def _by_ourselves(url: str, requests: int) -> list[float]:
    each = requests // CONNECTIONS
    found = await asyncio.gather(*(_connection(url, each) for _ in range(CONNECTIONS)))
    return [latency for latencies in found for latency in latencies]


async def _connection(url: str, requests: int) -> list[float]:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    message = f"POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n{HEADER}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(name, int(port))
    latencies = []
    for _ in range(requests):
        started = time.perf_counter()
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        latencies.append(time.perf_counter() - started)
        if not head.startswith(b"http/1.1 200"):
            raise AssertionError(f"the answer was {head[:30]!r}")
    writer.close()
    await writer.wait_closed()
    return latencies
