"""Send the last events before SIGTERM, or the end of a worker of ``multiprocessing``, ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from otel_keyaudit.guard.guard import quietly

SECONDS = 5.0
"""Maximum delay of SIGTERM if the receiver of the events does not answer."""


class Termination:
    """Runs a function before SIGTERM ends the process, and when a worker of ``multiprocessing`` ends.

    SIGTERM skips ``atexit``, even under a server that shuts down gracefully and then raises the signal again, such as
    uvicorn. The handler is installed only if the default handler is in place, so it replaces no handler of the
    application. A handler that the application installs later replaces this one. Forked workers of ``multiprocessing``,
    such as granian's and Celery's, skip ``atexit`` too.

    Args:
        flush: Sends the events. It runs in its own thread, because the main thread may hold a lock that it needs.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self._workers: Any = import_module("multiprocessing.util")  # imported with events only, because it costs time
        self._workers.register_after_fork(self, Termination._watch_worker)
        self._at_end_of_worker: Any = None
        if import_module("multiprocessing").parent_process() is not None:
            self._watch_worker()
        self.watch()

    def watch(self) -> None:
        """Install the handler, also after a server has restored the default handler in a worker."""
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)

    def close(self) -> None:
        """Do nothing at the end. The default handler returns, unless the application has installed its own."""
        if self._at_end_of_worker is not None:
            self._at_end_of_worker.cancel()
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _watch_worker(self) -> None:
        """Send the events when this process, a worker of ``multiprocessing`` or Celery, ends.

        Celery's workers skip also the exit functions of ``multiprocessing``, but send a signal.
        """
        self._at_end_of_worker = self._workers.Finalize(None, self._send, exitpriority=0)
        signals: Any = sys.modules.get("celery.signals")
        if signals is not None:
            signals.worker_process_shutdown.connect(self._send, weak=False)

    def _send(self, **_: object) -> None:
        quietly(self._flush_in_thread)  # Python 3.12 starts no thread at exit

    def _flush_in_thread(self) -> None:
        thread = threading.Thread(target=quietly, args=(self._flush,), name="otel-keyaudit last events", daemon=True)
        thread.start()
        thread.join(SECONDS)

    def _handle(self, *_: object) -> None:
        self._send()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        # The first process of a container lives on, because the kernel ignores the signal there by default.
        signal.signal(signal.SIGTERM, self._handle)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
