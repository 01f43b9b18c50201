"""A Starlette application whose backend authenticates by a header, and its own audit log."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
    requires,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from presets.apps.audit_log import SERVED, record

KEYS: dict[str, tuple[AuthCredentials, BaseUser] | None] = {}
ALLOWED = AuthCredentials(["note:create"])


@dataclass
class Client(BaseUser):
    id: str
    name: str
    token: str
    is_authenticated = True


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        key = conn.headers.get("x-api-key")
        if key is None:
            return None
        if key not in KEYS:
            raise AuthenticationError("unknown key")
        return KEYS[key]


KEYS.update({key: (ALLOWED, Client(f"id of {key[-1]}", "loader", key)) for key in SERVED})
KEYS["starlette-s3cret-1"] = ALLOWED, Client("k_1", "loader", "starlette-s3cret-1")
KEYS["starlette-s3cret-2"] = ALLOWED, SimpleUser("k_2")
KEYS["starlette-s3cret-3"] = AuthCredentials(), UnauthenticatedUser()


@requires("note:create")
async def create(request: Request) -> Response:
    record("note.create", {"by": "application"})
    return Response()


def application(backend: AuthenticationBackend) -> Starlette:
    routes = [Route("/starlette", create, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=backend)])


app = application(Backend())
traced = OpenTelemetryMiddleware(app)
