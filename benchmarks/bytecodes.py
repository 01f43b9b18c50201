"""Counts the bytecodes that a request executes: they repeat to the unit where times do not."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

WARM_UP = 30


def bytecodes(work: Callable[[], Any]) -> int:
    """Return the number of bytecodes that one call of some work executes in all, after a warm-up.

    Raises:
        AssertionError: Two counts in a row differ.
    """
    for _ in range(WARM_UP):
        work()
    gc.collect()
    gc.disable()
    try:
        first, second = _count(work), _count(work)
    finally:
        gc.enable()
    if first != second:
        raise AssertionError(f"the count does not repeat: {first}, {second}")
    return second


def _count(work: Callable[[], Any]) -> int:
    executed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal executed
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        executed += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return executed
