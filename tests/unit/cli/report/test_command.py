"""The command in its surroundings: progress in a terminal, interruption, output that cannot be written."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey
from support.commands.report import full, lines, row, run
from support.environment.eventually import eventually

ROW = lines([row(full(ApiKey("k_ci", "ci-bot", ["workspace:create"])))]).encode()
COMMAND = (sys.executable, "-m", "otel_keyaudit", "report", "-", "--format", "json")


class Terminal:
    """The text that a terminal has shown so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = b""

    def shows(self, text: bytes) -> bool:
        """Check whether the terminal has shown a text."""
        with suppress(BlockingIOError):
            self._text += os.read(self._descriptor, 65_536)
        return text in self._text


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """Run the command with standard error in a terminal."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    environment = {**os.environ, "TERM": "xterm"}
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": theirs}
    try:
        with subprocess.Popen(COMMAND, env=environment, **streams) as process:
            yield process, Terminal(ours)
            process.kill()
    finally:
        os.close(ours)
        os.close(theirs)


def test_progress_is_the_number_of_rows() -> None:
    """While the command reads, a terminal on standard error shows the number of rows so far."""
    with running() as (process, terminal):
        assert process.stdin is not None
        process.stdin.write(ROW * 1_200)
        process.stdin.flush()
        assert eventually(lambda: terminal.shows(b"reading: 1,200 rows"))
        output, _ = process.communicate()
        assert (process.returncode, b'"rows": 1200' in output) == (0, True)


def test_interruption_ends_the_command() -> None:
    """Ctrl-C ends it with one line and without a report."""
    with running() as (process, terminal):
        assert process.stdin is not None
        process.stdin.write(ROW)
        process.stdin.flush()
        assert eventually(lambda: terminal.shows(b"reading: 1 rows"))
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
        assert process.stdout is not None
        assert process.stdout.read() == b""
        assert eventually(lambda: terminal.shows(b"Aborted!"))
        assert not terminal.shows(b"Traceback")


def run_outside(*arguments: str, device: str | None = None, encoding: str = "utf-8") -> tuple[int, bytes, bytes]:
    """Run the command in a separate process, with a key whose name is not ASCII.

    Returns:
        The exit status, standard output, unless it goes to a device, and standard error.
    """
    rows = lines([row(full(ApiKey("k_ci", "caf\u00e9 \u2026", ["workspace:create"])))]).encode()
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with Path(device or os.devnull).open("wb") as file:
        done = subprocess.run(
            [*COMMAND[:-2], *arguments],
            input=rows,
            stdout=file if device else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("output_format", ["table", "json", "html"])
def test_output_that_cannot_be_written(output_format: str) -> None:
    """One line and status 2 report that standard output is full."""
    status, _, errors = run_outside("--format", output_format, device="/dev/full")
    assert (status, errors) == (2, b"keyaudit: cannot write the report: No space left on device\n")


def test_characters_that_the_terminal_cannot_show_are_escaped() -> None:
    """The encoding of standard output does not stop the report. A page is in the encoding that it declares."""
    assert b"k_ci  caf\\xe9 \\u2026" in run_outside(encoding="ascii")[1]
    assert "café …".encode() in run_outside("--format", "html", encoding="latin-1")[1]


def test_input_without_any_readable_row_gets_a_hint() -> None:
    """The report is empty, and one line on standard error explains the expected format."""
    result = run("-", stdin="at,action\n2026-11-23,read\n")
    assert (result.status, result.json["rows_unreadable"]) == (0, 2)
    assert result.errors == (
        "keyaudit: none of the 2 rows could be read; expected a database, or one JSON object on each line\n"
    )
    assert run("-", stdin=b"text\n" + ROW).errors == ""


@pytest.mark.parametrize("at", [None, "23.11.2026 16:00"])
def test_rows_without_any_time_get_a_hint(at: Any) -> None:
    """The report has no period, and one line on standard error names the column and the expected forms."""
    result = run("-", "--since", "30d", stdin=lines([row(None, at=at), row(None, at=at)]))
    assert (result.status, result.json["rows"], result.json["to"]) == (0, 2, None)
    assert result.errors == (
        "keyaudit: none of the 2 rows has a time in 'at' that could be read; expected ISO 8601 or a number since 1970\n"
    )
    assert run("-", stdin=lines([row(None, at=at), row(None)])).errors == ""
    assert run("-", stdin="").errors == ""


def test_garbage_collector_is_on_again() -> None:
    """The command pauses it while it reads, also when it fails."""
    assert gc.isenabled()
    run("-", stdin=ROW)
    run("/no/such/file")
    assert gc.isenabled()
