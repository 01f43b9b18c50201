"""The audit log of the applications here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

SERVED = [f"served-s3cret-{number}" for number in range(8)]
"""Keys that an application in a process of its own knows from the start."""


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Write a line of JSON if the process has a file for it; tests in this process record the calls."""
    if "AUDIT_LOG" in os.environ:
        with Path(os.environ["AUDIT_LOG"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(additional_fields) + "\n")
