"""Propagate a key to jobs in other threads and processes, as presets configure it.

A worker serves one request after the other. So a key belongs to a job, from its start to its end, and never to the
thread that runs the job.
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
from otel_keyaudit.patching import patch
from otel_keyaudit.patching.handlers import HandlerPatch
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.context import USED_KEY, UsedKey, current_request, used_for_job
from otel_keyaudit.request.first_request import prepare_first_request

Undo = Callable[[], object]


@dataclass(frozen=True)
class HandoverPoint:
    """A function of a library that starts jobs.

    Attributes:
        module: The module of the function.
        patch: Patches the module after its import, with the :class:`KeyHandover`; returns the function that undoes the
            patch.
    """

    module: str
    patch: Callable[[ModuleType, KeyHandover], Undo]


class Job:
    """A job with the key of its request. As a context manager, it sets the key and the trace of the request.

    Args:
        used: The key; ``None`` for a job without a key.
        span_context: The span in which the job was started. A job with its own span stays in that.
    """

    __slots__ = ("_context_token", "_setting", "_span_context", "_used")

    def __init__(self, used: UsedKey | None, span_context: trace.SpanContext = trace.INVALID_SPAN_CONTEXT) -> None:
        self._used = used
        self._span_context = span_context
        self._setting: Any = None
        self._context_token: Token[context.Context] | None = None

    def __enter__(self) -> None:
        prepare_first_request()
        self._setting = USED_KEY.set(self._used or USED_KEY.get())
        if self._span_context.is_valid and trace.get_current_span() is trace.INVALID_SPAN:
            # Its own span object would make the job a part of the request.
            span = trace.NonRecordingSpan(self._span_context)
            self._context_token = context.attach(trace.set_span_in_context(span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        USED_KEY.reset(self._setting)
        if self._context_token is not None:
            context.detach(self._context_token)


class KeyHandover:
    """Propagates keys to jobs. A failure is counted, and the job runs without a key.

    Args:
        faults: Counts failures.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        """Call a function of the library, and return its result, ``None`` if it fails."""
        return GuardedCall(self.faults, "a job").guarded(STAGE_AUTHENTICATION, work, *args)

    def with_key(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the function of a job so that it runs with the current key."""
        return self.guarded(_with_key, work) or work


def begin_job() -> Job | None:
    """Create a job with the current key, ``None`` if the request has no key or several."""
    used = used_for_job(current_request())
    return None if used is None else Job(used, trace.get_current_span().get_span_context())


def _with_key(work: Callable[..., Any]) -> Callable[..., Any] | None:
    job = begin_job()
    if job is None:
        return None

    @functools.wraps(work)
    def run_with_key(*args: Any, **kwargs: Any) -> Any:
        with job:
            return work(*args, **kwargs)

    return run_with_key


def wrap(module: ModuleType, name: str, call: Callable[..., Any]) -> Undo:
    """Patch a function of a module: calls go to another function, with the original, the arguments and the keywords.

    Returns:
        The function that undoes the patch.
    """
    return HandlerPatch(resolve(module, name).value, lambda original: partial(call, original)).undo


def observe(module: ModuleType, name: str, begin: Observe) -> Undo:
    """Observe the calls of a function of a module, also of a function that another function defines.

    Args:
        module: The module.
        name: The qualified name of the function.
        begin: Begins the observation of a call; must not raise.

    Returns:
        The function that undoes the patch.
    """
    return patch.wrap(resolve(module, name), begin).undo
