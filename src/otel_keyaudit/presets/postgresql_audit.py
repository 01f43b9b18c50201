"""postgresql-audit: the row of a transaction, where the application has given its model a JSONB column."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.field_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call

_COLUMN = "additional_fields"


def _has_column(call: Call) -> bool:
    return _COLUMN in call.self.transaction_cls.__table__.columns


def _with_fields(call: Call, change: Change) -> Any:
    """Return the values of the row with the fields changed: a copy, since the manager keeps its values."""
    values = call.result
    fields = values.get(_COLUMN)
    changed = change(fields)
    return values if changed is fields else {**values, _COLUMN: changed}


def target(manager: str) -> PlacedTarget:
    """Return the target for a class of managers."""
    return PlacedTarget(f"{manager}.get_transaction_values", _with_fields, fields="return", when=_has_column)


NEVER = "`Activity`: what was changed; action and object, since a transaction may change many"
RECORDS = "`additional_fields` of a transaction, where the class that your manager makes for it has such a JSONB column"

PRESET = Preset(
    library="postgresql-audit",
    oldest="0.17.1",
    records=RECORDS,
    never=NEVER,
    targets=(target("postgresql_audit.base:VersioningManager"),),
)
