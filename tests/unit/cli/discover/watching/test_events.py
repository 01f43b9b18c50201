"""Calls are reported from the start of the process until its exit."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit
from otel_keyaudit.cli.discover.watching.events import watch

class Observer:
    seen = []
    def watches(self, code): return code.co_name in ("work", "fail")
    def called(self, frame): self.seen.append("called")
    def returned(self, frame, value, is_end): self.seen.append("returned")
    def raised(self, frame): self.seen.append("raised")

def work(): pass

@atexit.register
def last():
    work()
    print(Observer.seen)

watch(Observer())
work()
"""


def test_nothing_is_reported_after_the_exit_handlers() -> None:
    """Then Python clears the modules, and an error of the observer would reach the application's finalizers."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "['called', 'returned']\n")
