"""A WSGI application that verifies its keys with Unkey, and a stand-in for Unkey's documented service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from unkey.py import Unkey

ALLOWED = "unkey-s3cret-1"
UNKNOWN = "unkey-s3cret-0"
FOUND = {
    "valid": True,
    "code": "VALID",
    "keyId": "key_1",
    "name": "loader",
    "meta": {"note": ALLOWED},
    "expires": 4071006245000,
    "permissions": ["note:create"],
    "identity": {"id": "id_1", "externalId": "owner-1"},
}
REFUSED = {"valid": False, "code": "EXPIRED", "keyId": "key_2"}
NOT_FOUND = {"valid": False, "code": "NOT_FOUND"}


def service(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    data = {ALLOWED: FOUND, UNKNOWN: NOT_FOUND}.get(asked["key"], REFUSED)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"meta": {"requestId": "req_1"}, "data": data}).encode()]


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand in for the application's audit log; the tests record the calls."""


def application(service_url: str) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        key = environ.get("HTTP_X_API_KEY")
        with Unkey(server_url=service_url, root_key="root-s3cret") as unkey:
            is_valid = key is not None and unkey.keys.verify_key(key=key).data.valid
        if is_valid:
            record("note.create", {"by": "application"})
        start_response("200 OK" if is_valid else "401 Unauthorized", [])
        return []

    return app
