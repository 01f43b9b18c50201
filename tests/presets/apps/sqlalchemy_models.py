"""The application's own audit log, as a model of SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Engine, create_engine, select
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool


class Base(DeclarativeBase):
    pass


class AuditLog(Base):
    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    details: Mapped[Any] = mapped_column(JSON)
    noted: Mapped[Any] = mapped_column(MutableDict.as_mutable(JSON()))


class Other(Base):
    """Has such columns, too, and is not an audit log."""

    __tablename__ = "other"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[Any] = mapped_column(JSON)


def engine_of(url: str) -> Engine:
    """Return an engine for a database with the tables in it."""
    engine = create_engine(url, poolclass=NullPool)
    Base.metadata.create_all(engine)
    return engine


def write(engine: Engine) -> None:
    """Write a row of the audit log, and one of another table."""
    with Session(engine) as session:
        fields = {"title": "tea"}
        session.add(AuditLog(action="note.create", details=fields, noted=fields))
        session.add(Other(details=fields))
        session.commit()
        assert fields == {"title": "tea"}


def rows(engine: Engine, column: str) -> list[Any]:
    """Return the audit log."""
    with Session(engine) as session:
        return [getattr(row, column) for row in session.scalars(select(AuditLog).order_by(AuditLog.id))]
