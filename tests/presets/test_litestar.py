"""Each way to authenticate in Litestar: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder, assert_names, assert_names_no_key
from presets.credential import EXPIRES_AT, EXPIRY, Credential, bearer
from presets.requests import assert_requests_are_recorded, requests, server_spans
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
    asyncio.run(service.keys.delete(info.key_hash))  # of an earlier test
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


def test_api_auth_shows_the_key_of_a_request_without_a_row(keyaudit_recorder: Recorder) -> None:
    """The server span ends before the middleware does, which has stored the key."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = _api_auth(litestar_app)
    keyaudit_recorder.instrument(presets="litestar-api-auth", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    requests(server, "litestar-api-auth-open/read", credential.allowed, {})

    with_key, anonymous = server_spans(keyaudit_recorder)
    assert (with_key["keyaudit.key.id"], with_key["keyaudit.outcome"]) == ("k_2", "accepted")
    assert anonymous == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_active": False}, "litestar_api_auth.exceptions.APIKeyRevokedError"),
        ({"expires_at": EXPIRY.replace(year=2025)}, "litestar_api_auth.exceptions.APIKeyExpiredError"),
    ],
)
def test_api_auth_key_that_loses_its_validity_during_the_check_is_denied(
    changes: dict[str, Any], reason: str, keyaudit_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The middleware checks a key twice. If the second check refuses it, neither row nor span has the key."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = _api_auth(litestar_app)
    monkeypatch.setattr(litestar_app.keys, "changes", changes)
    keyaudit_recorder.instrument(presets="litestar-api-auth", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    requests(server, "litestar-api-auth-open", credential.allowed)

    (row,) = keyaudit_recorder.rows
    assert_names_no_key(row)
    assert keyaudit_recorder.server_span() == {
        "keyaudit.outcome": "denied",
        "keyaudit.denied.reason": reason,
        "keyaudit.denied.key.id": "k_2",
    }
    assert keyaudit_recorder.authentications() == {"accepted": 0, "denied": 1}
    assert keyaudit_recorder.degraded() == {}


def test_api_auth_key_that_changes_during_the_check_has_the_scopes_that_the_guards_see(
    keyaudit_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The middleware stores the key as it is after the update of its last use."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = _api_auth(litestar_app)
    monkeypatch.setattr(litestar_app.keys, "changes", {"scopes": ["note:read"]})
    keyaudit_recorder.instrument(presets="litestar-api-auth", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    requests(server, "litestar-api-auth-open", credential.allowed)

    assert assert_names(keyaudit_recorder.rows[0], "k_2")["scopes"] == ["note:read"]
    assert keyaudit_recorder.authentications() == {"accepted": 1, "denied": 0}


def test_api_auth_name_that_is_the_presented_key_is_refused(
    keyaudit_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credential is known from the call that looks up the key, although the name of its header tells nothing."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    credential = _api_auth(litestar_app)
    presented = credential.allowed["X-API-Key"]
    monkeypatch.setattr(litestar_app.keys, "changes", {"name": presented})
    keyaudit_recorder.instrument(presets="litestar-api-auth", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    requests(server, "litestar-api-auth-client", {"X-Client": presented})

    assert "name" not in assert_names(keyaudit_recorder.rows[0], "k_2")
    assert keyaudit_recorder.errors() == {("authentication", "otel_keyaudit.errors.CredentialError"): 1}
    keyaudit_recorder.assert_no_secret(presented)


@pytest.mark.parametrize("method", ["get", "update_last_used"])
def test_api_auth_outage_of_the_store_is_neither_accepted_nor_denied(
    method: str, keyaudit_recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception is a failure of the application."""
    from presets.apps import litestar_app  # noqa: PLC0415 - not everywhere

    async def fail(_: str) -> None:
        raise ConnectionError

    credential = _api_auth(litestar_app)
    monkeypatch.setattr(litestar_app.keys, method, fail)
    keyaudit_recorder.instrument(presets="litestar-api-auth", audit_targets=[RECORD])

    server = serving_asgi(litestar_app.app, keyaudit_recorder)
    assert requests(server, "litestar-api-auth-open", credential.allowed) == [500]

    assert keyaudit_recorder.server_span() == {}
    assert keyaudit_recorder.authentications() == {"accepted": 0, "denied": 0}


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
