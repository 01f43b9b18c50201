"""Measure ``otel-keyaudit report`` on many rows in SQLite: CPU time and peak memory of the command.

The rows of a day (``day.py``) are written with the sampler ``on_change``. They are measured as they are, with a
decision in each row, and in full.

As a program: ``python -m benchmarks.report PATH KIND NUMBER`` writes the rows. It is another process, because the peak
memory of a process includes the memory of the process that starts it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.day import day, writing
from benchmarks.figure import Figure

COLUMNS: Final = "at, action, resource_type, resource_id, outcome, additional_fields"
COMMAND: Final = (sys.executable, "-m", "otel_keyaudit", "report", "--format", "json")
PLAIN: Final = """
import sqlite3, sys, orjson
path, columns = sys.argv[1:]
for row in sqlite3.connect(path).execute(f"SELECT {columns} FROM audit_log"):
    orjson.loads(row[-1])
"""
"""A program that reads and parses the rows, and does nothing with them."""
KEYS: Final = 1_000
"""Number of keys. The benchmark of SQL has ten times as many."""

Row = tuple[str, str, str, str, str, str]


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure the command on each kind of rows."""
    number = 2_000 if quick else 1_000_000
    for kind, title in (
        ("minimal", "minimal rows, a full one after each change"),
        ("decided", "the same rows with a decision in each"),
        ("full", "full rows with a decision in each"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "audit.sqlite")
            subprocess.run([sys.executable, "-m", "benchmarks.report", path, kind, str(number)], check=True)
            seconds, mebibytes = measure(*COMMAND, path)
            plain, _ = measure(sys.executable, "-c", PLAIN, path, COLUMNS)
        details = {
            "rows": number,
            "peak memory, MiB (at most 400)": mebibytes,
            "reading and parsing alone, CPU s": plain,
        }
        yield Figure(f"report.{kind}", f"report: {title}, CPU s", seconds, None if quick else 6, details=details)


def rows(kind: str, number: int) -> Iterator[Row]:
    """Return rows that the library has written, in the order of their time. The rows of a day repeat."""
    with writing("always_full" if kind == "full" else "on_change") as write_row:
        written = [(event, write_row(count, event)) for count, event in enumerate(day(min(number, KEYS * 100)))]
    for count in range(number):
        event, fields = written[count % len(written)]
        at = time.strftime("2026-11-23T%H:%M:%SZ", time.gmtime(count * 86_400 // number))
        if kind != "minimal":
            fields = with_decision(fields, event.action)
        yield (at, event.action, event.resource_type, f"{event.resource_type}_{count}", "ok", fields)


def with_decision(fields: str, action: str) -> str:
    """Return the fields with a granted decision in the member of the request."""
    parsed: dict[str, Any] = json.loads(fields)
    permission = f"workspace:{action}"
    decision = {"required": [permission], "outcome": "granted", "cause": "scope", "scopes": [permission]}
    parsed.get("request_api_key", {})["decisions"] = [decision]
    return json.dumps(parsed)


def write(path: Path, written: Iterator[Row]) -> None:
    """Write rows into an SQLite file."""
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE audit_log ({COLUMNS})")
    connection.executemany("INSERT INTO audit_log VALUES (?, ?, ?, ?, ?, ?)", written)
    connection.commit()
    connection.close()


def measure(*command: str | Path) -> tuple[float, float]:
    """Run a command; return its CPU time in seconds and its peak memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    write(Path(sys.argv[1]), rows(sys.argv[2], int(sys.argv[3])))
