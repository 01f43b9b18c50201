"""Notes that postgresql-audit follows, with a column for more in the row of each transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.pool import NullPool


class Notes:
    """Notes in a database.

    Args:
        url: Where the database is.
        manager: The manager that follows them.
    """

    def __init__(self, url: str, manager: Any) -> None:
        class Note(manager.base):
            __tablename__ = f"note_of_{manager.schema_name}"
            __versioned__: ClassVar[dict[str, Any]] = {}
            id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
            title = sqlalchemy.Column(sqlalchemy.String(100))

        sqlalchemy.orm.configure_mappers()
        self._note = Note
        self.manager = manager
        self._engine = sqlalchemy.create_engine(url, poolclass=NullPool)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE EXTENSION IF NOT EXISTS btree_gist"))
            for model in (manager.transaction_cls, manager.activity_cls, Note):
                model.__table__.create(connection)

    def write(self) -> None:
        """Write a note."""
        with Session(self._engine) as session:
            session.add(self._note(title="tea"))
            session.commit()

    def rows(self, column: Callable[[Any], Any]) -> list[Any]:
        """Return the recorded fields of the transaction of each activity."""
        activity = self.manager.activity_cls
        with Session(self._engine) as session:
            found = session.scalars(sqlalchemy.select(activity).order_by(activity.id))
            return [column(one.transaction) for one in found]


@contextmanager
def audited(url: str, manager_class: Any, schema: str, *, has_column: bool = True) -> Iterator[Notes]:
    """Follow notes for a block, in a schema of their own.

    Args:
        url: Where the database is.
        manager_class: The manager, as the library has it.
        schema: The schema.
        has_column: The application has added a column for more.
    """

    class Manager(manager_class):
        _actor_cls = None
        default_actor_id = None  # of the manager for Flask, which would ask flask_login

        def transaction_model_factory(self, base: Any) -> Any:
            made = super().transaction_model_factory(base)
            if has_column:
                made.additional_fields = sqlalchemy.Column(JSONB)
            return made

    manager = Manager(schema_name=schema)
    manager.init(declarative_base())
    try:
        yield Notes(url, manager)
    finally:
        manager.remove_listeners()
