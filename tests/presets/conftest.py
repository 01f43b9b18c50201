"""These tests need the real libraries, in an environment of their own: requirements/presets.txt."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from otel_keyaudit.testing import Recorder, keyaudit_recorder
from support import postgresql as postgresql_support
from support.postgresql import PostgreSQL

__all__ = ["keyaudit_recorder"]

# Elsewhere they are left out; there, a library that is missing is a failure.
collect_ignore_glob = []
if find_spec("rest_framework_api_key") is None and "KEYAUDIT_PRESETS" not in os.environ:
    collect_ignore_glob = [
        "test_audit_logs.py",
        "test_django_*.py",
        "test_fastapi.py",
        "test_fastmcp.py",
        "test_flask.py",
        "test_litestar.py",
        "test_mcp.py",
        "test_sqlalchemy*.py",
        "test_unkey.py",
    ]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL that all tests of the session share: use tables of your own."""
    with postgresql_support.serving() as server:
        yield server


@pytest.fixture(scope="session")
def _django() -> None:
    """The project, with its tables."""
    import django  # noqa: PLC0415 - not everywhere
    from django.core.management import call_command  # noqa: PLC0415

    os.environ["DJANGO_SETTINGS_MODULE"] = "presets.django_project.settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture
def recorder(_django: None, keyaudit_recorder: Recorder) -> Iterator[Recorder]:
    """A recorder; connections to the database are closed behind it."""
    from django.db import connections  # noqa: PLC0415

    yield keyaudit_recorder
    connections.close_all()
