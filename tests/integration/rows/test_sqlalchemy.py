"""Rows of SQLAlchemy in real databases, written through the connection pools of asynchronous engines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from integration.rows.conftest import Database
from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.installed import need_package
from support.environment.modules import LoadModule

APP = """
from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Log(Base):
    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[dict] = mapped_column(JSON)
"""


@pytest.fixture
def url(database: Database, tmp_path: Path) -> str:
    """The URL for an asynchronous driver."""
    if database.port is None:
        need_package("aiosqlite")
        return f"sqlite+aiosqlite:///{tmp_path}/rows.db"
    need_package("asyncpg")
    return database.url("", "postgresql+asyncpg")


def test_tasks_of_a_request_share_the_pool_with_other_requests(
    url: str, load_module: LoadModule, recorder: Recorder
) -> None:
    """Each task names its request's key, also with a connection that another request has returned to the pool."""
    need_package("sqlalchemy")
    from sqlalchemy import select  # noqa: PLC0415 - not everywhere
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import AsyncAdaptedQueuePool  # noqa: PLC0415

    app: Any = load_module(APP)
    recorder.instrument(audit_targets=[f"{app.__name__}:Log.before_insert?fields=args.target.details"])

    async def write(engine: Any) -> None:
        async with AsyncSession(engine) as session:
            session.add(app.Log(details={}))
            await session.commit()

    async def run() -> list[Any]:
        # tasks wait for one of two connections; early releases of SQLAlchemy have another pool for SQLite
        engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=2, max_overflow=0)
        async with engine.begin() as connection:
            await connection.run_sync(app.Base.metadata.create_all)
        for key in ("k_1", "k_2"):
            with recorder.request(), use_key(ApiKey(key)):
                await asyncio.gather(*(write(engine) for _ in range(4)))
        async with AsyncSession(engine) as session:
            found = [*await session.scalars(select(app.Log.details).order_by(app.Log.id))]
        await engine.dispose()
        return found

    assert [row["request_api_key"]["id"] for row in asyncio.run(run())] == ["k_1"] * 4 + ["k_2"] * 4


@pytest.mark.parametrize("column", ["JSON", "Text"])
def test_rows_of_a_bulk_insert_are_named_by_their_constructor(
    column: str, load_module: LoadModule, recorder: Recorder
) -> None:
    """`bulk_save_objects` bypasses the mapper's event, and the constructor gets the fields as the column takes them."""
    need_package("sqlalchemy")
    from sqlalchemy import create_engine, select  # noqa: PLC0415 - not everywhere
    from sqlalchemy.orm import Session  # noqa: PLC0415

    text = APP.replace("JSON", "Text").replace("Mapped[dict]", "Mapped[str]")
    app: Any = load_module(text if column == "Text" else APP)
    recorder.instrument(audit_targets=[f"{app.__name__}:Log.__init__?fields=args.details"])
    engine = create_engine("sqlite://")
    app.Base.metadata.create_all(engine)
    with Session(engine) as session:
        with recorder.request(), use_key(ApiKey("k_1")):
            session.bulk_save_objects([app.Log(), app.Log(details=None)])
            session.commit()
        rows = [json.loads(row) if column == "Text" else row for row in session.scalars(select(app.Log.details))]
    assert [row["request_api_key"]["id"] for row in rows] == ["k_1", "k_1"]
    assert recorder.writes()["attributed"] == 2
    engine.dispose()
