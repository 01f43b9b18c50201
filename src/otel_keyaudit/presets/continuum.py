"""SQLAlchemy-Continuum: the metadata of transactions, which are strings, if ``TransactionMetaPlugin`` is in use.

The row is inserted directly and not added to the collection ``Transaction.meta``, because an application that replaces
the collection after a flush could not remove a row that is flushed already.
"""

from __future__ import annotations

import json
from typing import Any
from weakref import WeakKeyDictionary

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call

_WRITTEN: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""The written members of each transaction, by the name of the metadata."""


def _into_meta(call: Call, change: Change) -> None:
    """Write rows of metadata for the transaction that is about to be flushed."""
    transaction = call.argument("uow").current_transaction
    # Loaded before the library adds its row. The proxy `meta` would keep the transaction alive in a reference cycle.
    taken = set(transaction.meta_relation)
    written = _WRITTEN.setdefault(transaction, {})
    for name, member in (change(None) or {}).items():
        if name in written or name not in taken:
            _write(call, transaction, name, member, written)
        else:
            raise UnchangeableError("the transaction has metadata of a reserved name")


def _write(call: Call, transaction: Any, name: str, member: dict[str, Any], written: dict[str, Any]) -> None:
    """Write one row, or update it if the key has changed."""
    table = call.self.model_class.__table__
    value = {"value": json.dumps(member)}
    if name not in written:
        statement = table.insert().values(transaction_id=transaction.id, key=name, **value)
    elif _key_of(written[name]) != _key_of(member):
        statement = table.update().values(value).where(table.c.transaction_id == transaction.id, table.c.key == name)
    else:
        return
    call.argument("session").connection().execute(statement)
    written[name] = member


def _key_of(member: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name not in ("trace_id", "span_id")}


PRESET = Preset(
    library="SQLAlchemy-Continuum",
    oldest="1.4.2",
    records="a row of `TransactionMeta` for each transaction, as a JSON string, if `TransactionMetaPlugin` is used",
    never="the versions; action and object, because one transaction may change many objects",
    targets=(
        PlacedTarget("sqlalchemy_continuum.plugins.transaction_meta:TransactionMetaPlugin.before_flush", _into_meta),
    ),
)
