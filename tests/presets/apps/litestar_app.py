"""A Litestar application with one address for each way to authenticate, and its own audit log."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router, post
from litestar.connection import ASGIConnection
from litestar.security.jwt import JWTAuth, Token
from litestar_api_auth.backends.memory import MemoryBackend
from litestar_api_auth.guards import require_api_key
from litestar_api_auth.middleware import APIKeyMiddleware

SECRET = "long enough for HMAC with SHA-256, and made up"
keys = MemoryBackend()


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand for the application's audit log; the tests record what arrives here."""


async def find_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    user: str = token.sub
    return user


jwt_auth = JWTAuth[str](retrieve_user_handler=find_user, token_secret=SECRET)


@post("/")
async def create() -> None:
    record("note.create", {"by": "application"})


app = Litestar(
    [
        Router("/litestar-jwt", route_handlers=[create], middleware=[jwt_auth.middleware]),
        Router(
            "/litestar-api-auth",
            route_handlers=[create],
            middleware=[lambda app: APIKeyMiddleware(app, backend=keys)],
            guards=[require_api_key],
        ),
    ],
    openapi_config=None,
)
