"""Servers in processes of their own, under ``opentelemetry-instrument``, as people start them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.environment.eventually import eventually

COMMANDS = {
    "uvicorn": "uvicorn {app} --host 127.0.0.1 --port {port}",
    "gunicorn": "gunicorn {app} --workers 2 --bind 127.0.0.1:{port}",
    "gunicorn-threads": "gunicorn {app} --workers 2 --threads 2 --bind 127.0.0.1:{port}",
    "gunicorn-tornado": "gunicorn {app} --worker-class tornado --bind 127.0.0.1:{port}",
    "gunicorn-uvicorn": "gunicorn {app} -w 2 --worker-class uvicorn_worker.UvicornWorker --bind 127.0.0.1:{port}",
    "granian": "granian {app} --interface asgi --workers 2 --host 127.0.0.1 --port {port}",
    "granian-wsgi": "granian {app} --interface wsgi --workers 2 --host 127.0.0.1 --port {port}",
    "cheroot": "cheroot {app} --bind 127.0.0.1:{port}",
    "daphne": "daphne {app} --bind 127.0.0.1 --port {port}",
    # Its workers would be processes that do not inherit what opentelemetry-instrument does.
    "hypercorn": "hypercorn {app} --workers 0 --bind 127.0.0.1:{port}",
    "hypercorn-wsgi": "hypercorn wsgi:{app} --workers 0 --bind 127.0.0.1:{port}",
}
SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Attributes:
        address: Where it listens.
        folder: Where its files are.
    """

    address: str
    folder: Path

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the audit log so far."""
        return _lines(self.folder / "rows")

    def spans(self, kind: str) -> list[dict[str, Any]]:
        """Return the spans of a kind that were exported so far."""
        return [span for span in _lines(self.folder / "spans") if span["kind"] == kind]

    def server_spans(self) -> list[dict[str, Any]]:
        """Return the outermost server spans: some libraries open further ones inside."""
        return [span for span in self.spans("SERVER") if span["is_outermost"]]

    def writes(self) -> list[dict[str, Any]]:
        """Return the spans of audit writes."""
        return [span for span in self.spans("INTERNAL") if span["name"].startswith("audit ")]

    def counters(self) -> list[tuple[str, dict[str, Any], int]]:
        """Return the last values of the library's counters in each process: name, attributes, value."""
        last = {line["process"]: line["counters"] for line in _lines(self.folder / "counters")}
        return [(name, attributes, value) for counters in last.values() for name, attributes, value in counters]

    def output(self) -> str:
        """Return all that came out of the processes, spans and rows included."""
        return "".join(path.read_text() for path in self.folder.iterdir() if path.is_file())


@contextmanager
def serving(server: str, app: str, folder: Path, variables: Mapping[str, str]) -> Iterator[Served]:
    """Serve an application; afterwards all processes have ended.

    Args:
        server: Which one.
        app: Module and name of the application.
        folder: An empty folder.
        variables: Of the processes.
    """
    port = _free_port()
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    command = COMMANDS[server].format(app=app, port=port).split()
    program = str(Path(sys.executable).with_name(command[0]))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [instrument, program, *command[1:]],
            env=_environment(folder, variables),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            assert eventually(lambda: _listens(port) or process.poll() is not None, SECONDS)
            assert process.poll() is None, (folder / "log").read_text()
            yield Served(f"http://127.0.0.1:{port}", folder)
        finally:
            _end(process)


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    site = folder / "site"
    exporter = site / "telemetry_files-1.0.dist-info"
    exporter.mkdir(parents=True)
    (exporter / "METADATA").write_text("Metadata-Version: 2.1\nName: telemetry_files\nVersion: 1.0\n")
    (exporter / "entry_points.txt").write_text(
        "[opentelemetry_traces_exporter]\nfile = presets.apps.telemetry_files:SpanFile\n"
        "[opentelemetry_metrics_exporter]\nfile = presets.apps.telemetry_files:CounterFile\n"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    path = [str(site), str(Path(__file__).parents[1])]
    path += [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path),
        "SPAN_FILE": str(folder / "spans"),
        "COUNTER_FILE": str(folder / "counters"),
        "AUDIT_LOG": str(folder / "rows"),
        "OTEL_TRACES_EXPORTER": "file",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        **variables,
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
