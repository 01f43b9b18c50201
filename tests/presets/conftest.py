"""These tests need the real libraries, in an environment of their own: requirements/presets.txt."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from otel_keyaudit.testing import Recorder, keyaudit_recorder
from support.servers import postgresql as postgresql_support
from support.servers.postgresql import PostgreSQL

__all__ = ["keyaudit_recorder"]

# Elsewhere they are left out; there, a library that is missing is a failure.
collect_ignore_glob = []
if find_spec("rest_framework_api_key") is None and "KEYAUDIT_PRESETS" not in os.environ:
    collect_ignore_glob = [
        "test_audit_logs.py",
        "test_decisions.py",
        "test_django_*.py",
        "test_documented_configurations.py",
        "test_fastapi.py",
        "test_fastmcp.py",
        "test_flask.py",
        "test_litestar.py",
        "test_mcp.py",
        "test_servers.py",
        "test_sqlalchemy*.py",
        "test_unkey.py",
        "test_workers_celery*.py",
    ]
if find_spec("sqlalchemy") is None and "KEYAUDIT_PRESETS" not in os.environ:
    collect_ignore_glob.append("test_model_events.py")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL that all tests of the session share: use tables of your own."""
    with postgresql_support.serving() as server:
        yield server


@pytest.fixture(scope="session")
def _django() -> None:
    """The project, with its tables."""
    import django  # noqa: PLC0415 - not everywhere

    os.environ["DJANGO_SETTINGS_MODULE"] = "presets.django_project.settings"
    django.setup()
    from presets.django_project import databases  # noqa: PLC0415 - when it is set up

    databases.make_tables()


@pytest.fixture
def recorder(_django: None, keyaudit_recorder: Recorder) -> Iterator[Recorder]:
    """A recorder, after which the database connections are closed."""
    from django.db import connections  # noqa: PLC0415

    yield keyaudit_recorder
    connections.close_all()


@pytest.fixture(scope="session")
def _tables_on_postgresql(_django: None, postgresql: PostgreSQL) -> PostgreSQL:
    """The tables of the project, on PostgreSQL."""
    from presets.django_project import databases  # noqa: PLC0415 - when it is set up

    with databases.on_postgresql(postgresql):
        databases.make_tables()
    return postgresql


@pytest.fixture
def recorder_on_postgresql(recorder: Recorder, _tables_on_postgresql: PostgreSQL) -> Iterator[Recorder]:
    """A recorder, while the project uses PostgreSQL."""
    from presets.django_project import databases  # noqa: PLC0415 - when it is set up

    with databases.on_postgresql(_tables_on_postgresql):
        yield recorder


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each(request: pytest.FixtureRequest, recorder: Recorder) -> Recorder:
    """A recorder, with each of the databases."""
    if request.param == "postgresql":
        request.getfixturevalue("recorder_on_postgresql")
    return recorder


@pytest.fixture
def lenient_recorder() -> Iterator[Recorder]:
    """A recorder without Django that accepts wrong targets and keeps no rows."""
    with Recorder(strict=False, keep_rows=False) as made:
        yield made
