"""Record totals in the processes of a user's command, for the ``otel-keyaudit`` command that runs it.

Each process appends JSON lines to its own file, and each line has the totals so far. A thread writes them every tenth
of a second, so that a process that is killed loses at most that much. A process that is terminated loses nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, RLock, Thread, current_thread, main_thread
from types import FrameType
from typing import Any

from otel_keyaudit.guard.guard import quietly

DIRECTORY = "_OTEL_KEYAUDIT_RECORDS"
"""Environment variable with the directory of the files."""

INTERVAL = 0.1
"""Seconds between two writes."""


class RecordWriter:
    """Writes the totals of this process and of its forked children into files.

    Args:
        directory: Directory of the files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last = ""
        self._handler: Any = None
        self._start_file()

    def totals(self) -> Any:
        """Return the totals so far as JSON, or an empty value."""
        raise NotImplementedError

    def forked(self) -> None:
        """Forget the totals of the parent process."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start writing: when the totals have changed, at exit, and in forked children."""
        atexit.register(quietly, self.write)  # a daemon may outlive the command and its directory
        os.register_at_fork(after_in_child=self._begin_in_child)
        # servers that restore this handler and send themselves the signal again skip atexit
        if current_thread() is main_thread() and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            self._handler = signal.signal(signal.SIGTERM, self._terminated)
        self._start_thread()

    def write(self) -> None:
        """Append the totals if they have changed."""
        if os.getpid() != self._process:  # uWSGI forks without running Python's functions for a forked child
            self._start_file()
        with self._lock:
            totals = self.totals()
            line = json.dumps(totals, default=_refused)
            if totals and line != self._last:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
                self._last = line

    def _start_file(self) -> None:
        self._process = os.getpid()
        self._file = self._directory / f"{self._process}-{time.time_ns()}.jsonl"
        self._last = ""
        self._lock = RLock()  # the signal can arrive while the main thread writes

    def _start_thread(self) -> None:
        Thread(target=self._run, args=(Event(),), name="keyaudit-records", daemon=True).start()

    def _run(self, never: Event) -> None:
        while not never.wait(INTERVAL):
            quietly(self.write)  # the application may change the totals meanwhile; the next write has them

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """Write the totals, and end the process as the signal does without this handler."""
        quietly(self.write)
        if callable(self._handler):
            self._handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _begin_in_child(self) -> None:
        self.forked()
        self._start_file()
        self._start_thread()
        if "multiprocessing.util" in sys.modules:  # its processes skip atexit
            from multiprocessing import util  # noqa: PLC0415 - only where the application has it

            util.register_after_fork(self, RecordWriter._write_at_worker_exit)

    def _write_at_worker_exit(self) -> None:
        from multiprocessing import util  # noqa: PLC0415 - only where the application has it

        util.Finalize(None, quietly, (self.write,), exitpriority=100)


def read_records(directory: Path) -> Iterator[Any]:
    """Yield the totals of each process, ordered by the time of its last write."""
    for path in sorted(directory.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
        complete = path.read_text(encoding="utf-8").split("\n")[:-1]
        if complete:
            yield json.loads(complete[-1])


def directory_of_records() -> Path | None:
    """Return the directory from the environment, ``None`` if no ``otel-keyaudit`` command started this process."""
    directory = os.environ.get(DIRECTORY)
    return Path(directory) if directory else None


def _refused(_: object) -> None:
    """Replace a value that is not JSON by ``null``."""
