"""A Litestar application with one address for each way to authenticate, and its own audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from litestar import Litestar, Router, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.security.jwt import JWTAuth, Token
from litestar_api_auth.backends.memory import MemoryBackend
from litestar_api_auth.guards import require_api_key
from litestar_api_auth.middleware import APIKeyMiddleware
from litestar_api_auth.types import APIKeyInfo
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from presets.apps.audit_log import record

SECRET = "long enough for HMAC with SHA-256, and made up"
KEYS: dict[str, AuthenticationResult] = {}


class Store(MemoryBackend):
    """A store in which somebody changes each key between the two checks of the middleware."""

    changes: Mapping[str, Any] = MappingProxyType({})

    async def update_last_used(self, key_hash: str) -> APIKeyInfo | None:
        await self.update(key_hash, **self.changes)
        return await super().update_last_used(key_hash)


keys = Store()


@dataclass
class Key:
    id: str
    name: str
    scopes: list[str]
    token: str


class KeyMiddleware(AbstractAuthenticationMiddleware):
    """The application's own, which lets anonymous requests pass for a guard to refuse."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        key = connection.headers.get("x-api-key")
        if key is None:
            return AuthenticationResult(user=None, auth=None)
        if key not in KEYS:
            raise NotAuthorizedException
        return KEYS[key]


def require_user(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if connection.user is None:
        raise PermissionDeniedException


async def find_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    user: str = token.sub
    return user


jwt_auth = JWTAuth[str](retrieve_user_handler=find_user, token_secret=SECRET)


@post("/")
async def create() -> None:
    record("note.create", {"by": "application"})


@post("/read")
async def read() -> None:
    """Write no row."""


app = Litestar(
    [
        Router("/litestar", route_handlers=[create], middleware=[KeyMiddleware], guards=[require_user]),
        Router("/litestar-jwt", route_handlers=[create], middleware=[jwt_auth.middleware]),
        Router(
            "/litestar-api-auth",
            route_handlers=[create],
            middleware=[lambda app: APIKeyMiddleware(app, backend=keys)],
            guards=[require_api_key],
        ),
        Router(
            "/litestar-api-auth-client",
            route_handlers=[create],
            middleware=[lambda app: APIKeyMiddleware(app, backend=keys, header_name="X-Client")],
        ),
        Router(
            "/litestar-api-auth-open",
            route_handlers=[create, read],
            middleware=[lambda app: APIKeyMiddleware(app, backend=keys)],
        ),
    ],
    openapi_config=None,
)
traced = OpenTelemetryMiddleware(app)
