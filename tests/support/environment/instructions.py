"""Count the calls and the bytecode instructions of some work, and interrupt it at one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any


def count_calls(work: Callable[[], object]) -> int:
    """Return the number of functions that run, functions in C included: a measure that is the same every time."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def count_instructions(work: Callable[[], object]) -> int:
    """Return the number of bytecode instructions that some work executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def interrupt(at: int, work: Callable[[], object], modules: tuple[str, ...]) -> int:
    """Run some work twice and interrupt the second run at one instruction, as the handler of a signal does.

    Args:
        at: The number of the instruction; -1 interrupts nothing.
        work: The work, which ends with a KeyboardInterrupt.
        modules: The names of the modules whose instructions count.

    Returns:
        The number of instructions that were executed.
    """
    interruption = _Interruption(at, modules)
    before = sys.gettrace()
    sys.settrace(interruption.trace)
    try:
        work()  # since Python 3.12, the instructions of a function are traced from its second call on,
        sys.settrace(interruption.trace)  # and in Python 3.12 only if tracing begins after a frame has asked for them
        interruption.is_on = True
        with suppress(KeyboardInterrupt):
            work()
    finally:
        sys.settrace(before)
    return interruption.count


class _Interruption:
    def __init__(self, at: int, modules: tuple[str, ...]) -> None:
        self.is_on = False
        self.count = 0
        self._at = at
        self._modules = modules

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        """Count an instruction, or interrupt the work at it."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if self.is_on and event == "opcode" and frame.f_globals.get("__name__") in self._modules:
            self.count += 1
            if self.count == self._at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace
