"""postgresql-audit: the row of a transaction, if the application has given its model a JSONB column."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call

_COLUMN = "additional_fields"


def _has_column(call: Call) -> bool:
    return _COLUMN in call.self.transaction_cls.__table__.columns


def _with_fields(call: Call, change: Change) -> Any:
    """Return the values of the row with changed fields, as a copy, because the manager reuses its values."""
    values = call.result
    fields = values.get(_COLUMN)
    changed = change(fields)
    return values if changed is fields else {**values, _COLUMN: changed}


def _target(manager: str) -> PlacedTarget:
    """Return the target for a manager class. The class for Flask does not call the method of its base class."""
    return PlacedTarget(f"{manager}.get_transaction_values", _with_fields, fields="return", when=_has_column)


PRESET = Preset(
    library="postgresql-audit",
    oldest="0.17.1",
    records="`additional_fields` of a transaction, if the class that your manager creates for it has such a JSONB "
    "column; also with the manager of `postgresql_audit.flask`",
    never="`Activity`, which contains the changed values; action and object, because a transaction may change many",
    targets=(_target("postgresql_audit.base:VersioningManager"),),
    optional_targets={"Flask": (_target("postgresql_audit.flask:VersioningManager"),)},
)
