"""The service's SQLite database: its tables, and one connection per request."""

import os
import sqlite3
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends

SCHEMA = """
CREATE TABLE IF NOT EXISTS workspaces (id TEXT PRIMARY KEY, template TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS templates (id TEXT PRIMARY KEY, image TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, scopes TEXT NOT NULL, allow_list TEXT NOT NULL,
    secret_hash TEXT NOT NULL, revoked INTEGER NOT NULL DEFAULT 0, expires_at REAL
);
CREATE TABLE IF NOT EXISTS audit_log (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, actor TEXT NOT NULL, action TEXT NOT NULL,
    resource_type TEXT NOT NULL, resource_id TEXT NOT NULL, resource_name TEXT, outcome TEXT NOT NULL,
    additional_fields TEXT NOT NULL
);
"""


def connect(path: str | None = None) -> sqlite3.Connection:
    """Open the database named by SHOP_DATABASE; every statement commits on its own."""
    # FastAPI may open and close a connection in different worker threads, but uses it in one at a time.
    connection = sqlite3.connect(
        path or os.environ.get("SHOP_DATABASE", "shop.db"), isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the missing tables."""
    connection.executescript(SCHEMA)


def per_request() -> Iterator[sqlite3.Connection]:
    """Open a connection for a request, and close it afterwards."""
    connection = connect()
    try:
        yield connection
    finally:
        connection.close()


Connection = Annotated[sqlite3.Connection, Depends(per_request)]
