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
from otel_keyaudit.cli.recorder import Recorder

class Calls(Recorder):
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
    """A daemon may outlive the command, which removes the directory; its exit is silent, as without the recorder."""
    folder = tmp_path / "records"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), state, process], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    records = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert records == ([{"calls": 1}] * (2 if process == "child" else 1) if state == "present" else [])
