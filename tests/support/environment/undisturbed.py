"""Tests of signals, without the tools that they disturb."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType


@contextmanager
def undisturbed() -> Iterator[None]:
    """Remove the tracer and the collector's callbacks in Python for a block; the library's are C functions and stay.

    Coverage's tracer would keep its lock for good, and Hypothesis's callback would lose the exception.
    """
    callbacks = [callback for callback in gc.callbacks if isinstance(callback, FunctionType)]
    for callback in callbacks:
        gc.callbacks.remove(callback)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
        gc.callbacks.extend(callbacks)


def unmeasured_environment() -> dict[str, str]:
    """Return the environment for a process without coverage, which has a handler of SIGTERM itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
