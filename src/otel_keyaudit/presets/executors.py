"""Jobs that are given to a pool of threads: also those of ``run_in_executor`` and ``map``, which end in ``submit``."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.propagation import Carrier, Jobs, Undo, around

POOL_AT_WORK: ContextVar[bool] = ContextVar("otel_keyaudit_pool_at_work", default=False)
"""A pool takes a job: a thread that it starts now is for all jobs to come, not for this one."""


def _pools(module: ModuleType, jobs: Jobs) -> Undo:
    def submit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        executor, work, *others = args
        token = POOL_AT_WORK.set(True)
        try:
            return original(executor, jobs.with_key(work), *others, **kwargs)
        finally:
            POOL_AT_WORK.reset(token)

    return around(module, "ThreadPoolExecutor.submit", submit)


def _to_thread(module: ModuleType, jobs: Jobs) -> Undo:
    """Put the key inside of the context that ``to_thread`` copies, since that may be of a request that has ended."""

    async def to_thread(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        work, *others = args
        return await original(jobs.with_key(work), *others, **kwargs)

    return around(module, "to_thread", to_thread)


PRESET = Preset(
    library="Python",
    oldest="3.10",
    records="the key of the request that gives a job to a `ThreadPoolExecutor`, by `submit`, `map`, `run_in_executor` "
    "or `asyncio.to_thread`, in the rows of that job, also after the request's end",
    never="the pool's threads, between jobs; jobs of other processes (`ProcessPoolExecutor`)",
    targets=(),
    carriers=(Carrier("concurrent.futures.thread", _pools), Carrier("asyncio.threads", _to_thread)),
)
