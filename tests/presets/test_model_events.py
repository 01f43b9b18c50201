"""The event of a SQLAlchemy model as a target: the rows that lead to it, and its arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import observed

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


@pytest.fixture
def models() -> Any:
    """A model, a subclass, another model, and a function that inserts their rows into a database."""
    from sqlalchemy import String, create_engine  # noqa: PLC0415 - not everywhere
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column  # noqa: PLC0415
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    class Base(DeclarativeBase):
        pass

    class Log(Base):
        __tablename__ = "log"
        action = mapped_column(String, primary_key=True)

    class Special(Log):
        pass

    class Other(Base):
        __tablename__ = "other"
        action = mapped_column(String, primary_key=True)

    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)

    def insert(*rows: Any) -> None:
        with Session(engine, expire_on_commit=False) as session:
            session.add_all(rows)
            session.commit()

    yield SimpleNamespace(Log=Log, Special=Special, Other=Other, insert=insert)
    engine.dispose()


def test_rows_of_the_model_and_of_those_that_inherit_it_lead_to_the_event(models: Any) -> None:
    """The event receives rows of the model and of its subclasses before they are inserted, and no others."""
    rows = [models.Log(action="a"), models.Special(action="b"), models.Other(action="c")]
    with observed(models, "Log.before_insert") as observer:
        models.insert(*rows)
    models.insert(models.Log(action="d"))

    assert [call.keywords for call in observer.calls] == [{}, {}]
    assert [call.positional[2] for call in observer.calls] == rows[:2]
    mapper, connection, _ = observer.calls[0].positional
    assert mapper.class_ is models.Log
    assert connection.dialect.name == "sqlite"


def test_the_row_is_a_parameter_of_the_event(models: Any) -> None:
    """An expression reads the row as ``args.target``."""
    binding = resolve(models, "Log.before_insert").binding()
    assert list(binding.names) == ["mapper", "connection", "target"]
    assert not binding.has_self


def test_a_model_has_no_other_event(models: Any) -> None:
    """Only models have this event; a method of that name on a model is an ordinary method."""
    with pytest.raises(WrongTargetError, match=r"class '.*Log' has no 'before_update'"):
        resolve(models, "Log.before_update")
    models.Log.write = lambda self: None
    models.Log.before_insert = lambda self: None
    assert [resolve(models, f"Log.{name}").has_self for name in ("write", "before_insert")] == [True, True]
