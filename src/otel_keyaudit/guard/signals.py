"""Distinguish exceptions that the application's signal handlers raise from errors of the library."""

from __future__ import annotations

import threading
from contextlib import suppress
from inspect import CO_VARARGS
from types import FrameType, TracebackType


class expected(suppress):  # noqa: N801 - named as the class that it extends
    """Suppress exceptions of some classes in a ``with`` block, except those that a signal handler raises there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        is_suppressed = super().__exit__(kind, error, traceback)
        return is_suppressed and error is not None and not is_raised_by_signal_handler(error)


def is_raised_by_signal_handler(error: BaseException) -> bool:
    """Return whether a signal handler of the application raised an exception.

    Python runs handlers in the main thread, between any two instructions, with the signal's number and the interrupted
    frame as arguments. So a frame whose arguments include its own caller's frame is the frame of a handler.
    """
    if threading.get_ident() != threading.main_thread().ident:  # current_thread() would swallow a KeyError
        return False
    # The first frame is the guard's own. Reading its locals, which include the error, would create a reference cycle.
    traceback = error.__traceback__ and error.__traceback__.tb_next
    while traceback is not None:
        if _is_handler(traceback.tb_frame):
            return True
        traceback = traceback.tb_next
    return False


def _is_handler(frame: FrameType) -> bool:
    interrupted, code = frame.f_back, frame.f_code
    count, has_more = code.co_argcount, code.co_flags & CO_VARARGS
    if interrupted is None or not (count or has_more):
        return False
    values = frame.f_locals
    arguments = [values.get(name) for name in code.co_varnames[:count]]
    if has_more:
        arguments += values.get(code.co_varnames[count + code.co_kwonlyargcount]) or ()
    if type(values) is dict:  # pragma: no mutate: before Python 3.13 only, and mutants are tested with 3.13
        values.clear()  # the frame keeps this copy, so an exception in it would be in a reference cycle
    return any(value is interrupted for value in arguments) and any(isinstance(value, int) for value in arguments)
