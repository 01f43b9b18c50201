"""Work that a request hands to another thread or process, and the key that goes with it: only where a preset says so.

A worker serves one request after the other. So a key belongs to the job it was handed over with, from its first line to
its last, and never to the thread that happens to run it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextvars import Token
from dataclasses import dataclass
from functools import partial
from types import ModuleType, TracebackType
from typing import Any

import orjson
from opentelemetry import context, trace

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.collection import Setting
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.guard import run_silently
from otel_keyaudit.key.api_key import READERS, ApiKey
from otel_keyaudit.names import STAGE_AUTHENTICATION
from otel_keyaudit.patching.import_hook import ModuleWatch
from otel_keyaudit.patching.patch import Exchange, find
from otel_keyaudit.request.context import current_key, restore_used_key, set_used_key
from otel_keyaudit.request.first_request import come_first

MAX_BYTES = 32_768
"""Longest text in which a key travels: a broker may limit all the headers of a message to 128 KiB."""

Undo = Callable[[], object]


@dataclass(frozen=True)
class Carrier:
    """A place where jobs are handed over.

    Attributes:
        module: The module it is in.
        put_on: Gets that module, once it is there, and what hands keys over; returns how it is taken off.
    """

    module: str
    put_on: Callable[[ModuleType, Jobs], Undo]


class Job:
    """A key on its way: where the job runs it is set by hand, in the trace of the request.

    Args:
        key: The key.
        span_context: The span in which the job was handed over; a job that is in a span of its own stays there.
    """

    def __init__(self, key: ApiKey, span_context: trace.SpanContext = trace.INVALID_SPAN_CONTEXT) -> None:
        self._key = key
        self._span_context = span_context
        self._key_before: Setting | None = None
        self._context_token: Token[context.Context] | None = None

    def __enter__(self) -> None:
        come_first()
        self._key_before = set_used_key(self._key)
        if self._span_context.is_valid and trace.get_current_span() is trace.INVALID_SPAN:
            span = trace.NonRecordingSpan(self._span_context)  # the span itself would make the job part of its request
            self._context_token = context.attach(trace.set_span_in_context(span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.put_down()
        if self._context_token is not None:
            context.detach(self._context_token)

    def put_down(self) -> None:
        """Forget the key before the end."""
        if self._key_before is not None:
            restore_used_key(self._key_before)
            self._key_before = None


class Jobs:
    """Hands keys over. What goes wrong is counted, and the job is done without a key.

    Args:
        faults: Counts.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return what some work of ours returns, ``None`` when it fails."""
        return GuardedCall(self._faults, "a job").guarded(STAGE_AUTHENTICATION, work, *args)

    def with_key(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is to run elsewhere in place of some work: the same, with the key of now around it."""
        return self.guarded(_with_key, work) or work


def begin_job() -> Job | None:
    """Return a job with the key of the request at hand, ``None`` when it has none or several."""
    key = current_key()
    return None if key is None else Job(key, trace.get_current_span().get_span_context())


def _with_key(work: Callable[..., Any]) -> Callable[..., Any] | None:
    job = begin_job()
    if job is None:
        return None

    @functools.wraps(work)
    def working(*args: Any, **kwargs: Any) -> Any:
        with job:
            return work(*args, **kwargs)

    return working


def around(module: ModuleType, name: str, call: Callable[..., Any]) -> Undo:
    """Have a function of a module called by another one, which gets the original, the arguments and the keywords.

    Returns:
        How it is taken off.
    """
    return Exchange(find(module, name).value, lambda original: partial(call, original)).undo


class JobsInstallation:
    """Carriers, each put on when its module is there.

    Args:
        jobs: What they hand keys over with.
        carriers: The carriers.
        watch: Tells when a module is executed.
    """

    def __init__(self, jobs: Jobs, carriers: Iterable[Carrier], watch: ModuleWatch) -> None:
        self._jobs = jobs
        self._carriers = tuple(carriers)
        self._watch = watch
        self._undo: list[Undo] = []

    def install(self) -> None:
        """Put every carrier on, now or later; importing nothing."""
        for carrier in self._carriers:
            self._watch.tell(carrier.module, partial(self._jobs.guarded, self._apply, carrier))

    def uninstall(self) -> None:
        """Take them off."""
        for undo in reversed(self._undo):
            run_silently(undo)
        self._undo.clear()

    def _apply(self, carrier: Carrier, module: ModuleType) -> None:
        self._undo.append(carrier.put_on(module, self._jobs))


def packed(key: ApiKey, names: Iterable[str] = READERS) -> str:
    """Return a key as text, or some of its fields; it holds what its rows hold, and never a secret.

    Raises:
        UnreadableError: It is too long.
    """
    known = {name: value for name in names if (value := getattr(key, name)) is not None}
    text = orjson.dumps(known)
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"a key of more than {MAX_BYTES:,} bytes is not handed over as a whole")
    return text.decode()


def unpacked(text: object) -> ApiKey:
    """Return the key that a text holds, exactly as :func:`packed` writes it.

    Raises:
        ValueError: It is nothing that :func:`packed` has written.
    """
    if not isinstance(text, str) or len(text) > MAX_BYTES:
        raise UnreadableError("a key comes as a text of limited length")
    members = orjson.loads(text)
    if not isinstance(members, dict) or not {"id"} <= members.keys() <= READERS.keys():
        raise UnreadableError("a key comes as an object with the fields of a key")
    key = ApiKey(**members)
    if packed(key) != text:
        raise UnreadableError("a key comes in the form in which it was handed over")
    return key
