"""Servers as child processes on free loopback ports, each with a log file."""

from __future__ import annotations

import contextlib
import os
import runpy
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

T = TypeVar("T")

JAEGER_EXAMPLES = Path(__file__).resolve().parents[1] / "jaeger"
HOST = "127.0.0.1"
SECONDS = 120
ATTEMPTS = 3


class ServerError(Exception):
    """A server cannot be started; the message says in one line why and what to do."""


class Server:
    """A child process. A subclass names its ports and the log line that it writes when it is ready.

    Args:
        name: Name of the log file.
        folder: Folder for the log and the data.
        environment: Environment variables besides the inherited ones.

    Attributes:
        ports: Port numbers by name, chosen again at each start.
    """

    port_names: tuple[str, ...]
    ready: str

    def __init__(self, name: str, folder: Path, **environment: str) -> None:
        self.name = name
        self.ports: dict[str, int] = {}
        self._folder = folder
        self._environment = environment
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it is ready. If a port was taken in the meantime, try others."""
        for _ in range(ATTEMPTS):
            self.ports = dict(zip(self.port_names, free_ports(len(self.port_names)), strict=True))
            self._spawn()
            if self._is_ready():
                return
            self.stop()
            if "address already in use" not in self.log().lower():
                break
        raise ServerError(f"{self.name} did not start; its log {self._log} ends with: {self.log()[-2000:]}")

    def stop(self) -> None:
        """Let the process finish (SIGTERM) and wait for its end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process id, once it was started."""
        return self._process.pid if self._process else None

    def log(self) -> str:
        """Return the log since the last start."""
        return self._log.read_text(errors="replace")

    def _command(self) -> list[str]:
        """Return the program and its arguments."""
        raise NotImplementedError

    def _variables(self) -> dict[str, str]:
        """Return the environment variables that tell the process its ports."""
        return {}

    def _spawn(self) -> None:
        environment = {**os.environ, **self._variables(), **self._environment}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches run.py only, which stops the servers in order.
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self._process and self._process.poll() is None:
            if self.ready in self.log():
                return True
            time.sleep(0.1)
        return False


class Jaeger(Server):
    """A Jaeger process in any role.

    Args:
        binary: The program that `make jaeger` builds.
        config: The configuration, which reads its ports from the environment.
    """

    port_names = ("OTLP_GRPC", "OTLP_HTTP", "QUERY", "QUERY_GRPC", "HEALTH", "METRICS")
    ready = "Everything is ready"

    def __init__(self, binary: Path, config: Path, folder: Path, name: str = "jaeger", **environment: str) -> None:
        super().__init__(name, folder, **environment)
        self._arguments = [str(binary), f"--config={config}"]

    @property
    def otlp(self) -> str:
        """Base URL of OTLP over HTTP, as for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{HOST}:{self.ports['OTLP_HTTP']}"

    @property
    def query(self) -> str:
        """Base URL of the UI and the query API."""
        return f"http://{HOST}:{self.ports['QUERY']}"

    def _command(self) -> list[str]:
        return self._arguments

    def _variables(self) -> dict[str, str]:
        ports = {f"JAEGER_{name}_PORT": str(port) for name, port in self.ports.items()}
        return ports | {"JAEGER_LISTEN_HOST": HOST, "JAEGER_DATA": str(self._folder / "data")}

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of one of the process's own metrics over all series with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = get(f"http://{HOST}:{self.ports['METRICS']}/metrics").splitlines()
        found = [line for line in lines if line.startswith(f"{name}{{") and all(each in line for each in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def jaeger_binary() -> Path:
    """Return the program that `make jaeger` has built.

    Raises:
        ServerError: It is not built yet.
    """
    built: Path | None = runpy.run_path(str(JAEGER_EXAMPLES / "build" / "build.py"))["binary"]()
    if built is None:
        raise ServerError("Jaeger is not built yet: run `make jaeger` (needs Go, takes about 5 minutes once)")
    return built


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


def eventually(question: Callable[[], T], is_enough: Callable[[T], object] = bool, seconds: float = SECONDS) -> T:
    """Ask until the answer is enough or the time is over, and return the last answer."""
    end = time.monotonic() + seconds
    while not is_enough(answer := question()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer
