"""Jobs of thread pools: ``submit``, which ``map`` and ``run_in_executor`` call, and ``asyncio.to_thread``."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.workers.propagation import HandoverPoint, Job, KeyHandover, Undo, wrap

POOL_AT_WORK: ContextVar[bool] = ContextVar("otel_keyaudit_pool_at_work", default=False)
"""Whether a pool is taking a job. A thread that is started meanwhile belongs to the pool and runs later jobs, too."""


def _pools(module: ModuleType, handover: KeyHandover) -> Undo:
    def submit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        executor, work, *others = args
        if _shares_no_objects(executor):
            return original(*args, **kwargs)
        token = POOL_AT_WORK.set(True)
        try:
            return original(executor, handover.with_key(work), *others, **kwargs)
        finally:
            POOL_AT_WORK.reset(token)

    return wrap(module, "ThreadPoolExecutor.submit", submit)


def _shares_no_objects(executor: object) -> bool:
    """Return whether the jobs of a pool run in other interpreters, which get them pickled (since Python 3.14)."""
    return any(base.__module__ == "concurrent.futures.interpreter" for base in type(executor).__mro__)


def _to_thread(module: ModuleType, handover: KeyHandover) -> Undo:
    """Set the key inside the context that ``to_thread`` copies, because the request may end before the job."""

    async def to_thread(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        work, *others = args
        return await original(handover.with_key(work), *others, **kwargs)

    return wrap(module, "to_thread", to_thread)


def _jobs(module: ModuleType, _: KeyHandover) -> Undo:
    """Restore the context of the thread after each job, because a job may leave a key set by ``use_key``."""

    def run(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with Job(None):
            return original(*args, **kwargs)

    return wrap(module, "_WorkItem.run", run)


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="the key of the request, in the rows of the jobs that it submits by `submit` or `map` of a "
    "`ThreadPoolExecutor`, by `run_in_executor` or by `asyncio.to_thread`; also if a job ends after its request",
    never="rows that a pool's thread writes between jobs; jobs in other processes or interpreters "
    "(`ProcessPoolExecutor`, `InterpreterPoolExecutor`)",
    targets=(),
    handover_points=(
        HandoverPoint("concurrent.futures.thread", _pools),
        HandoverPoint("concurrent.futures.thread", _jobs),
        HandoverPoint("asyncio.threads", _to_thread),
    ),
)
