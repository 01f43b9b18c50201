"""Count the use of each key, and send the counts every minute."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import Context
from datetime import datetime, timezone
from functools import partial
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.guard.collection import outside_collection
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
            names.USAGE_TO: _rfc_3339(max(self.since, until)),  # the clock can be set back
            names.USAGE_REQUESTS: self.requests,
            names.USAGE_PERMISSIONS: [permission for permission, _ in pairs],
            names.USAGE_OUTCOMES: [outcome for _, outcome in pairs],
            names.USAGE_COUNTS: [count for count, _ in self.counts.values()],
            names.USAGE_LAST: [last for _, last in self.counts.values()],
        }


class Counts:
    """The use of all keys in one process since the last events.

    Attributes:
        lock: Protects the counts. It is reentrant, because a signal handler or finalizer may use a key.
        closed: Ends the thread that sends the counts every minute.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = threading.Event()
        self._keys: dict[tuple[str, str | None], KeyUsage] = {}

    def of(self, key: ApiKey) -> KeyUsage:
        """Return the use of a key. Keys of two owners can have the same id."""
        identity = key.id, key.owner
        used = self._keys.get(identity)
        if used is None:
            used = self._keys.setdefault(identity, KeyUsage(key, time.time()))  # a finalizer may have used the key
        used.key = key
        return used

    def take(self) -> Collection[KeyUsage]:
        """Remove and return the use of all keys."""
        taken, self._keys = self._keys, {}
        return taken.values()

    def take_full(self, used: KeyUsage) -> Collection[KeyUsage]:
        """Remove and return the use that must be sent early, because there is much of it."""
        if len(self._keys) >= MAX_KEYS:
            return self.take()
        if len(used.counts) >= MAX_PERMISSIONS:
            return (self._keys.pop((used.key.id, used.key.owner)),)
        return ()


class Usage:
    """The use of all keys in this process. A forked child starts empty.

    Args:
        send: Receives a key and the attributes of its event.
    """

    def __init__(self, send: Callable[[ApiKey, Mapping[str, Any]], None]) -> None:
        self._send = send
        self._by_process: dict[int, Counts] = {}

    def close(self) -> None:
        """Send the remaining counts, and stop."""
        if counts := self._by_process.get(os.getpid()):
            counts.closed.set()
        self.flush()
        atexit.unregister(self.flush)

    def authenticated(self, key: ApiKey) -> None:
        """Count an accepted authentication."""
        counts = self._counts()
        with counts.lock:
            used = counts.of(key)
            used.requests += 1
            full = counts.take_full(used)
        self._emit(full)

    def decided(self, key: ApiKey, decision: Decision) -> None:
        """Count a decision for each required permission."""
        now, outcome = int(time.time()), decision.outcome or ""
        counts = self._counts()
        with counts.lock:
            used = counts.of(key)
            for permission in decision.required:
                count = used.counts.setdefault((permission, outcome), [0, now])
                count[0] += 1
                count[1] = now
            full = counts.take_full(used)
        self._emit(full)

    def flush(self) -> None:
        """Send the counts so far."""
        if counts := self._by_process.get(os.getpid()):
            with counts.lock:
                taken = counts.take()
            self._emit(taken)

    def _emit(self, taken: Collection[KeyUsage]) -> None:
        """Send usage without the lock, because an exporter of the application may use a key itself."""
        for used in taken:
            quietly(self._send, used.key, used.attributes(time.time()))

    def _counts(self) -> Counts:
        """Return the counts of this process, which begin with the first use of a key in it."""
        process = os.getpid()
        counts = self._by_process.get(process)
        if counts is None:
            new = Counts()
            counts = self._by_process.setdefault(process, new)
            if counts is new:  # no other thread was faster
                self._start(new)
        return counts

    def _start(self, counts: Counts) -> None:
        """Send the counts every minute, and at exit.

        Exit functions run in reverse order of registration. This one is registered at the first use of a key in the
        process, so it runs before the shutdown of the logger provider, even if the provider is configured after
        ``instrument()`` or in a forked worker.
        """
        atexit.register(self.flush)
        run = partial(self._flush_regularly, counts.closed)
        timer = threading.Thread(target=run, name="otel-keyaudit usage", daemon=True)
        # In an empty context, so that it does not keep the one of the request. Each start waits for a lock.
        outside_collection(Context().run, timer.start)

    def _flush_regularly(self, closed: threading.Event) -> None:
        while not closed.wait(SECONDS):
            self.flush()


def _rfc_3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
