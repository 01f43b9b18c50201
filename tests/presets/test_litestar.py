"""Each way to authenticate in Litestar: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, EXPIRY, Credential
from presets.requests import assert_all_is_said, requests
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # the libraries' own are not ours to mend


def _jwt(service: Any) -> Credential:
    token = service.Token(sub="7", exp=EXPIRY, jti="k_1", extras={"scope": "note:create"})
    encoded = token.encode(service.SECRET, "HS256")
    snapshot = {"id": "k_1", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    allowed, denied = {"Authorization": f"Bearer {encoded}"}, {"Authorization": f"Bearer {encoded[:-8]}AAAAAAAA"}
    secrets = [encoded, encoded.split(".")[2]]
    return Credential(allowed, denied, snapshot, secrets, "litestar.exceptions.http_exceptions.NotAuthorizedException")


def _api_auth(service: Any) -> Credential:
    from litestar_api_auth.service import hash_api_key  # noqa: PLC0415 - not everywhere
    from litestar_api_auth.types import APIKeyInfo  # noqa: PLC0415

    key = "pyla_litestar-s3cret-1"
    info = APIKeyInfo(
        key_id="k_2",
        prefix="pyla_",
        name="loader",
        scopes=["note:create"],
        is_active=True,
        created_at=EXPIRY.replace(year=2024),
        expires_at=EXPIRY,
        key_hash=hash_api_key(key),
    )
    asyncio.run(service.keys.create(info.key_hash, info))
    snapshot = {"id": "k_2", "name": "loader", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    allowed, denied = {"X-API-Key": key}, {"X-API-Key": "pyla_litestar-s3cret-x"}
    secrets = ["litestar-s3cret", info.key_hash]
    return Credential(allowed, denied, snapshot, secrets, "litestar_api_auth.exceptions.APIKeyNotFoundError")


CREDENTIALS: dict[str, Callable[[Any], Credential]] = {"litestar-jwt": _jwt, "litestar-api-auth": _api_auth}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_key_is_on_the_row_and_on_the_span(name: str, keyaudit_recorder: Recorder) -> None:
    """An allowed request's row and span name the key, a denied one's only the reason, an anonymous one's nothing."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name](litestar_app)
    keyaudit_recorder.instrument(presets=name, audit_targets=["presets.apps.litestar_app:record"])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    answers = requests(server, name, credential.allowed, credential.denied, {})

    assert_all_is_said(keyaudit_recorder, credential, answers)
