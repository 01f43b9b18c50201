"""Run code at once in several threads, or at every moment at which the garbage collector may run."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def at_once(*works: Callable[[], object]) -> None:
    """Run functions in a thread each; the threads switch as often as possible.

    Raises:
        AssertionError: A function raised.
    """
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait()
            work()
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)

    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


def in_a_collection(work: Callable[[], object]) -> None:
    """Have a finalizer do some work during a collection."""

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            work()

    Finalized()
    gc.collect()


@contextmanager
def in_each_collection(work: Callable[[], object]) -> Iterator[None]:
    """Run a block in which nearly every new object starts a collection, and a function in each collection.

    An exception of the function is printed and has no other effect.
    """

    def callback(*_: object) -> None:
        work()

    thresholds = gc.get_threshold()
    gc.callbacks.insert(2, callback)  # inside those of the library, if it is instrumented
    gc.set_threshold(1, 10_000, 10_000)  # collections of old objects take longer
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(callback)
