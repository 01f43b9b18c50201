"""Start and stop the service as a real server process, and talk to it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class DemoError(Exception):
    """The demo cannot continue; the message is one line with the remedy.

    Attributes:
        log: The last lines of the service's log, if they explain the error.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def uvicorn_command() -> list[str]:
    """Return the command that starts the service on a free port that uvicorn chooses."""
    return [
        sys.executable,
        "-B",
        "-m",
        "uvicorn",
        "shop.main:app",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-access-log",
    ]


def instrumented(command: list[str]) -> list[str]:
    """Put `opentelemetry-instrument`, from this Python's environment, in front of a command."""
    scripts = sysconfig.get_path("scripts")
    instrument = shutil.which("opentelemetry-instrument", path=scripts) or shutil.which("opentelemetry-instrument")
    if instrument is None:
        raise DemoError(
            "opentelemetry-instrument is not installed: run `make demo`, or pip install opentelemetry-distro"
        )
    return [instrument, *command]


@contextmanager
def running(command: list[str], settings: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run the service while the block runs, and give its address.

    Args:
        command: Starts the service.
        settings: Environment variables added to the caller's own, except those of OpenTelemetry.
        log: The file that receives the service's output.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=HERE, env={**_environment(), **settings}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def call(method: str, url: str, key: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    """Send one request with an API key, and return the status and the decoded body of the answer."""
    request = urllib.request.Request(  # noqa: S310 (the address is the one the service printed)
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=START_SECONDS) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read() or b"null")
    except OSError as error:
        raise DemoError(f"the service did not answer {method} {url} ({error}): run the demo again") from error


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _environment() -> dict[str, str]:
    # Only the demo's own variables may configure the service. The headers are for the endpoint that receives the spans.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "OTEL_EXPORTER_OTLP_HEADERS" or not name.startswith(("OTEL_", "FASTAPI_OTEL_"))
    }
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the service logs its address, and return the address."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        listening = re.search(r"running on (http://[\d.]+:\d+)", log.read_text(encoding="utf-8", errors="replace"))
        if listening:
            return listening[1]
        time.sleep(0.05)
    raise DemoError("the service did not start: its last log lines above say why", last_lines(log))
