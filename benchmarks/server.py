"""Compare servers that write rows to SQLite, with the library and with F1: separate processes, under load in turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.application import CREDENTIAL
from benchmarks.figure import Figure

ROOT: Final = Path(__file__).resolve().parent.parent
CONNECTIONS: Final = 8
PATIENCE: Final = 60
"""Maximum number of seconds for a server to start or to end."""

_MESSAGE: Final = (
    f"POST /workspaces HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nx-api-key: {CREDENTIAL}\r\n\r\n".encode()
)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Put both servers under load in each round."""
    rounds, requests = (2, 10) if quick else (31, 15)
    rates: dict[str, list[float]] = {"F1": [], "ours": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {variant: stack.enter_context(serving(variant, folder)) for variant in rates}
        for turn in range(rounds + 1):
            for variant in sorted(ports, reverse=turn % 2 == 0):
                rate = asyncio.run(_requests_per_second(ports[variant], requests))
                if turn:  # the first round warms up
                    rates[variant].append(rate)
    yield Figure(
        "server.sqlite",
        "throughput of an endpoint that writes its row to SQLite, against F1",
        median(ours / hand for ours, hand in zip(rates["ours"], rates["F1"], strict=True)),
        0.97,
        higher_is_better=True,
        details={f"{variant}, requests/s": round(median(found)) for variant, found in rates.items()},
    )


@contextmanager
def serving(variant: str, folder: Path) -> Iterator[int]:
    """Run a server; yield its port.

    Raises:
        AssertionError: The server did not start.
    """
    port_file = folder / f"{variant}.port"
    command = [sys.executable, "-m", "benchmarks.service", variant, str(port_file), str(folder / f"{variant}.sqlite")]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + PATIENCE
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server {variant!r} did not start")
            time.sleep(0.05)
        yield int(port_file.read_text())
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def _requests_per_second(port: int, requests: int) -> float:
    started = time.perf_counter()
    await asyncio.gather(*(_connection(port, requests) for _ in range(CONNECTIONS)))
    return CONNECTIONS * requests / (time.perf_counter() - started)


async def _connection(port: int, requests: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        writer.write(_MESSAGE)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        if not head.startswith(b"http/1.1 200"):
            raise AssertionError(f"the answer was {head[:30]!r}")
    writer.close()
    await writer.wait_closed()
