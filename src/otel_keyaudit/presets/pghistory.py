"""django-pghistory: the context that its triggers write into the events of a statement."""

from __future__ import annotations

import re
import sys
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call

_ACTIONS = {"insert": "create", "update": "update", "delete": "delete"}
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w*)", re.DOTALL)  # after comments
_WRITES = frozenset({*_ACTIONS, "merge", "with", "truncate", "copy", "call", "do"})


def _verb(call: Call) -> str:
    """Return the first word of a statement."""
    statement = call.args["sql"]
    string = statement.decode(errors="replace") if isinstance(statement, bytes) else statement
    found = _FIRST_WORD.match(string)
    return found[1].lower() if found else ""


def _may_write(call: Call) -> bool:
    return _verb(call) in _WRITES


def _action(call: Call) -> str | None:
    return _ACTIONS.get(_verb(call))


def _into_metadata(_: Call, change: Change) -> None:
    """Change the metadata of this thread's context in place, because pghistory and the application share it."""
    metadata: dict[str, Any] = sys.modules["pghistory.runtime"]._tracker.value.metadata
    changed = change(metadata)
    if changed is not metadata:
        for name in metadata.keys() - changed.keys():
            del metadata[name]
        metadata.update(changed)


PRESET = Preset(
    library="django-pghistory",
    oldest="3.6",
    records="`Context.metadata`, beside the application's members, of every event that a statement causes inside "
    "`pghistory.context`, which its middleware also opens. Each such statement that may write counts as a write, with "
    "the action `create`, `update` or `delete`",
    never="the events, which contain the changed values; statements outside of `pghistory.context`",
    targets=(
        PlacedTarget("pghistory.runtime:_inject_history_context", _into_metadata, action=_action, when=_may_write),
    ),
)
