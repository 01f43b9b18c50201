"""The totals of a process are recorded for the command that started it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, shutil, sys
from pathlib import Path
from otel_keyaudit.cli.records import RecordWriter

class Calls(RecordWriter):
    def totals(self): return {"calls": 1}
    def forked(self): pass

folder = Path(sys.argv[1])
Calls(folder).begin()
if sys.argv[2] == "gone":
    shutil.rmtree(folder)
if sys.argv[3] == "child":
    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("process", ["alone", "child"])
@pytest.mark.parametrize("state", ["present", "gone"])
def test_the_last_totals_are_written_at_exit(tmp_path: Path, state: str, process: str) -> None:
    """A daemon may outlive the command, which removes the directory; its exit is silent, as without the library."""
    folder = tmp_path / "records"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), state, process], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    records = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert records == ([{"calls": 1}] * (2 if process == "child" else 1) if state == "present" else [])


UNNOTICED_FORK = """
import ctypes, os, sys
from pathlib import Path
from otel_keyaudit.cli.records import RecordWriter

class Calls(RecordWriter):
    calls = 0
    def totals(self): return {"calls": self.calls}
    def forked(self): pass

writer = Calls(Path(sys.argv[1]))
child = ctypes.PyDLL(None).fork()
writer.calls = 1 if child else 2
writer.write()
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


def test_a_fork_that_python_does_not_notice_has_a_file_of_its_own(tmp_path: Path) -> None:
    """A server such as uWSGI forks in C, without Python's functions for a forked child; no record replaces another."""
    subprocess.run([sys.executable, "-c", UNNOTICED_FORK, str(tmp_path)], check=True, timeout=60)
    files = [[json.loads(line) for line in file.read_text().splitlines()] for file in tmp_path.glob("*.jsonl")]
    assert sorted(files, key=str) == [[{"calls": 1}], [{"calls": 2}]]
