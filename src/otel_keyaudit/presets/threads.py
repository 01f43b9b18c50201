"""Threads that a request starts for a job, in addition to the preset ``executors``."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from types import ModuleType
from typing import Any

from otel_keyaudit.presets import executors
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.workers.propagation import HandoverPoint, KeyHandover, Undo, begin_job, wrap

_POOLS = ("anyio", "apscheduler", "dramatiq", "huey", "multiprocessing", "otel_keyaudit", "paho", "redis")
"""Packages whose threads serve several requests."""

_JOB = "_otel_keyaudit_job"
"""Attribute of a thread that was started with a key."""


def _prepare(thread: Thread) -> None:
    vars(thread).pop(_JOB, None)
    is_of_pool = executors.POOL_AT_WORK.get() or any(map(_is_of_pool, (type(thread), getattr(thread, "_target", None))))
    job = None if is_of_pool else begin_job()
    if job is not None:
        setattr(thread, _JOB, job)


def _is_of_pool(part: Any) -> bool:
    """Return whether the class of a thread, or the function that it runs, belongs to a pool."""
    return str(getattr(part, "__module__", "")).partition(".")[0] in _POOLS


def _threads(module: ModuleType, handover: KeyHandover) -> Undo:
    def start(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handover.guarded(_prepare, args[0])
        return original(*args, **kwargs)

    return wrap(module, "Thread.start", start)


def _runs(module: ModuleType, _: KeyHandover) -> Undo:
    """Patch the method that calls ``run``, because many classes override ``run``."""

    def run(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        thread = args[0]
        job = vars(thread).pop(_JOB, None)
        if job is None:
            return original(*args, **kwargs)
        call: Callable[..., Any] = getattr(getattr(thread, "_context", None), "run", _call)
        call(job.__enter__)
        try:
            return original(*args, **kwargs)
        finally:
            call(job.__exit__, None, None, None)

    return wrap(module, "Thread._bootstrap_inner", run)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function, in place of the ``Context.run`` that threads have since Python 3.14."""
    return function(*args)


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="the same as `executors`; also the key of the request, in the rows of a `threading.Thread` that it "
    "starts, until the thread takes an item of another request from a queue",
    never="rows of a pool's threads; rows of threads that serve several requests from a queue",
    targets=(),
    handover_points=(
        *executors.PRESET.handover_points,
        HandoverPoint("threading", _threads),
        HandoverPoint("threading", _runs),
    ),
)
