"""The steps of a long command, and the summary at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

from environments import StepError, say


class Results:
    """What was run, with outcome and time; a failed step does not stop the others.

    Args:
        name: The command that this is.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.failed = 0
        self.started = time.monotonic()

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Run one step and note how it went."""
        started = time.monotonic()
        try:
            function()
        except StepError as error:
            self.note(f"{name:<32} FAILED  {clock(started)}  {error}", failed=True)
        else:
            self.note(f"{name:<32} passed  {clock(started)}")

    def note(self, line: str, *, failed: bool = False) -> None:
        """Keep a line for the summary."""
        self.lines.append(line)
        self.failed += failed

    def close(self) -> None:
        """Print the summary; fail when a step did."""
        say("summary")
        print("\n".join(self.lines))
        if self.failed:
            message = f"{self.failed} of {len(self.lines)} steps failed, after {clock(self.started)}"
            raise StepError(message)
        print(f"{self.name}: all steps passed in {clock(self.started)}", flush=True)


def clock(started: float) -> str:
    """Return the time since then as minutes and seconds."""
    seconds = round(time.monotonic() - started)
    return f"{seconds // 60}:{seconds % 60:02}"
