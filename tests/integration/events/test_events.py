"""Log events of real servers, as the OTLP JSON file exporter writes them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from processes import HOST, eventually, free_ports
from support.environment.installed import need_package
from support.environment.undisturbed import unmeasured_environment

pytest.importorskip("opentelemetry.exporter.otlp.json.file", reason="opentelemetry-exporter-otlp-json-file is missing")

HERE = Path(__file__).parent
SERVICE = "integration.events.order_service"
SCRIPTS = Path(sys.executable).parent
KEYS = ("k_ci", "k_ops", "k_partner")
WORKERS = 2
ENVIRONMENT = {
    "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": f"{SERVICE}:verify",
    "OTEL_PYTHON_KEYAUDIT_AUTHZ_TARGETS": f"{SERVICE}:require",
    "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": f"{SERVICE}:record",
    "OTEL_PYTHON_KEYAUDIT_EVENTS": "denials,audits,usage",
    "OTEL_LOGS_EXPORTER": "otlp_json_file",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    # No batch is sent because of its age, so that only the end of the process can send the last one.
    "OTEL_BLRP_SCHEDULE_DELAY": "3600000",
    # The exporter writes each line with one call, so that the lines of two processes do not mix.
    "PYTHONUNBUFFERED": "1",
    "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]),
}


@dataclass
class Event:
    """A log record with an event name."""

    name: str
    severity: str
    trace_id: str
    attributes: dict[str, Any]


class Server:
    """A running server.

    Attributes:
        process: The server, or the parent of the processes that serve.
        pids: Ids of the processes that have answered.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.process = process
        self.pids: set[int] = set()
        self._port = port
        self._output = output

    def ask(self, method: str, key: str) -> int:
        """Send a request and return the status; 0 without an answer."""
        request = Request(f"http://{HOST}:{self._port}/orders/7", method=method, headers={"X-API-Key": key})
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310  our own URL
                self.pids.add(int(answer.read()))
                return int(answer.status)
        except HTTPError as error:
            error.close()
            return error.code
        except URLError:
            return 0

    def terminate(self) -> list[Event]:
        """Send SIGTERM, wait for the end and return all events."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        lines = self._output.read_text().splitlines()
        return [event for line in lines if line.startswith('{"resourceLogs"') for event in events(json.loads(line))]


@contextmanager
def serving(folder: Path, command: Callable[[int], list[str]]) -> Iterator[Server]:
    """Run a server under `opentelemetry-instrument` until it answers."""
    (port,) = free_ports(1)
    output = folder / "output"
    inherited = {name: value for name, value in unmeasured_environment().items() if not name.startswith("OTEL_")}
    with (
        output.open("w") as stdout,
        subprocess.Popen(
            [str(SCRIPTS / "opentelemetry-instrument"), *command(port)],
            env={**inherited, **ENVIRONMENT},
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd=HERE,
        ) as process,
    ):
        server = Server(process, port, output)
        try:
            assert eventually(
                lambda: server.ask("POST", "unknown"), lambda status: status or process.poll() is not None
            )
            yield server
        finally:
            process.kill()


def events(document: dict[str, Any]) -> Iterator[Event]:
    """Return the events of an OTLP JSON document."""
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                attributes = {each["key"]: plain(each["value"]) for each in record["attributes"]}
                yield Event(record.get("eventName", ""), record["severityText"], record.get("traceId", ""), attributes)


def plain(value: dict[str, Any]) -> Any:
    """Return the Python value of an OTLP JSON value."""
    ((kind, found),) = value.items()
    if kind == "arrayValue":
        return [plain(each) for each in found.get("values", [])]
    return int(found) if kind == "intValue" else found


def uvicorn_with_workers(port: int) -> list[str]:
    """Return the command for uvicorn with two worker processes."""
    options = ["--workers", str(WORKERS), "--port", str(port), "--no-access-log", "--log-level", "error"]
    # On a busy machine a worker may be too late for the supervisor, which would kill it.
    return [str(SCRIPTS / "uvicorn"), f"{SERVICE}:app", *options, "--timeout-worker-healthcheck", "60"]


def gunicorn_with_workers(port: int) -> list[str]:
    """Return the command for gunicorn with two forked workers."""
    workers = ["--workers", str(WORKERS), "--worker-class", "uvicorn_worker.UvicornWorker"]
    return [str(SCRIPTS / "gunicorn"), f"{SERVICE}:app", *workers, "--bind", f"{HOST}:{port}", "--log-level", "error"]


def forking_server(port: int) -> list[str]:
    """Return the command for a server that forks a process for the requests."""
    return [sys.executable, str(HERE / "forking.py"), str(port)]


@dataclass
class Sent:
    """Numbers of requests.

    Attributes:
        created: Accepted and written requests by key.
        refused: Requests without the permission by key.
        unknown: Requests with an unknown key, at least.
    """

    created: Counter[str]
    refused: Counter[str]


def send(server: Server, processes: int) -> Sent:
    """Send requests until each key has created 20 orders and each process has answered."""
    sent = Sent(Counter(), Counter())
    while len(server.pids) < processes or min(sent.created[key] for key in KEYS) < 20:
        for key in KEYS:
            assert server.ask("POST", key) == 200
            sent.created[key] += 1
        assert server.ask("DELETE", KEYS[0]) == 403
        sent.refused[KEYS[0]] += 1
    assert server.ask("POST", "unknown") == 401
    return sent


def used(found: list[Event]) -> Counter[str]:
    """Return the accepted requests of each key, as its usage events count them."""
    counts: Counter[str] = Counter()
    for event in found:
        if event.name == "keyaudit.usage":
            counts[event.attributes["keyaudit.key.id"]] += event.attributes["keyaudit.usage.requests"]
    return counts


def decisions(found: list[Event]) -> Counter[tuple[str, str, str]]:
    """Return the decisions of each key, permission and outcome, as usage events count them."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for event in found:
        if event.name == "keyaudit.usage":
            lists = (event.attributes[f"keyaudit.usage.{name}"] for name in ("permissions", "outcomes", "counts"))
            for permission, outcome, count in zip(*lists, strict=True):
                counts[event.attributes["keyaudit.key.id"], permission, outcome] += count
    return counts


def check(found: list[Event], sent: Sent) -> None:
    """Check that the events report each request once."""
    audits = [event for event in found if event.name == "keyaudit.audit"]
    denials = [event for event in found if event.name == "keyaudit.denial"]
    assert Counter(event.attributes["keyaudit.key.id"] for event in audits) == sent.created
    assert {event.severity for event in audits} == {"INFO"}
    by_decision = [event for event in denials if "keyaudit.decision.outcome" in event.attributes]
    assert Counter(event.attributes["keyaudit.key.id"] for event in by_decision) == sent.refused
    assert {event.attributes["keyaudit.outcome"] for event in denials if event not in by_decision} == {"denied"}
    assert {event.severity for event in denials} == {"WARN"}
    assert all(event.trace_id for event in [*audits, *denials])
    assert used(found) == sent.created + sent.refused
    assert decisions(found) == {
        **{(key, "order:create", "granted"): count for key, count in sent.created.items()},
        **{(key, "order:delete", "denied"): count for key, count in sent.refused.items()},
    }


LATE_PROVIDER = f"""
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from otel_keyaudit import KeyAuditInstrumentor
from {SERVICE} import verify

KeyAuditInstrumentor().instrument(auth_targets=["{SERVICE}:verify"], events="usage")
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(FileLogExporter(), schedule_delay_millis=3_600_000))
_logs.set_logger_provider(provider)
tracer = TracerProvider().get_tracer("shop")
with tracer.start_as_current_span("POST", kind=trace.SpanKind.SERVER):
    verify("k_ci")
"""


def test_usage_is_sent_at_exit_to_a_provider_configured_later() -> None:
    """At exit the usage reaches a logger provider that the application configured after `instrument()`."""
    environment = {**unmeasured_environment(), "PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}
    command = [sys.executable, "-c", LATE_PROVIDER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert used([event for line in done.stdout.splitlines() for event in events(json.loads(line))]) == {"k_ci": 1}


def test_sigterm_loses_no_event_of_two_workers(tmp_path: Path) -> None:
    """Each request that two uvicorn workers answered is in the events once, after SIGTERM."""
    with serving(tmp_path, uvicorn_with_workers) as server:
        sent = send(server, WORKERS)
        found = server.terminate()

    check(found, sent)


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_sigterm_loses_no_event_of_gunicorn(tmp_path: Path, preload: list[str]) -> None:
    """Each request that two forked workers answered is in the events once, wherever the application was imported."""
    for package in ("gunicorn", "uvicorn_worker"):
        need_package(package)
    with serving(tmp_path, lambda port: [*gunicorn_with_workers(port), *preload]) as server:
        sent = send(server, WORKERS)
        found = server.terminate()

    check(found, sent)


def test_forked_process_sends_only_its_own_events(tmp_path: Path) -> None:
    """A forked process starts with no usage, sends its own events, and loses none at SIGTERM."""
    with serving(tmp_path, forking_server) as server:
        sent = send(server, 1)
        found = server.terminate()

    sent_before_the_fork = used(found).pop("k_before_the_fork", 0)
    assert sent_before_the_fork <= 1
    check([event for event in found if event.attributes.get("keyaudit.key.id") != "k_before_the_fork"], sent)
