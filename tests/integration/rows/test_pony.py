"""Rows of Pony in a real database: each column receives its kind on every path to the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

KEY = ApiKey("k_1")
OURS = "request_api_key"

APP = """
from pony import orm

db = orm.Database()

class Text(db.Entity):
    extra = orm.Optional(str, nullable=True)

class Long(db.Entity):
    extra = orm.Optional(orm.LongStr, nullable=True)

class Json(db.Entity):
    extra = orm.Optional(orm.Json, nullable=True)

class Binary(db.Entity):
    extra = orm.Optional(orm.buffer)

db.bind("sqlite", "FILE", create_db=True)
db.generate_mapping(create_tables=True)

def save(row):
    orm.flush()

def stored(model):
    with orm.db_session:
        return list(db.select(f'extra from "{model.__name__}"'))
"""

WAYS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "constructor": ("{model}.__init__?fields=args.extra", lambda app, model: model()),
    "constructor with None": ("{model}.__init__?fields=args.extra", lambda app, model: model(extra=None)),
    "argument": ("save?fields=args.row.extra", lambda app, model: app.save(model())),
    "method": ("{model}.flush?fields=self.extra", lambda app, model: model().flush()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", ["Text", "Long", "Json", "Binary"])
def test_every_column_receives_its_kind(
    recorder: Recorder, load_module: LoadModule, tmp_path: Path, model: str, way: str
) -> None:
    """An empty column receives a string, bytes or a dict, and the row names the key."""
    pytest.importorskip("pony")
    app: Any = load_module(APP.replace("FILE", str(tmp_path / "rows")))
    target, write = WAYS[way]
    recorder.instrument(audit_targets=[f"{app.__name__}:{target.format(model=model)}"])
    with recorder.request(), use_key(KEY), app.orm.db_session:
        write(app, getattr(app, model))
    (row,) = app.stored(getattr(app, model))
    assert list(json.loads(row)) == [OURS]
    assert recorder.errors() == {}
    app.db.disconnect()
