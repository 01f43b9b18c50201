"""FastAPI: a dependency factory, and an instance of a class as a dependency."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException

from integration.shapes.apps.common import KEYS, Key, create_note

app = FastAPI()
Presented = Annotated[str | None, Header(alias="X-API-Key")]


def require_scope(scope: str) -> Callable[..., Awaitable[Key | None]]:
    """Return a dependency that checks the key."""

    async def check(x_api_key: Presented = None) -> Key | None:
        if x_api_key is None:
            return None
        key = KEYS.get(x_api_key)
        if key is None or scope not in key.scopes:
            raise HTTPException(403)
        return key

    return check


class KeyChecker:
    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(self, x_api_key: Presented = None) -> Key | None:
        if x_api_key is None:
            return None
        key = KEYS.get(x_api_key)
        if key is None or self.scope not in key.scopes:
            raise HTTPException(403)
        return key


@app.post("/notes")
async def create(_: Annotated[Any, Depends(require_scope("note:create"))]) -> str:
    """Create a note."""
    return create_note()


@app.post("/class/notes")
def create_by_instance(_: Annotated[Any, Depends(KeyChecker("note:create"))]) -> str:
    """Create a note."""
    return create_note()
