"""Each way to authenticate in FastAPI: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization, bearer, fingerprint
from presets.requests import assert_requests_are_recorded, server_spans
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
NOT_ALLOWED = "fastapi.exceptions.HTTPException"


def _header(key: str, wrong: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"X-API-Key": key}, {"X-API-Key": wrong}


def _keyshield(service: Any) -> Credential:
    create = service.shield.create(name="loader", scopes=["note:create"], expires_at=EXPIRY)
    row, key = asyncio.run(create)
    snapshot = {"id": row.key_id, "name": "loader", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    secrets = [key, key.rpartition("-")[2]]
    return Credential(*_header(key, f"{key[:-6]}AAAAAA"), snapshot, secrets, "keyshield.domain.errors.InvalidKey")


def _keygate(service: Any) -> Credential:
    made = service.gate.create_key(
        "owner-1", name="loader", scopes=["note:create"], expires_at=EXPIRY.replace(tzinfo=None)
    )
    snapshot = {
        "id": str(made.id),
        "name": "loader",
        "owner": "owner-1",
        "scopes": ["note:create"],
        "expires_at": EXPIRES_AT,
    }
    return Credential(*_header(made.key, f"{made.key[:-6]}AAAAAA"), snapshot, [made.key], NOT_ALLOWED)


def _apikeyauth(service: Any) -> Credential:
    from apikeyauth.store import KeyInfo  # noqa: PLC0415 - not everywhere

    service.store.add_key("store-s3cret-1", KeyInfo(name="loader", scopes=["note:create"], owner="owner-1"))
    snapshot = {"id": "loader", "name": "loader", "owner": "owner-1", "scopes": ["note:create"]}
    return Credential(*_header("store-s3cret-1", "store-s3cret-x"), snapshot, ["store-s3cret"], NOT_ALLOWED)


def _authx(service: Any) -> Credential:
    token = service.authx.create_access_token("7", scopes=["note:create"], expiry=EXPIRY, data={})
    claims = service.jwt.decode(token, options={"verify_signature": False})
    snapshot = {"id": claims["jti"], "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    return bearer(token, snapshot, "authx.exceptions.TokenInvalidSignatureError")


def _fastapi_users(service: Any) -> Credential:
    user = service.User(uuid.uuid4())
    service.USERS["users-s3cret-1"] = user
    snapshot = {"id": fingerprint("users-s3cret-1"), "owner": str(user.id)}
    return Credential(
        *authorization("Bearer", "users-s3cret-1", "users-s3cret-x"), snapshot, ["users-s3cret"], NOT_ALLOWED
    )


def _pyjwt(service: Any) -> Credential:
    claims = {"jti": "k_7", "sub": "7", "client_id": "loader", "scope": "note:create", "exp": int(EXPIRY.timestamp())}
    token = service.jwt.encode(claims, service.SECRET, algorithm="HS256")
    snapshot = {"id": "k_7", "name": "loader", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    return bearer(token, snapshot, "jwt.exceptions.InvalidSignatureError")


CREDENTIALS: dict[str, Callable[[Any], Credential]] = {
    "keyshield": _keyshield,
    "keygate": _keygate,
    "apikeyauth": _apikeyauth,
    "authx": _authx,
    "fastapi-users": _fastapi_users,
    "pyjwt": _pyjwt,
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_key_is_on_the_row_and_on_the_span(name: str, keyaudit_recorder: Recorder) -> None:
    """Row and span of an allowed request name the key; a denied request has the reason, an anonymous one nothing."""
    from presets.apps import fastapi_app  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name](fastapi_app)
    keyaudit_recorder.instrument(presets=name, audit_targets=["presets.apps.fastapi_app:record"])

    server = serving_asgi(fastapi_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, name, keyaudit_recorder, credential)


def test_a_dependency_of_the_applications_own(keyaudit_recorder: Recorder) -> None:
    """FastAPI's own classes return the secret, so the target is a dependency that returns the key."""
    from presets.apps import fastapi_app  # noqa: PLC0415 - not everywhere

    fastapi_app.KEYS["fastapi-s3cret-1"] = fastapi_app.Key("k_1", "loader", ("note:create",), "fastapi-s3cret-1")
    snapshot = {"id": "k_1", "name": "loader", "scopes": ["note:create"]}
    credential = Credential(*_header("fastapi-s3cret-1", "fastapi-s3cret-x"), snapshot, ["fastapi-s3cret"], NOT_ALLOWED)
    keyaudit_recorder.instrument(
        auth_targets=["presets.apps.fastapi_app:own_dependency?when=args.key"],
        audit_targets=["presets.apps.fastapi_app:record"],
    )

    server = serving_asgi(fastapi_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, "own", keyaudit_recorder, credential)


@pytest.mark.parametrize("place", ["header", "query"])
def test_each_class_of_apikeyauth_is_observed(place: str, keyaudit_recorder: Recorder) -> None:
    """The library has a class for keys in headers, and another for keys in the URL."""
    from presets.apps import fastapi_app  # noqa: PLC0415 - not everywhere

    _apikeyauth(fastapi_app)
    keyaudit_recorder.instrument(presets="apikeyauth", audit_targets=["presets.apps.fastapi_app:record"])
    with serving_asgi(fastapi_app.app, keyaudit_recorder) as address:
        for key in ("store-s3cret-1", "store-s3cret-x", None):
            headers = {"X-API-Key": key} if key and place == "header" else {}
            params = {"api_key": key} if key and place == "query" else {}
            httpx.post(f"{address}/apikeyauth-{place}", headers=headers, params=params)

    (row,) = keyaudit_recorder.rows
    assert_names(row, "loader")
    outcomes = [span.get("keyaudit.outcome") for span in server_spans(keyaudit_recorder)]
    assert outcomes == ["accepted", "denied", None]


def test_token_of_a_websocket_is_the_key(keyaudit_recorder: Recorder) -> None:
    """The library checks the tokens of WebSockets in a separate method."""
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415 - not everywhere
    from websockets.sync.client import connect  # noqa: PLC0415

    from presets.apps import fastapi_app  # noqa: PLC0415

    credential = _authx(fastapi_app)
    keyaudit_recorder.instrument(presets="authx", audit_targets=["presets.apps.fastapi_app:record"])
    with serving_asgi(fastapi_app.app, keyaudit_recorder, ws="websockets-sansio") as address:
        url = f"ws{address.removeprefix('http')}/authx-websocket"
        for headers in (credential.allowed, credential.denied, {}):
            with suppress(InvalidHandshake), connect(url, additional_headers=headers) as websocket:
                assert websocket.recv() == "done"

    assert_names(keyaudit_recorder.rows[0], credential.snapshot["id"])
    assert len(keyaudit_recorder.rows) == 1
    assert keyaudit_recorder.authentications() == {"accepted": 1, "denied": 1}
    keyaudit_recorder.assert_no_secret(*credential.secrets)


@pytest.mark.parametrize("name", ["tokens", "api-tokens", "2fa tokens"])
def test_backend_of_any_name_is_observed(name: str, keyaudit_recorder: Recorder) -> None:
    """fastapi-users derives the name of a parameter from the name of a backend."""
    from fastapi import Depends, FastAPI  # noqa: PLC0415 - not everywhere
    from fastapi_users import FastAPIUsers  # noqa: PLC0415
    from fastapi_users.authentication import AuthenticationBackend, BearerTransport, CookieTransport  # noqa: PLC0415

    from presets.apps import fastapi_app  # noqa: PLC0415

    backends = [
        AuthenticationBackend("cookie", CookieTransport(cookie_name="session"), fastapi_app.tokens),
        AuthenticationBackend(name, BearerTransport("login"), fastapi_app.tokens),
    ]
    users = FastAPIUsers[Any, uuid.UUID](fastapi_app.user_manager, backends)
    app = FastAPI()
    app.post("/fastapi-users", dependencies=[Depends(users.current_user())])(fastapi_app.create)
    keyaudit_recorder.instrument(presets="fastapi-users", audit_targets=["presets.apps.fastapi_app:record"])

    server = serving_asgi(app, keyaudit_recorder)
    assert_requests_are_recorded(server, "fastapi-users", keyaudit_recorder, _fastapi_users(fastapi_app))


@pytest.mark.parametrize(
    ("options", "is_verified"), [({"verify_signature": False}, False), ({"verify_signature": True}, True), (None, True)]
)
def test_claims_of_an_unverified_token_are_no_key(options: Any, is_verified: bool, keyaudit_recorder: Recorder) -> None:
    """A service may look at the claims before it verifies the token, and a client can forge them."""
    import jwt  # noqa: PLC0415 - not everywhere

    secret = "long enough for HMAC with SHA-256, and made up"
    forged = jwt.encode({"jti": "k_forged"}, f"{secret} by a client", algorithm="HS256")
    keyaudit_recorder.instrument(presets="pyjwt")
    with keyaudit_recorder.request():
        with suppress(jwt.InvalidSignatureError):
            jwt.decode(forged, secret, algorithms=["HS256"], options=options)
        with suppress(jwt.InvalidSignatureError):
            jwt.decode_complete(forged, secret, ["HS256"], options)

    assert keyaudit_recorder.server_span().get("keyaudit.outcome") == ("denied" if is_verified else None)
    assert keyaudit_recorder.authentications() == {"accepted": 0, "denied": 2 * is_verified}
