"""Send the last events before SIGTERM ends the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from otel_keyaudit.guard.guard import quietly

SECONDS = 5.0
"""Maximum delay of SIGTERM if the receiver of the events does not answer."""


class Termination:
    """Runs a function before SIGTERM ends the process.

    SIGTERM skips ``atexit``, even under a server that shuts down gracefully and then raises the signal again, such as
    uvicorn. The handler is installed only if the default handler is in place, so it replaces no handler of the
    application. A handler that the application installs later replaces this one.

    Args:
        flush: Sends the events. It runs in its own thread, because the main thread may hold a lock that it needs.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self.watch()

    def watch(self) -> None:
        """Install the handler, also after a server has restored the default handler in a worker."""
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)

    def close(self) -> None:
        """Restore the default handler, unless the application has installed its own."""
        if _is_main_thread() and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, *_: object) -> None:
        thread = threading.Thread(target=quietly, args=(self._flush,), name="otel-keyaudit last events", daemon=True)
        thread.start()
        thread.join(SECONDS)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        # The first process of a container lives on, because the kernel ignores the signal there by default.
        signal.signal(signal.SIGTERM, self._handle)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
