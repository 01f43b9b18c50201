"""A key as a test knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

EXPIRY = datetime(2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
EXPIRES_AT = "2099-01-02T03:04:05Z"


@dataclass(frozen=True)
class Credential:
    """A key: how it is presented, its snapshot, and its secrets."""

    allowed: dict[str, str]
    denied: dict[str, str]
    snapshot: dict[str, Any]
    secrets: list[str] = field(repr=False)
    reason: str = "rest_framework.exceptions.AuthenticationFailed"
    denied_key_id: str | None = None


def fingerprint(secret: str) -> str:
    """Return the fingerprint of a key without a public id."""
    return sha256(secret.encode()).hexdigest()[:16]


def authorization(scheme: str, key: str, wrong: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of an allowed and of a denied request."""
    return {"Authorization": f"{scheme} {key}"}, {"Authorization": f"{scheme} {wrong}"}


def bearer(token: str, snapshot: dict[str, Any], reason: str) -> Credential:
    """Return a JSON Web Token as a credential. Its signature alone is a secret, too; a wrong one is denied."""
    headers = authorization("Bearer", token, f"{token[:-8]}AAAAAAAA")
    return Credential(*headers, snapshot, [token, token.split(".")[2]], reason)
