"""A mapping whose values a database or a class checks stays as it is, because a dict in it would be refused later."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit.testing import Recorder
from support.applications.audited import OURS, Application
from support.environment.installed import need_package
from support.environment.modules import LoadModule

APP = """
from __future__ import annotations
import dataclasses
from collections.abc import Mapping
from typing import Any, Optional

import pydantic
from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import HSTORE
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator
from typing_extensions import TypedDict

ROWS = []

def write(event):
    ROWS.append(event)

class Converted(TypeDecorator):
    impl = HSTORE
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value

class Base(DeclarativeBase):
    pass

class Hstore(Base):
    __tablename__ = "hstore"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[Optional[dict[str, str]]] = mapped_column(HSTORE)

class Tracked(Base):
    __tablename__ = "tracked"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[Optional[dict[str, str]]] = mapped_column(MutableDict.as_mutable(HSTORE))

class Own(Base):
    __tablename__ = "own"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[dict[str, str]] = mapped_column(Converted)

class Json(Base):
    __tablename__ = "json"
    id: Mapped[int] = mapped_column(primary_key=True)
    details: Mapped[dict[str, str]] = mapped_column(JSON)

class Closed(TypedDict, total=False):
    a: str

class Open(TypedDict, total=False):
    a: str
    request_api_key: dict[str, Any]

class Strings(pydantic.BaseModel):
    details: dict[str, str] | None = None

class Numbers(pydantic.BaseModel):
    details: Mapping[str, int | str] | None = None

class Inherited(Strings):
    pass

class Declared(pydantic.BaseModel):
    details: Closed | None = None

class AnyValues(pydantic.BaseModel):
    details: dict[str, Any] | None = None

class Either(pydantic.BaseModel):
    details: dict[str, str | dict] | None = None

class WithMember(pydantic.BaseModel):
    details: Open | None = None

class Bare(pydantic.BaseModel):
    details: dict | None = None

@dataclasses.dataclass
class Unchecked:
    details: dict[str, str] | None = None
"""


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Application:
    """An application that writes events whose additional fields are a mapping."""
    application = Application(recorder, load_module(APP))
    application.audit("write?fields=args.event.details")
    return application


@pytest.mark.parametrize("kind", ["Hstore", "Tracked", "Strings", "Numbers", "Inherited", "Declared"])
def test_a_mapping_that_takes_no_dict_as_value(app: Application, kind: str) -> None:
    """The row stays as it is, also without a value, and the write fails with the remedy."""
    make = getattr(app.module, kind)
    assert app.row("write", make(details={"a": "1"})).details == {"a": "1"}
    assert app.row("write", make()).details is None
    assert app.wrote("failed")
    assert "use fields=none with id_to" in "".join(record.getMessage() for record in app.recorder.logs)


@pytest.mark.parametrize("kind", ["Own", "Json", "AnyValues", "Either", "WithMember", "Bare", "Unchecked"])
def test_a_mapping_that_takes_any_value(app: Application, kind: str) -> None:
    """The row has the key, and so has a mapping of strings that nothing checks."""
    row = app.row("write", getattr(app.module, kind)(details={"a": "1"}))
    assert list(row.details) == ["a", OURS]
    assert app.wrote("attributed")


def test_a_struct(recorder: Recorder, load_module: LoadModule) -> None:
    """Msgspec decodes no event whose mapping of strings holds a dict."""
    need_package("msgspec")
    module: Any = load_module("""\
        import msgspec
        ROWS = []
        class Strings(msgspec.Struct):
            details: dict[str, str] | None = None
        class AnyValues(msgspec.Struct):
            details: dict | None = None
        def write(event):
            ROWS.append(event)
    """)
    app = Application(recorder, module)
    app.audit("write?fields=args.event.details")
    assert app.row("write", module.Strings({"a": "1"})).details == {"a": "1"}
    assert app.wrote("failed")
    assert list(app.row("write", module.AnyValues({"a": "1"})).details) == ["a", OURS]


def test_single_values_in_a_mapping_of_strings(recorder: Recorder, load_module: LoadModule) -> None:
    """The remedy puts the id into the mapping."""
    app = Application(recorder, load_module(APP))
    app.audit("write?fields=none&id_to=args.event.details['key_id']")
    assert app.row("write", app.module.Hstore(details={"a": "1"})).details == {"a": "1", "key_id": "k_1"}
    assert app.wrote("attributed")
