"""Count the use of each key, and send the counts every minute."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision

SECONDS = 60.0
"""Time between two usage events of a key."""

MAX_PERMISSIONS = 128
"""Number of permissions at which the usage of a key is sent early."""

MAX_KEYS = 16_384
"""Number of keys at which all usage is sent early."""


class KeyUsage:
    """The use of one key since its last event."""

    __slots__ = ("counts", "key", "requests", "since")

    def __init__(self, key: ApiKey, since: float) -> None:
        self.key = key
        self.since = since
        self.requests = 0
        self.counts: dict[tuple[str, str], list[int]] = {}

    def attributes(self, until: float) -> dict[str, Any]:
        """Return the attributes of the event: permissions, outcomes, counts and last uses in parallel."""
        pairs = list(self.counts)
        return {
            names.USAGE_FROM: _rfc_3339(self.since),
            names.USAGE_TO: _rfc_3339(until),
            names.USAGE_REQUESTS: self.requests,
            names.USAGE_PERMISSIONS: [permission for permission, _ in pairs],
            names.USAGE_OUTCOMES: [outcome for _, outcome in pairs],
            names.USAGE_COUNTS: [count for count, _ in self.counts.values()],
            names.USAGE_LAST: [last for _, last in self.counts.values()],
        }


class Usage:
    """The use of all keys in this process. A forked child starts empty.

    Args:
        send: Receives a key and the attributes of its event.
    """

    def __init__(self, send: Callable[[ApiKey, Mapping[str, Any]], None]) -> None:
        self._send = send
        self._closed = threading.Event()
        self._is_sent_at_exit = False
        self._keys: dict[str, KeyUsage]
        self._start()

    def close(self) -> None:
        """Send the remaining counts, and stop."""
        self._closed.set()
        self.flush()
        atexit.unregister(self.flush)

    def authenticated(self, key: ApiKey) -> None:
        """Count an accepted authentication."""
        with self._lock_of_this_process():
            self._of(key).requests += 1
            full = self._take_full(key)
        self._emit(full)

    def decided(self, key: ApiKey, decision: Decision) -> None:
        """Count a decision for each required permission."""
        now, outcome = int(time.time()), decision.outcome or ""
        with self._lock_of_this_process():
            used = self._of(key)
            for permission in decision.required:
                count = used.counts.setdefault((permission, outcome), [0, now])
                count[0] += 1
                count[1] = now
            full = self._take_full(key)
        self._emit(full)

    def flush(self) -> None:
        """Send the counts so far."""
        with self._lock_of_this_process():
            taken, self._keys = self._keys, {}
        self._emit(taken.values())

    def _of(self, key: ApiKey) -> KeyUsage:
        used = self._keys.get(key.id)
        if used is None:
            self._send_at_exit()
            used = self._keys[key.id] = KeyUsage(key, time.time())
        used.key = key
        return used

    def _take_full(self, key: ApiKey) -> Collection[KeyUsage]:
        """Remove and return the usage that must be sent early."""
        if len(self._keys) >= MAX_KEYS:
            taken, self._keys = self._keys, {}
            return taken.values()
        return (self._keys.pop(key.id),) if len(self._keys[key.id].counts) >= MAX_PERMISSIONS else ()

    def _emit(self, taken: Collection[KeyUsage]) -> None:
        """Send usage without the lock, because an exporter of the application may use a key itself."""
        for used in taken:
            quietly(self._send, used.key, used.attributes(time.time()))

    def _send_at_exit(self) -> None:
        """Send the last usage at exit.

        Exit functions run in reverse order of registration. This one is registered at the first use of a key, so it
        runs before the shutdown of the logger provider, even if the provider is configured after ``instrument()``.
        """
        if not self._is_sent_at_exit:
            self._is_sent_at_exit = True
            atexit.register(self.flush)

    def _lock_of_this_process(self) -> AbstractContextManager[Any]:
        """Return the lock. A forked child first gets its own lock, counts and thread."""
        if self._process != os.getpid():
            self._start()
        return self._lock

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()  # reentrant: a signal handler or finalizer may use a key
        self._keys = {}
        UsageThread(target=self._flush_regularly, name="otel-keyaudit usage", daemon=True).start()

    def _flush_regularly(self) -> None:
        process = self._process
        while not self._closed.wait(SECONDS) and self._process == process:
            self.flush()


class UsageThread(threading.Thread):
    """The thread that sends usage events. Its class distinguishes it from threads of the application."""


def _rfc_3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
