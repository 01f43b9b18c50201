"""A FastAPI application with one address for each way to authenticate, and its own audit log."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

import jwt
from apikeyauth.middleware import APIKeyAuth, APIKeyQuery
from apikeyauth.middleware import APIKeyHeader as StoreAPIKeyHeader
from apikeyauth.store import MemoryKeyStore
from authx import AuthX, AuthXConfig
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from fastapi_users import FastAPIUsers
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, Strategy
from keygate import KeyGate
from keyshield.domain.errors import ApiKeyError
from keyshield.hasher.argon2 import Argon2ApiKeyHasher
from keyshield.repositories.in_memory import InMemoryApiKeyRepository
from keyshield.services.base import ApiKeyService

from presets.apps.audit_log import record

SECRET = "long enough for HMAC with SHA-256, and made up"
USERS: dict[str, User] = {}
KEYS: dict[str, Key] = {}

app = FastAPI()
gate = KeyGate(db_url="sqlite://")
store = MemoryKeyStore()
shield = ApiKeyService(
    repo=InMemoryApiKeyRepository(), hasher=Argon2ApiKeyHasher(pepper="pepper"), min_delay=0, max_delay=0
)
authx = AuthX(AuthXConfig(JWT_SECRET_KEY=SECRET, JWT_TOKEN_LOCATION=["headers"]))
authx.handle_errors(app)


@dataclass
class User:
    id: uuid.UUID
    is_active: bool = True
    is_verified: bool = True
    is_superuser: bool = False


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]
    secret: str


class Tokens(Strategy[User, uuid.UUID]):
    async def read_token(self, token: str | None, user_manager: Any) -> User | None:
        return USERS.get(token or "")


async def user_manager() -> AsyncIterator[Any]:
    yield SimpleNamespace()


def tokens() -> Tokens:
    return Tokens()


users = FastAPIUsers[User, uuid.UUID](user_manager, [AuthenticationBackend("tokens", BearerTransport("login"), tokens)])


async def verified_by_keyshield(
    key: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
) -> Any:
    try:
        return await shield.verify_key(key or "")
    except ApiKeyError as error:
        raise HTTPException(401) from error


def decoded(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Any:
    try:
        return jwt.decode(given.credentials, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error


async def own_dependency(
    key: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
) -> Key:
    if key is None or key not in KEYS:
        raise HTTPException(401)
    return KEYS[key]


def create() -> None:
    record("note.create", {"by": "application"})


DEPENDENCIES = {
    "keyshield": verified_by_keyshield,
    "keygate": gate.require,
    "apikeyauth": APIKeyAuth(store),
    "apikeyauth-header": StoreAPIKeyHeader(store),
    "apikeyauth-query": APIKeyQuery(store),
    "authx": authx.access_token_required,
    "fastapi-users": users.current_user(),
    "pyjwt": decoded,
    "own": own_dependency,
}
for name, dependency in DEPENDENCIES.items():
    app.post(f"/{name}", dependencies=[Depends(dependency)])(create)


@app.websocket("/authx-websocket")
async def create_by_websocket(websocket: WebSocket, _: Any = authx.WS_AUTH_REQUIRED) -> None:
    await websocket.accept()
    create()
    await websocket.send_text("done")
    await websocket.close()
