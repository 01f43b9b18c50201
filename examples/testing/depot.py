"""A small service with API keys and an audit log."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException

AUDIT_LOG: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]
    secret: str


KEYS = {
    key.secret: key
    for key in (
        Key("k_1", "loader", ("crate:create",), "loader/s3cret+1"),
        Key("k_2", "porter", ("crate:create", "crate:delete"), "porter/s3cret+2"),
    )
}

app = FastAPI(title="depot")


async def verify(x_api_key: Annotated[str, Header()]) -> Key:
    if x_api_key not in KEYS:
        raise HTTPException(401, "unknown API key")
    return KEYS[x_api_key]


def record(action: str, resource_id: str, additional_fields: dict[str, Any] | None = None) -> None:
    AUDIT_LOG.append({"action": action, "resource_id": resource_id, "additional_fields": additional_fields})


@app.put("/crates/{crate}", dependencies=[Depends(verify)])
async def put_crate(crate: str) -> None:
    record("create", crate, {"shelf": 7})


@app.get("/health")
async def health() -> str:
    record("health", "depot")
    return "well"
