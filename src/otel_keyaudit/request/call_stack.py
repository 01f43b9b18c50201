"""Distinguish code that a framework runs for a request from tasks and threads that the application started."""

from __future__ import annotations

import sys
from asyncio import current_task
from asyncio.events import _get_running_loop
from collections.abc import Iterator
from threading import get_ident
from types import FrameType
from typing import Any, Final

_FRAMEWORKS: Final = frozenset({
    "aiohttp", "asgiref", "bottle", "django", "falcon", "fastapi", "flask", "granian", "grpc", "gunicorn", "hypercorn",
    "litestar", "pyramid", "quart", "sanic", "sse_starlette", "starlette", "tornado", "uvicorn", "waitress", "werkzeug",
    "wsgiref",
})  # fmt: skip
"""Packages whose tasks and threads run a request itself."""

_BOUNDARIES: Final = "otel_keyaudit.request.boundaries."

_POOLS: Final = frozenset({
    "aio_pika.pool", "aiomcache.pool", "aiomysql.pool", "aiormq.channel", "asyncpg.pool", "dbutils.pooled_db",
    "dbutils.pooled_pg", "dbutils.simple_pooled_db", "dbutils.simple_pooled_pg", "edgedb.asyncio_client",
    "edgedb.base_client", "edgedb.blocking_client", "gel.asyncio_client", "gel.base_client", "gel.blocking_client",
    "happybase.pool", "kombu.connection", "kombu.resource", "mysql.connector.aio.pooling", "mysql.connector.pooling",
    "playhouse.pwasyncio", "psycopg2.pool", "psycopg_pool.pool", "psycopg_pool.pool_async", "redis.asyncio.connection",
    "redis.connection", "sqlalchemy.util.queue", "urllib3.connectionpool", "valkey.asyncio.connection",
    "valkey.connection",
})  # fmt: skip
"""Modules of clients that keep connections or replies in a queue."""

_CLIENTS: Final = frozenset({"quart.testing.connections", "starlette.testclient"})
"""Modules of in-process clients that take the response of their own call from a queue."""

_QUEUES: Final = frozenset({"anyio", "asyncio", "otel_keyaudit", "queue"})


def task_or_thread() -> int:
    """Return an id of the current task, or of the current thread if there is no task."""
    task = running_task()
    return get_ident() if task is None else id(task)


def is_run_by_framework() -> bool:
    """Return whether a framework, or a delimited call of an application, runs this code.

    A callback of an event loop belongs to no task, although the stack shows the code that runs the loop.
    """
    if _get_running_loop() is not None and running_task() is None:
        return False
    return any(name.startswith(_BOUNDARIES) or name.partition(".")[0] in _FRAMEWORKS for name in _callers())


def is_run_by_pool_or_client() -> bool:
    """Return whether a connection pool or an in-process client uses its own queue, for connections or its response."""
    user = next((name for name in _callers() if name.partition(".")[0] not in _QUEUES), "")
    return user in _POOLS or user in _CLIENTS


def _callers() -> Iterator[str]:
    """Yield the modules of the functions on the stack, down to the first function of the task or thread."""
    first = _first_frame()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield str(frame.f_globals.get("__name__", ""))
        frame = None if frame is first else frame.f_back


def _first_frame() -> FrameType | None:
    """Return the frame of the current task's coroutine. The frames below it run the event loop."""
    task = running_task()
    if task is None:
        return None
    coroutine = task.get_coro() if hasattr(task, "get_coro") else task.coro
    return getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)


def running_task() -> Any:
    """Return the current task of asyncio or trio, ``None`` outside of both."""
    loop = _get_running_loop()
    if loop is not None:
        return current_task(loop)
    trio: Any = sys.modules.get("trio")
    return trio.lowlevel.current_task() if trio is not None and trio.lowlevel.in_trio_task() else None
