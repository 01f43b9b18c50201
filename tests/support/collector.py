"""The garbage collector without callbacks in Python, in which an exception of a signal handler would be lost."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType


@contextmanager
def without_python_callbacks() -> Iterator[None]:
    """Take out callbacks such as Hypothesis's; the library's are C functions and stay."""
    callbacks = [callback for callback in gc.callbacks if isinstance(callback, FunctionType)]
    for callback in callbacks:
        gc.callbacks.remove(callback)
    yield
    gc.callbacks.extend(callbacks)
