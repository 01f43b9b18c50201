"""A service with API keys, a permission check and an audit log. It knows nothing of telemetry."""

import os
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException

app = FastAPI()


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...] = ("order:create",)


def verify(x_api_key: str = Header("")) -> Key:
    """Authenticate a request."""
    if not x_api_key.startswith("k_"):
        raise HTTPException(401)
    return Key(x_api_key, x_api_key.removeprefix("k_"))


Accepted = Annotated[Key, Depends(verify)]


def require(permission: str, key: Key) -> None:
    """Refuse a key that has no such permission."""
    if permission not in key.scopes:
        raise HTTPException(403)


def record(action: str, resource_id: str, additional_fields: dict[str, object]) -> None:
    """Write an audit row."""


@app.post("/orders/{number}")
def create(number: str, key: Accepted) -> int:
    """Create an order and return the process id."""
    require("order:create", key)
    record("order.create", number, {})
    return os.getpid()


@app.delete("/orders/{number}")
def delete(number: str, key: Accepted) -> int:
    """Delete an order, which no key may do."""
    require("order:delete", key)
    record("order.delete", number, {})
    return os.getpid()
