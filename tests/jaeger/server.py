"""Start a real Jaeger on free loopback ports, and ask it what it has."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import urlopen

T = TypeVar("T")

HOST = "127.0.0.1"
PORTS = ("OTLP_GRPC", "OTLP_HTTP", "QUERY", "QUERY_GRPC", "HEALTH", "METRICS")
READY = "Everything is ready"
SECONDS = 60
ATTEMPTS = 3


class Jaeger:
    """A Jaeger process and its query API.

    Attributes:
        otlp: Base URL of OTLP over HTTP, as for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        query: Base URL of the UI and the query API.
    """

    def __init__(self, binary: Path, config: Path, folder: Path, **environment: str) -> None:
        self._command = [str(binary), f"--config={config}"]
        self._folder = folder
        self._environment = environment
        self._log = folder / "jaeger.log"

    def __enter__(self) -> Jaeger:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves; a port that somebody else took meanwhile means another try."""
        for attempt in range(1, ATTEMPTS + 1):
            self._spawn()
            if self._is_ready():
                return
            self.stop()
            if "address already in use" not in self.log() or attempt == ATTEMPTS:
                raise RuntimeError(f"Jaeger did not start, its log ends with: {self.log()[-2000:]}")

    def stop(self) -> None:
        """Let it finish what it has received, and wait for its end."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def log(self) -> str:
        """Return what it has logged since its last start."""
        return self._log.read_text()

    def services(self) -> list[str]:
        """Return the names of the services it knows."""
        return self.get_json("/api/services")["data"] or []

    def search(self, service: str, tags: dict[str, str], limit: int = 100) -> list[dict[str, Any]]:
        """Return the traces of a service with a span that has all these attributes."""
        return self.find({"service": service, "tags": json.dumps(tags), "limit": str(limit)})

    def find(self, parameters: dict[str, str]) -> list[dict[str, Any]]:
        """Return the traces that `/api/traces` finds for the parameters of a search in the UI."""
        traces: list[dict[str, Any]] = self.get_json("/api/traces", **parameters)["data"]
        return traces

    def trace(self, trace_id: str) -> dict[str, Any]:
        """Return a trace in Jaeger's own JSON."""
        (trace,) = self.get_json(f"/api/traces/{trace_id}")["data"]
        return dict(trace)

    def otlp_trace(self, trace_id: str) -> dict[str, Any]:
        """Return a trace in OTLP JSON."""
        return dict(self.get_json(f"/api/v3/traces/{trace_id}")["result"])

    def get_json(self, path: str, **parameters: str) -> Any:
        """Return the JSON of a path of the query API."""
        return json.loads(get(f"{self.query}{path}?{urlencode(parameters)}"))

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of one of its own metrics over all series with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in get(f"{self._metrics}/metrics").splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(label in line for label in wanted))

    def _spawn(self) -> None:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.otlp, self.query, self._metrics = (
            f"http://{HOST}:{ports[name]}" for name in ("OTLP_HTTP", "QUERY", "METRICS")
        )
        variables = {f"JAEGER_{name}_PORT": str(port) for name, port in ports.items()}
        variables |= {"JAEGER_LISTEN_HOST": HOST, "JAEGER_DATA": str(self._folder / "data"), **self._environment}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, **variables}, cwd=self._folder, stdout=log, stderr=log
            )

    def _is_ready(self) -> bool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if READY in self.log():
                return True
            time.sleep(0.05)
        return False


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def get(url: str) -> str:
    """Return the body that a URL answers with."""
    with urlopen(url, timeout=SECONDS) as answer:  # noqa: S310  our own http URLs only
        return str(answer.read().decode())


def eventually(question: Callable[[], T], is_enough: Callable[[T], object] = bool) -> T:
    """Ask until the answer is enough, or for a minute, and return the last answer for the test to judge.

    Args:
        question: Asks.
        is_enough: Judges an answer; spans are stored one batch after the other, so that a search may find a part first.
    """
    end = time.monotonic() + SECONDS
    while not is_enough(answer := question()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer
