"""Servers that no entry point knows name the key of a request if they are instrumented, and no key otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
SECONDS = 60
PACKAGES = {
    "aiohttp": ("aiohttp", "opentelemetry.instrumentation.aiohttp_server"),
    "tornado": ("tornado", "opentelemetry.instrumentation.tornado"),
    "grpc": ("grpc", "opentelemetry.instrumentation.grpc"),
    "grpc_interceptor": ("grpc", "opentelemetry.instrumentation.grpc"),
    "grpc_aio": ("grpc", "opentelemetry.instrumentation.grpc"),
    "grpc_aio_interceptor": ("grpc", "opentelemetry.instrumentation.grpc"),
    "sanic": ("sanic", "opentelemetry.instrumentation.sanic"),
}
REMEDIES = {"aiohttp": "aiohttp-server", "tornado": "tornado", "sanic": "sanic"}
INSTRUMENTATIONS = "aiohttp-server,tornado,grpc_server,grpc_aio_server,sanic"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _serving(framework: str, log: Path, **variables: str) -> Iterator[int]:
    """Run a server under ``opentelemetry-instrument``; yield its port."""
    port = _free_port()
    program = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, str(HERE / "server.py")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    env |= {
        "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": "__main__:verify",
        "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "__main__:record",
    }
    with log.open("wb") as file:
        process = subprocess.Popen([*program, framework, str(port)], env=env | variables, stderr=file)
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server does not listen")


def _by_http(port: int) -> Callable[[str], str]:
    def call(credential: str) -> str:
        headers = {"x-api-key": credential} if credential else {}
        return httpx.get(f"http://127.0.0.1:{port}/", headers=headers, timeout=SECONDS).text

    return call


def _by_grpc(port: int) -> Callable[[str], str]:
    grpc: Any = pytest.importorskip("grpc")

    def call(credential: str) -> str:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            metadata = [("x-api-key", credential)] if credential else []
            answer: bytes = channel.unary_unary("/Shop/Do")(b"", metadata=metadata, timeout=SECONDS)
            return answer.decode()

    return call


def _answers(framework: str, port: int) -> list[str]:
    """Return the answers to several requests at once, and to one without a key."""
    call = (_by_grpc if framework.startswith("grpc") else _by_http)(port)
    with ThreadPoolExecutor(4) as pool:
        return [*pool.map(call, [f"k{number}" for number in range(20)]), call("")]


@pytest.mark.parametrize("framework", PACKAGES)
def test_with_its_instrumentation(framework: str, tmp_path: Path) -> None:
    """Each row names the key of its own request."""
    for package in PACKAGES[framework]:
        pytest.importorskip(package)
    with _serving(framework, tmp_path / "log") as port:
        assert _answers(framework, port) == [*(f"k{number}" for number in range(20)), "none"]


@pytest.mark.parametrize("framework", PACKAGES)
def test_without_its_instrumentation(framework: str, tmp_path: Path) -> None:
    """No row names a key, since there is no request; one warning names the remedy."""
    pytest.importorskip(PACKAGES[framework][0])
    log = tmp_path / "log"
    with _serving(framework, log, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=INSTRUMENTATIONS) as port:
        assert set(_answers(framework, port)) == {"none"}
    (warning,) = [line for line in log.read_text().splitlines() if line.startswith("keyaudit: ")]
    assert "__main__:verify" in warning
    assert "NoRequestError: it accepted a key outside of every request" in warning
    assert f"opentelemetry-instrumentation-{REMEDIES.get(framework, 'grpc')} (" in warning
    assert "`with use_key(key):`" in warning
