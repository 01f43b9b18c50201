"""The keys and the audit log of the applications here."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = "shapes-s3cret-of-a-script"


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]
    allow_list: tuple[str, ...]


KEYS = {SECRET: Key("k_ci", "ci", ("note:create",), ("note:n_1",))}


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Write a row."""
    with Path(os.environ["AUDIT_LOG"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(additional_fields) + "\n")


def create_note() -> str:
    """Write a row, as every endpoint does for an allowed request."""
    record("note.create", {"by": "application"})
    return "done"
