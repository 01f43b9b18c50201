"""Each way to authenticate in Flask: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, Credential, authorization, bearer
from presets.requests import assert_requests_are_recorded
from presets.serving import serving_wsgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


def _httpauth(service: Any) -> Credential:
    service.KEYS["flask-s3cret-1"] = service.Key("k_1", "loader", ("note:create",))
    snapshot = {"id": "k_1", "name": "loader", "scopes": ["note:create"]}
    return Credential(*authorization("Bearer", "flask-s3cret-1", "flask-s3cret-x"), snapshot, ["flask-s3cret"], "valid")


def _jwt_extended(service: Any) -> Credential:
    token = service.json_web_token({"jti": "k_2", "scope": "note:create", "exp": service.EXPIRY})
    snapshot = {"id": "k_2", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    return bearer(token, snapshot, "jwt.exceptions.InvalidSignatureError")


def _authlib(service: Any) -> Credential:
    begin = 1_700_000_000
    token = service.Token(3, "oauth-s3cret-1", "client-1", 7, "note:create", begin, service.EXPIRY - begin)
    service.TOKENS[token.access_token] = token
    snapshot = {"id": "3", "name": "client-1", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    headers = authorization("Bearer", token.access_token, "oauth-s3cret-x")
    return Credential(*headers, snapshot, ["oauth-s3cret"], "authlib.oauth2.rfc6750.errors.InvalidTokenError")


CREDENTIALS: dict[str, Callable[[Any], Credential]] = {
    "flask-httpauth": _httpauth,
    "flask-jwt-extended": _jwt_extended,
    "authlib": _authlib,
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_key_is_on_the_row_and_on_the_span(name: str, keyaudit_recorder: Recorder) -> None:
    """Row and span of an allowed request name the key; a denied request has the reason, an anonymous one nothing."""
    from presets.apps import flask_app  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name](flask_app)
    keyaudit_recorder.instrument(presets=name, audit_targets=["presets.apps.flask_app:record"])

    server = serving_wsgi(flask_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, name, keyaudit_recorder, credential)


def test_claims_of_a_token_of_authlib_are_the_key(keyaudit_recorder: Recorder) -> None:
    """A validator of JSON Web Tokens or of introspected tokens returns claims, not a model of a token."""
    import flask  # noqa: PLC0415 - not everywhere
    from authlib.integrations.flask_oauth2 import ResourceProtector  # noqa: PLC0415
    from authlib.oauth2.rfc7662 import IntrospectTokenValidator  # noqa: PLC0415

    from presets.apps import flask_app  # noqa: PLC0415

    class Validator(IntrospectTokenValidator):
        def introspect_token(self, token_string: str) -> dict[str, Any]:
            claims = {"jti": "k_4", "client_id": "client-1", "sub": "7", "scope": "note:create", "username": "ann"}
            expiry = {"exp": flask_app.EXPIRY, "iat": 1_700_000_000}
            return {"active": token_string == "oauth-s3cret-1", **claims, **expiry}

    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(Validator())
    app = flask.Flask("depot")
    app.post("/authlib", endpoint="authlib")(require_oauth("note:create")(flask_app.create))
    snapshot = {"id": "k_4", "name": "client-1", "owner": "7", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    headers = authorization("Bearer", "oauth-s3cret-1", "oauth-s3cret-x")
    reason = "authlib.oauth2.rfc6750.errors.InvalidTokenError"
    keyaudit_recorder.instrument(presets="authlib", audit_targets=["presets.apps.flask_app:record"])

    server = serving_wsgi(app, keyaudit_recorder)
    credential = Credential(*headers, snapshot, ["oauth-s3cret"], reason)
    assert_requests_are_recorded(server, "authlib", keyaudit_recorder, credential)


def test_a_personal_token_of_authlib_has_its_own_name(keyaudit_recorder: Recorder) -> None:
    """A token that belongs to no client, such as a personal access token, may have a name instead."""
    import flask  # noqa: PLC0415 - not everywhere
    from authlib.integrations.flask_oauth2 import ResourceProtector  # noqa: PLC0415
    from authlib.oauth2.rfc6749.models import TokenMixin  # noqa: PLC0415
    from authlib.oauth2.rfc6750 import BearerTokenValidator  # noqa: PLC0415

    from presets.apps import flask_app  # noqa: PLC0415

    class PersonalToken(TokenMixin):
        id, name, user_id = 5, "laptop", 7

        def get_scope(self) -> str:
            return "note:create"

        def is_expired(self) -> bool:
            return False

        def is_revoked(self) -> bool:
            return False

    class Validator(BearerTokenValidator):
        def authenticate_token(self, token_string: str) -> PersonalToken | None:
            return PersonalToken() if token_string == "oauth-s3cret-1" else None

    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(Validator())
    app = flask.Flask("depot")
    app.post("/authlib", endpoint="authlib")(require_oauth("note:create")(flask_app.create))
    headers = authorization("Bearer", "oauth-s3cret-1", "oauth-s3cret-x")
    reason = "authlib.oauth2.rfc6750.errors.InvalidTokenError"
    keyaudit_recorder.instrument(presets="authlib", audit_targets=["presets.apps.flask_app:record"])

    server = serving_wsgi(app, keyaudit_recorder)
    snapshot = {"id": "5", "name": "laptop", "owner": "7", "scopes": ["note:create"]}
    credential = Credential(*headers, snapshot, ["oauth-s3cret"], reason)
    assert_requests_are_recorded(server, "authlib", keyaudit_recorder, credential)
    assert keyaudit_recorder.errors() == {}
