"""The type of a mapped column tells whether it takes a string, bytes or a mapping."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import JSON, Enum, LargeBinary, Text, orm
from sqlalchemy.dialects import postgresql

from otel_keyaudit.row.types.column_types import kind_of_column


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Text(), "text"),
        (LargeBinary(), "bytes"),
        (JSON(), "dict"),
        (postgresql.JSONB(), "dict"),
        (Enum("a"), "unknown"),
        (postgresql.HSTORE(), "unknown"),
        (postgresql.ARRAY(Text()), "unknown"),
    ],
)
def test_types_of_sqlalchemy(column: Any, kind: str) -> None:
    """A column that takes only some strings, or a mapping of strings, cannot hold a member."""
    row = type("Row", (orm.declarative_base(),), {
        "__tablename__": "rows", "id": orm.mapped_column(Text, primary_key=True), "extra": orm.mapped_column(column),
    })  # fmt: skip
    assert kind_of_column(row, "extra") == kind
    assert kind_of_column(row, "other") is None
