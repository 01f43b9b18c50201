"""Find the garbage of the library: objects in reference cycles, which only the garbage collector frees."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType, TracebackType
from typing import Any

_OURS = re.compile(r"\b(otel_keyaudit|tests/support)/|^(otel_keyaudit|support)\b")

_CODES = {
    FrameType: "f_code",
    FunctionType: "__code__",
    CoroutineType: "cr_code",
    GeneratorType: "gi_code",
    AsyncGeneratorType: "ag_code",
}
"""The attribute that holds the code of an object that runs code."""


def garbage_after(work: Callable[[], object], *, rounds: int) -> list[str]:
    """Return the objects of the library that are garbage after some rounds of work without the collector.

    Threads of earlier tests and of the test runner may leave garbage at the same time, so only objects of the library
    and of the applications in ``support`` count.

    Args:
        work: The work. One round of it comes first, because first calls import modules.
        rounds: Number of rounds.

    Returns:
        The class of each object, or the file and the name of its code.
    """
    work()
    for _ in range(3):  # the collector sees the contents of a code only after its end, so earlier sessions take longer
        gc.collect()
    gc.disable()
    flags = gc.get_debug()
    try:
        for _ in range(rounds):
            work()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return [name for name in map(_name, gc.garbage) if _OURS.search(name)]
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.enable()


def _name(one: Any) -> str:
    """Return the module and the name of an object's class, or the file and the name of its code."""
    if isinstance(one, TracebackType):
        one = one.tb_frame
    code = getattr(one, _CODES.get(type(one), ""), None)
    if code is not None:
        return f"{code.co_filename}:{code.co_name}"
    return f"{type(one).__module__}:{type(one).__qualname__}"
