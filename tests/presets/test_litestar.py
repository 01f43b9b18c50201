"""Each way to authenticate in Litestar: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, EXPIRY, Credential, bearer
from presets.requests import assert_requests_are_recorded, requests
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
RECORD = "presets.apps.litestar_app:record"
NOT_AUTHORIZED = "litestar.exceptions.http_exceptions.NotAuthorizedException"
KEY = {"id": "k_3", "name": "loader", "scopes": ["note:create"]}


def _jwt(service: Any) -> Credential:
    token = service.Token(sub="7", exp=EXPIRY, jti="k_1", extras={"scope": "note:create"})
    snapshot = {"id": "k_1", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    return bearer(token.encode(service.SECRET, "HS256"), snapshot, NOT_AUTHORIZED)


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


def _own(service: Any) -> Credential:
    """Return a key of the application's middleware, which keeps the presented string beside it."""
    for number, auth, user in ((1, KEY, "7"), (2, "litestar-s3cret-2", KEY), (3, "litestar-s3cret-3", "7")):
        objects = [service.Key(**one, token="litestar-s3cret") if one is KEY else one for one in (user, auth)]
        service.KEYS[f"litestar-s3cret-{number}"] = service.AuthenticationResult(*objects)
    nobody = SimpleNamespace(id="nobody", is_authenticated=False)
    service.KEYS["litestar-s3cret-4"] = service.AuthenticationResult(nobody, None)
    return Credential(_header(1), _header("x"), KEY, ["litestar-s3cret"], NOT_AUTHORIZED)


def _header(number: object) -> dict[str, str]:
    return {"X-API-Key": f"litestar-s3cret-{number}"}


CREDENTIALS: dict[str, Callable[[Any], Credential]] = {
    "litestar": _own,
    "litestar-jwt": _jwt,
    "litestar-api-auth": _api_auth,
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_key_is_on_the_row_and_on_the_span(name: str, keyaudit_recorder: Recorder) -> None:
    """Row and span of an allowed request name the key; a denied request has the reason, an anonymous one nothing."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name](litestar_app)
    keyaudit_recorder.instrument(presets=name, audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, name, keyaudit_recorder, credential)


@pytest.mark.parametrize(("number", "key_id"), [(2, "k_3"), (3, None), (4, None)])
def test_string_and_anonymous_user_are_no_key(number: int, key_id: str | None, keyaudit_recorder: Recorder) -> None:
    """A string as the user can be the presented credential, so only an authenticated user object is read."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    _own(litestar_app)
    keyaudit_recorder.instrument(presets="litestar", audit_targets=[RECORD])

    requests(serving_asgi(litestar_app.app, keyaudit_recorder), "litestar", _header(number))

    (row,) = keyaudit_recorder.rows
    assert row.get("request_api_key", {}).get("id") == key_id
    assert keyaudit_recorder.degraded() == {}
    keyaudit_recorder.assert_no_secret("litestar-s3cret")


def test_the_general_preset_knows_the_tokens_of_the_library(keyaudit_recorder: Recorder) -> None:
    """The preset recognizes that no token was presented, for which the middleware raises as for a wrong one."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = _jwt(litestar_app)
    keyaudit_recorder.instrument(presets="litestar", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, "litestar-jwt", keyaudit_recorder, credential)
    assert keyaudit_recorder.authentications() == {"accepted": 1, "denied": 1}
