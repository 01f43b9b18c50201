"""Threads that a request starts, each for a job of that request; and what ``executors`` has."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from threading import Thread
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from otel_keyaudit.presets import executors
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.propagation import Carrier, Job, Jobs, Undo, around, begin_job

_POOLS = ("anyio", "multiprocessing")
"""Where classes of threads come from whose instances serve whoever comes."""

_STARTED: WeakKeyDictionary[Thread, Job] = WeakKeyDictionary()
_RUNNING: ContextVar[Job | None] = ContextVar("otel_keyaudit_thread", default=None)


def _take_note(thread: Thread) -> None:
    _STARTED.pop(thread, None)
    is_of_pool = executors.POOL_AT_WORK.get() or type(thread).__module__.partition(".")[0] in _POOLS
    job = None if is_of_pool else begin_job()
    if job is not None:
        _STARTED[thread] = job


def _threads(module: ModuleType, jobs: Jobs) -> Undo:
    def start(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        jobs.guarded(_take_note, args[0])
        return original(*args, **kwargs)

    return around(module, "Thread.start", start)


def _runs(module: ModuleType, jobs: Jobs) -> Undo:
    """Stand around what calls ``run``, since many a class has a ``run`` of its own."""

    def run(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        job = jobs.guarded(_STARTED.pop, args[0], None)
        if job is None:
            return original(*args, **kwargs)
        _RUNNING.set(job)
        with job:
            return original(*args, **kwargs)

    return around(module, "Thread._bootstrap_inner", run)


def _queues(module: ModuleType, _: Jobs) -> Undo:
    """Take the key from a thread that takes something from a queue: a worker, started by the first who needed it."""

    def get(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        job = _RUNNING.get()
        if job is not None:
            job.put_down()
        return original(*args, **kwargs)

    return around(module, "Queue.get", get)


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="what `executors` says; and the key of the request that starts a `threading.Thread`, in the rows of that "
    "thread, until it takes something from a `queue.Queue`. For a service whose requests start threads for themselves "
    "and no others",
    never="a thread that a pool starts, or one that serves others from a queue",
    targets=(),
    carriers=(
        *executors.PRESET.carriers,
        Carrier("threading", _threads),
        Carrier("threading", _runs),
        Carrier("queue", _queues),
    ),
)
