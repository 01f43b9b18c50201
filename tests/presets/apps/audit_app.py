"""A Flask application that anybody may write with; who presents a token is known by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask
from flask_httpauth import HTTPTokenAuth

from presets.credential import Credential, authorization

SECRET = "audit-s3cret-of-a-token"


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]


KEYS = {SECRET: Key("key-1", "loader", ("note:create",))}
CREDENTIAL = Credential(
    *authorization("Bearer", SECRET, "audit-s3cret-wrong"),
    {"id": "key-1", "name": "loader", "scopes": ["note:create"]},
    [SECRET],
    "false",
)


def application(write: Callable[[], object]) -> Flask:
    """Return an application that writes a row for every request."""
    app = Flask("audit")
    tokens = HTTPTokenAuth()
    tokens.verify_token(KEYS.get)

    @app.post("/open")
    @tokens.login_required(optional=True)
    def create() -> tuple[str, int]:
        write()
        return "done", 201

    return app
