"""API keys: how they are stored, presented and checked, and what they allow."""

import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Security
from fastapi.security import APIKeyHeader

from shop.storage import Connection

CATALOG: dict[str, Any] = json.loads((Path(__file__).parent.parent / "scopes.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Key:
    """One row of the key table; `secret_hash` must never leave this service."""

    id: str
    name: str
    owner: str
    scopes: list[str]
    allow_list: list[str]
    secret_hash: str
    revoked: bool = False
    expires_at: float | None = None


class KeyRefused(HTTPException):
    """The presented API key was not accepted; `key` is the stored key if it was found."""

    def __init__(self, reason: str, key: Key | None = None) -> None:
        super().__init__(status_code=401, detail=reason)
        self.key = key


def verify_api_key(
    connection: Connection, presented: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))]
) -> Key:
    """Authenticate a request by its X-API-Key header, which reads `<key id>.<secret>`."""
    key_id, _, secret = (presented or "").partition(".")
    key = find_key(connection, key_id)
    if key is None or not hmac.compare_digest(key.secret_hash, _hash(secret)):
        raise KeyRefused("unknown API key")
    if key.revoked:
        raise KeyRefused("this API key was revoked", key)
    if key.expires_at is not None and key.expires_at < time.time():
        raise KeyRefused("this API key has expired", key)
    return key


CurrentKey = Annotated[Key, Depends(verify_api_key)]


def create_key(
    connection: sqlite3.Connection,
    name: str,
    owner: str,
    scopes: list[str],
    allow_list: list[str],
    key_id: str | None = None,
) -> tuple[Key, str]:
    """Store a new key and return it with its credential, which is not stored."""
    secret = secrets.token_urlsafe(24)
    key = Key(key_id or f"k_{secrets.token_hex(4)}", name, owner, scopes, allow_list, _hash(secret))
    connection.execute(
        "INSERT INTO api_keys (id, name, owner, scopes, allow_list, secret_hash) VALUES (?, ?, ?, ?, ?, ?)",
        (key.id, name, owner, json.dumps(scopes), json.dumps(allow_list), key.secret_hash),
    )
    return key, f"{key.id}.{secret}"


def find_key(connection: sqlite3.Connection, key_id: str) -> Key | None:
    """Read a key from the table, whether or not it is still valid."""
    row = connection.execute("SELECT * FROM api_keys WHERE id = ?", (key_id,)).fetchone()
    if row is None:
        return None
    return Key(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        scopes=json.loads(row["scopes"]),
        allow_list=json.loads(row["allow_list"]),
        secret_hash=row["secret_hash"],
        revoked=bool(row["revoked"]),
        expires_at=row["expires_at"],
    )


def narrow_key(connection: sqlite3.Connection, key: Key, scopes: list[str], allow_list: list[str]) -> None:
    """Replace the scopes and the allow list of a key."""
    connection.execute(
        "UPDATE api_keys SET scopes = ?, allow_list = ? WHERE id = ?",
        (json.dumps(scopes), json.dumps(allow_list), key.id),
    )


def revoke_key(connection: sqlite3.Connection, key: Key) -> None:
    """Revoke a key and keep its row."""
    connection.execute("UPDATE api_keys SET revoked = 1 WHERE id = ?", (key.id,))


def delete_key(connection: sqlite3.Connection, key: Key) -> None:
    """Delete a key."""
    connection.execute("DELETE FROM api_keys WHERE id = ?", (key.id,))


def is_allowed(key: Key, resource_type: str, action: str, resource_id: str) -> bool:
    """Return whether the key's scopes grant the action and its allow list names the resource."""
    granted = {permission for scope in key.scopes for permission in _permissions(scope)}
    listed = {"*:*", f"{resource_type}:*", f"{resource_type}:{resource_id}"} & set(key.allow_list)
    return f"{resource_type}:{action}" in granted and bool(listed)


def _permissions(scope: str) -> set[str]:
    """Expand a scope to single permissions, by the service's own catalog."""
    everything = {f"{resource}:{action}" for resource, actions in CATALOG["resources"].items() for action in actions}
    scope = CATALOG["aliases"].get(scope, scope)
    if scope in CATALOG["all"]:
        return everything
    if scope in CATALOG["composites"]:
        return set(CATALOG["composites"][scope])
    return {permission for permission in everything if scope in (permission, f"{permission.partition(':')[0]}:*")}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
