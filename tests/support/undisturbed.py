"""A test whose signal handlers raise, without the tools that do not bear an exception in the middle of their work."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType


@contextmanager
def undisturbed() -> Iterator[None]:
    """Take out the tracer and the collector's callbacks in Python; the library's are C functions and stay.

    Coverage's tracer would keep its lock for good, and Hypothesis's callback would lose the exception.
    """
    callbacks = [callback for callback in gc.callbacks if isinstance(callback, FunctionType)]
    for callback in callbacks:
        gc.callbacks.remove(callback)
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
    gc.callbacks.extend(callbacks)
