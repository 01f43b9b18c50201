"""Makes a key of each library, as its documentation says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from drf_scoped_permissions.models import ScopedAPIKey
from drf_simple_apikey.models import APIKey as SimpleKey
from keysmith.services.tokens import create_token
from knox.models import AuthToken
from ninja_apikey.models import APIKey as NinjaKey
from oauth2_provider.models import AccessToken, Application
from rest_framework.authtoken.models import Token
from rest_framework_api_key.models import APIKey
from rest_framework_simplejwt.tokens import AccessToken as JsonWebToken

from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization, fingerprint
from presets.django_project.models import TenantKey

_numbers = itertools.count()


def _user() -> User:
    return User.objects.create_user(f"user-{next(_numbers)}")


def drf_token() -> Credential:
    token = Token.objects.create(user=_user())
    snapshot = {"id": fingerprint(token.key), "owner": str(token.user_id)}
    return Credential(*authorization("Token", token.key, "f" * 40), snapshot, [token.key])


def knox() -> Credential:
    token, key = AuthToken.objects.create(user=_user())
    AuthToken.objects.filter(pk=token.pk).update(expiry=EXPIRY)
    snapshot = {"id": fingerprint(token.digest), "owner": str(token.user_id), "expires_at": EXPIRES_AT}
    return Credential(*authorization("Token", key, "f" * 64), snapshot, [key, token.digest, token.token_key])


def simplejwt() -> Credential:
    user = _user()
    token = JsonWebToken.for_user(user)
    token["scope"] = "note:create note:read"
    token["exp"] = int(EXPIRY.timestamp())
    snapshot = {
        "id": token["jti"],
        "owner": str(user.pk),
        "scopes": ["note:create", "note:read"],
        "expires_at": EXPIRES_AT,
    }
    reason = "rest_framework_simplejwt.exceptions.InvalidToken"
    return Credential(*authorization("Bearer", str(token), f"{token}x"), snapshot, [str(token)], reason)


def oauth_toolkit() -> Credential:
    user = _user()
    application = Application.objects.create(
        user=user, client_type="confidential", authorization_grant_type="client-credentials", name="loader"
    )
    key = f"oauth-s3cret-{next(_numbers)}"
    token = AccessToken.objects.create(
        user=user, application=application, token=key, expires=EXPIRY, scope="note:create note:read"
    )
    snapshot = {
        "id": str(token.pk),
        "name": application.client_id,
        "owner": str(user.pk),
        "scopes": ["note:create", "note:read"],
        "expires_at": EXPIRES_AT,
    }
    secrets = [key, token.token_checksum, application.client_secret]
    return Credential(*authorization("Bearer", key, "oauth-s3cret-wrong"), snapshot, secrets, "false")


def drf_api_key() -> Credential:
    row, key = APIKey.objects.create_key(name="loader", expiry_date=EXPIRY)
    snapshot = {"id": row.prefix, "name": "loader", "expires_at": EXPIRES_AT}
    headers = authorization("Api-Key", key, f"{row.prefix}.wrong")
    return Credential(
        *headers, snapshot, [key, row.id, row.hashed_key], "rest_framework_api_key.models.APIKey.DoesNotExist"
    )


def drf_scoped_permissions() -> Credential:
    row, key = ScopedAPIKey.objects.create_key(name="loader", expiry_date=EXPIRY, scopes=["note.create"])
    snapshot = {"id": row.prefix, "name": "loader", "scopes": ["note.create"], "expires_at": EXPIRES_AT}
    return Credential(*authorization("Api-Key", key, f"{row.prefix}.wrong"), snapshot, [key, row.id, row.hashed_key])


def drf_simple_apikey() -> Credential:
    row, key = SimpleKey.objects.create_api_key(name="loader", entity=_user(), expiry_date=EXPIRY)
    snapshot = {"id": str(row.pk), "owner": str(row.entity_id), "expires_at": EXPIRES_AT}
    return Credential(*authorization("Api-Key", key, f"{key[:-9]}AAAAAAAA="), snapshot, [key])


def _tenant_key() -> tuple[TenantKey, str]:
    tenant = Group.objects.create(name=f"tenant-{next(_numbers)}")
    row, key = TenantKey.generate_key(
        name="loader", tenant=tenant, scopes=["note:create"], allowed_ips=["127.0.0.0/8"], expires_at=EXPIRY
    )
    return row, key


def _tenant_snapshot(row: TenantKey) -> dict[str, Any]:
    return {
        "id": row.prefix,
        "name": "loader",
        "scopes": ["note:create"],
        "allow_list": ["127.0.0.0/8"],
        "owner": str(row.tenant_id),
        "expires_at": EXPIRES_AT,
    }


def tenant_apikeys() -> Credential:
    row, key = _tenant_key()
    headers = authorization("Api-Key", key, f"{row.prefix}.wrong")
    reason = "django_tenant_apikeys.core.APIKeyRejected"
    return Credential(*headers, _tenant_snapshot(row), [key, row.hashed_key], reason, row.prefix)


def keysmith() -> Credential:
    token, key = create_token(name="loader", user=_user(), expires_at=EXPIRY)
    snapshot = {"id": str(token.pk), "name": "loader", "owner": str(token.user_id), "expires_at": EXPIRES_AT}
    allowed, denied = {"X-KEYSMITH-TOKEN": key}, {"X-KEYSMITH-TOKEN": f"{key[:-6]}AAAAAA"}
    return Credential(allowed, denied, snapshot, [key, token.key], "keysmith.auth.exceptions.InvalidToken")


def ninja() -> Credential:
    row, key = _tenant_key()
    allowed, denied = {"Authorization": f"Api-Key {key}"}, {"Authorization": f"Api-Key {row.prefix}.wrong"}
    return Credential(allowed, denied, _tenant_snapshot(row), [key, row.hashed_key], "valid")


def ninja_api_key() -> Credential:
    row = NinjaKey.objects.create(
        prefix=f"nk{next(_numbers):06}", hashed_key=make_password("ninja-s3cret"), user=_user(), label="loader"
    )
    allowed, denied = {"X-API-Key": f"{row.prefix}.ninja-s3cret"}, {"X-API-Key": f"{row.prefix}.wrong"}
    snapshot = {"id": row.prefix, "owner": str(row.user_id)}
    return Credential(allowed, denied, snapshot, ["ninja-s3cret", row.hashed_key], "false")


CREDENTIALS: dict[str, Callable[[], Credential]] = {
    "drf-token": drf_token,
    "knox": knox,
    "simplejwt": simplejwt,
    "oauth-toolkit": oauth_toolkit,
    "drf-api-key": drf_api_key,
    "drf-scoped-permissions": drf_scoped_permissions,
    "drf-simple-apikey": drf_simple_apikey,
    "tenant-apikeys": tenant_apikeys,
    "keysmith": keysmith,
    "ninja": ninja,
    "ninja-api-key": ninja_api_key,
}
