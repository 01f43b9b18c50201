"""Tells an exception that a signal handler raised from an error of ours: it belongs to the application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from inspect import CO_VARARGS
from types import FrameType
from typing import Any


def is_raised_by_signal_handler(error: BaseException) -> bool:
    """Say whether a signal handler of the application raised an exception.

    Python runs handlers in the main thread, between any two instructions, with the signal's number and the interrupted
    frame as arguments. So a frame of the traceback that was given its own caller's frame is the frame of a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    traceback = error.__traceback__
    while traceback is not None:
        if _is_handler(traceback.tb_frame):
            return True
        traceback = traceback.tb_next
    return False


def _is_handler(frame: FrameType) -> bool:
    interrupted = frame.f_back
    if interrupted is None:
        return False
    arguments = list(_arguments(frame))
    return any(value is interrupted for value in arguments) and any(isinstance(value, int) for value in arguments)


def _arguments(frame: FrameType) -> Iterator[Any]:
    """Yield the positional arguments of a frame, also those in ``*args``."""
    code, values = frame.f_code, frame.f_locals
    for name in code.co_varnames[: code.co_argcount]:
        yield values.get(name)
    if code.co_flags & CO_VARARGS:
        yield from values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount]) or ()
