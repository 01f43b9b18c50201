"""Hand a key to work in another thread or process, where a preset says so.

A worker serves one request after the other. So a key belongs to the job it was handed over with, from the job's first
line to its last, and never to the thread that runs it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Token
from dataclasses import dataclass
from functools import partial
from types import ModuleType, TracebackType
from typing import Any

from opentelemetry import context, trace

from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.names import STAGE_AUTHENTICATION
from otel_keyaudit.patching.patch import HandlerPatch, resolve
from otel_keyaudit.request.context import USED_KEY, UsedKey, current_request, used_for_job
from otel_keyaudit.request.first_request import come_first

Undo = Callable[[], object]


@dataclass(frozen=True)
class Carrier:
    """A place where jobs are handed over.

    Attributes:
        module: Its module.
        patch: Gets the module, once that is imported, and the :class:`Jobs`; returns the function that undoes it.
    """

    module: str
    patch: Callable[[ModuleType, Jobs], Undo]


class Job:
    """A job on its way with a key. While it runs, the key is set by hand, in the trace of the request.

    Args:
        used: The key; ``None`` for a job without one, inside which a key may be set by hand.
        span_context: The span in which the job was handed over; a job that runs in a span of its own stays there.
    """

    __slots__ = ("_context_token", "_setting", "_span_context", "_used")

    def __init__(self, used: UsedKey | None, span_context: trace.SpanContext = trace.INVALID_SPAN_CONTEXT) -> None:
        self._used = used
        self._span_context = span_context
        self._setting: Any = None
        self._context_token: Token[context.Context] | None = None

    def __enter__(self) -> None:
        come_first()
        self._setting = USED_KEY.set(self._used or USED_KEY.get())
        if self._span_context.is_valid and trace.get_current_span() is trace.INVALID_SPAN:
            span = trace.NonRecordingSpan(self._span_context)  # the span itself would make the job part of its request
            self._context_token = context.attach(trace.set_span_in_context(span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        USED_KEY.reset(self._setting)
        if self._context_token is not None:
            context.detach(self._context_token)


class Jobs:
    """Hands keys over. A failure is counted, and the job runs without a key.

    Args:
        faults: Counts failures.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return the result of some work of ours, ``None`` if it fails."""
        return GuardedCall(self.faults, "a job").guarded(STAGE_AUTHENTICATION, work, *args)

    def with_key(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the work with the current key around it, to run elsewhere."""
        return self.guarded(_with_key, work) or work


def begin_job() -> Job | None:
    """Return a job with the current key, ``None`` if there is none or several."""
    used = used_for_job(current_request())
    return None if used is None else Job(used, trace.get_current_span().get_span_context())


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
        The function that undoes it.
    """
    return HandlerPatch(resolve(module, name).value, lambda original: partial(call, original)).undo
