"""A Flask application with one address for each way to authenticate, and its own audit log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc6749.models import TokenMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from flask import Flask
from flask_httpauth import HTTPTokenAuth
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from presets.apps.audit_log import record

EXPIRY = 4071006245  # 2099-01-02T03:04:05Z
KEYS: dict[str, Key] = {}
TOKENS: dict[str, Token] = {}


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...]


@dataclass
class Token(TokenMixin):
    id: int
    access_token: str
    client_id: str
    user_id: int
    scope: str
    issued_at: int
    expires_in: int

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.issued_at + self.expires_in < time.time()

    def is_revoked(self) -> bool:
        return False


class Validator(BearerTokenValidator):
    def authenticate_token(self, token_string: str) -> Token | None:
        return TOKENS.get(token_string)


app = Flask("depot")
app.config["JWT_SECRET_KEY"] = "long enough for HMAC with SHA-256, and made up"
jwt = JWTManager(app)
token_auth = HTTPTokenAuth()
require_oauth = ResourceProtector()
require_oauth.register_token_validator(Validator())


@token_auth.verify_token
def verify_token(token: str) -> Key | None:
    return KEYS.get(token)


def create() -> str:
    record("note.create", {"by": "application"})
    return "done"


app.post("/flask-httpauth", endpoint="httpauth")(token_auth.login_required(create))
app.post("/flask-jwt-extended", endpoint="jwt")(jwt_required()(create))
app.post("/authlib", endpoint="authlib")(require_oauth("note:create")(create))
traced = OpenTelemetryMiddleware(app)


def json_web_token(claims: dict[str, Any]) -> str:
    with app.app_context():
        token: str = create_access_token("7", additional_claims=claims)
        return token
