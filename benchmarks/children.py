"""Runs a part of the benchmarks in a Python process of its own and reads the JSON that it prints last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def environ() -> dict[str, str]:
    """Return the environment of a child: this checkout's benchmarks, nobody's telemetry settings, the same hashes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # what is imported is compiled already, as it is for users
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}


def command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def result_of(module: str, *arguments: object) -> Any:
    """Run a module and return what it found out."""
    done = subprocess.run(
        command(module, *arguments), cwd=ROOT, env=environ(), check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])
