"""A scope catalog, from its file to rows, spans and digests: what a key may do, under the version in force."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from support.keyaudit import KeyAudit, LoadModule

CATALOG = {
    "version": "2026-11",
    "resources": {"workspace": ["read", "create", "update"], "template": ["read", "use"]},
    "composites": {"ops:workspaces.operate": ["workspace:read", "workspace:update"]},
    "aliases": {"all": "ops:all"},
    "all": ["ops:all"],
}
APP = """
ROWS = []

def record(action, additional_fields=None):
    ROWS.append(additional_fields)
"""
KEY = ApiKey("k_1", scopes=["template:use", "ops:workspaces.operate", "mars:read"], allow_list=["workspace:3f1c"])
PERMISSIONS = ["template:use", "workspace:read", "workspace:update"]


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that writes rows."""
    return load_module(APP)


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    """The path of the catalog."""
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(CATALOG), encoding="utf-8")
    return str(path)


def row(app: Any) -> Any:
    """Write a row in the name of the key, and return what it was given."""
    with use_key(KEY):
        app.record("create", {})
    return app.ROWS[-1]["request_api_key"]


def test_a_row_says_what_the_key_may_do(keyaudit: KeyAudit, app: Any, catalog: str) -> None:
    """Single permissions, the allow list, the version, and what the catalog does not know."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record"], scope_catalog=catalog)
    assert row(app)["effective_scope"] == {
        "permissions": PERMISSIONS,
        "allow_list": ["workspace:3f1c"],
        "catalog": "2026-11",
        "unknown_scopes": ["mars:read"],
    }


def test_the_server_span_has_the_permissions(keyaudit: KeyAudit, app: Any, catalog: str) -> None:
    """As a list beside the scopes, cut like them, with the full number."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record"], scope_catalog=catalog, max_items=2)
    with keyaudit.request():
        row(app)
    shown = keyaudit.server_span()
    assert shown["keyaudit.key.permissions"] == tuple(PERMISSIONS[:2])
    assert shown["keyaudit.key.permissions_count"] == 3
    assert shown["keyaudit.key.digest"] == app.ROWS[0]["request_api_key"]["digest"]


def test_the_version_is_part_of_the_digest(keyaudit: KeyAudit, app: Any, catalog: str) -> None:
    """As long as the catalog is in force: the same scopes may mean something else under another one."""
    before = KEY.digest
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record"], scope_catalog=catalog)
    content = {
        "allow_list": ["workspace:3f1c"], "catalog": "2026-11", "id": "k_1",
        "scopes": ["mars:read", "ops:workspaces.operate", "template:use"],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:16]
    assert digest != before
    assert (row(app)["digest"], KEY.digest) == (digest, digest)
    keyaudit.uninstrument()
    assert KEY.digest == before


def test_without_a_catalog_nothing_is_said_of_permissions(keyaudit: KeyAudit, app: Any) -> None:
    """Neither in rows nor on spans."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record"])
    with keyaudit.request():
        assert "effective_scope" not in row(app)
    assert "keyaudit.key.permissions" not in keyaudit.server_span()
