"""The database of the project while it runs: SQLite, for a block a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from pghistory.models import Context

from support.servers.postgresql import HOST, PostgreSQL


@contextmanager
def on_postgresql(server: PostgreSQL) -> Iterator[None]:
    """Use this server; its tables must be there."""
    sqlite = connections.databases["default"]
    settings = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": HOST}
    _use(connections.configure_settings({"default": {**settings, "PORT": server.port}})["default"])
    try:
        yield
    finally:
        _use(sqlite)


def make_tables() -> None:
    """Make the tables, from the models, and the triggers where they go with it."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    if connections["default"].vendor == "postgresql":
        Context.install_pgh_attach_context_func(using="default")
        call_command("pgtrigger", "install", verbosity=0)


def _use(settings: dict[str, Any]) -> None:
    connections["default"].close()
    del connections["default"]
    connections.databases["default"] = settings
    ContentType.objects.clear_cache()  # it holds numbers of the other database
