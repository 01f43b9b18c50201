"""Notes whose versions SQLAlchemy-Continuum keeps, with metadata of each transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.pool import NullPool
from sqlalchemy_continuum import make_versioned, versioning_manager
from sqlalchemy_continuum.plugins import TransactionMetaPlugin


@cache
def note() -> Any:
    """Return the model, made once: versioning cannot be set up twice in a process."""
    make_versioned(user_cls=None, plugins=[TransactionMetaPlugin()])
    base: Any = declarative_base()

    class Note(base):
        __tablename__ = "continuum_note"
        __versioned__: ClassVar[dict[str, Any]] = {}
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        title = sqlalchemy.Column(sqlalchemy.String(100))

    sqlalchemy.orm.configure_mappers()
    return Note


class Notes:
    """Notes in a database.

    Args:
        url: Where the database is.
    """

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url, poolclass=NullPool)
        note().metadata.create_all(self._engine)

    def write(self) -> None:
        """Write two notes in a transaction and set its metadata between them."""
        with Session(self._engine) as session:
            session.add(note()(title="tea"))
            session.flush()
            versioning_manager.unit_of_work(session).current_transaction.meta = {"origin": "application"}
            session.add(note()(title="coffee"))
            session.commit()

    def write_with(self, **meta: str) -> None:
        """Write a note in a transaction that has metadata from the beginning."""
        with Session(self._engine) as session:
            versioning_manager.unit_of_work(session).create_transaction(session).meta = meta
            session.add(note()(title="tea"))
            session.commit()

    def write_after_rollback(self) -> None:
        """Write a note after a rollback. SQLite gives the new transaction the id of the one rolled back."""
        with Session(self._engine) as session:
            session.add(note()(title="tea"))
            session.flush()
            session.rollback()
            session.add(note()(title="coffee"))
            session.commit()

    def rows(self) -> list[dict[str, str]]:
        """Return the metadata of each transaction."""
        transactions = versioning_manager.transaction_cls
        with Session(self._engine) as session:
            found = session.scalars(sqlalchemy.select(transactions).order_by(transactions.id))
            return [dict(transaction.meta) for transaction in found]


@contextmanager
def versioned(url: str) -> Iterator[Notes]:
    """Keep versions for a block: elsewhere it would take the models of others for its own."""
    versioning_manager.options["versioning"] = True
    try:
        yield Notes(url)
    finally:
        versioning_manager.options["versioning"] = False
