from typing import Any

from otel_keyaudit.presets._definition import PartTarget, Preset, never
from otel_keyaudit.presets._override import AuthzOverrideTarget
from otel_keyaudit.presets.drf import PERMISSION_CHECKS
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget


def _resources(token: Any) -> Any:
    """Return the resources of a token (RFC 8707), ``None`` for a token without resources, which is valid for all."""
    return getattr(token, "resource", None) or None


_VALIDATOR = "oauth2_provider.oauth2_validators:OAuth2Validator"


def _lacks_scopes(call: Call) -> bool:
    """Return whether the token is valid but lacks a required scope, which views without a framework require."""
    error = vars(call.args["request"]).get("oauth2_error") or {}  # as an attribute it could be a client's parameter
    return bool(error.get("error") == "insufficient_scope")


def _has_authenticated(call: Call) -> bool:
    """Return whether a token was presented, and not only its scopes were refused."""
    return bool(call.args["token"]) and (bool(call.result) or not _lacks_scopes(call))


def _has_checked_scopes(call: Call) -> bool:
    """Return whether scopes were required of a valid token, or the token could not be loaded."""
    return bool(call.args["scopes"]) and (call.exc is not None or bool(call.result) or _lacks_scopes(call))


_PERMISSIONS = "oauth2_provider.contrib.rest_framework.permissions"

# The library and applications override `get_scopes`. The result of an overridden method is not a requirement.
_SCOPE_CHECKS = (
    PartTarget(f"{_PERMISSIONS}:TokenHasScope.has_permission", granted="return"),
    AuthzOverrideTarget(f"{_PERMISSIONS}:TokenHasScope.has_permission", method="get_scopes", required="return"),
    PartTarget(f"{_PERMISSIONS}:TokenMatchesOASRequirements.has_permission", granted="return"),
    # It is called for each alternative.
    PartTarget("oauth2_provider.models:AbstractAccessToken.is_valid", required="args.scopes", granted="return"),
)

PRESET = Preset(
    library="django-oauth-toolkit",
    oldest="3.0",
    records="`id`; `name`: the application's `client_id`, if it was loaded with the token; `owner`: `user_id`; "
    "`scopes`: `scope`; `allow_list`: `resource`, if it is set; `expires_at`: `expires`. Decisions of the "
    "views and decorators that require scopes. With Django REST framework, decisions as with `drf`, which require the "
    "result of `TokenHasScope.get_scopes`, or the scopes that `TokenMatchesOASRequirements` accepted or refused",
    never="`token`, `token_checksum`, `str()`",
    targets=(
        AuthTarget(
            f"{_VALIDATOR}.validate_bearer_token",
            key="args.request.access_token",
            when=_has_authenticated,
        ),
        AuthTarget(f"{_VALIDATOR}._set_oauth2_error_on_request", key="args.access_token", when=_lacks_scopes),
        AuthzTarget(
            f"{_VALIDATOR}.validate_bearer_token",
            required="args.scopes",
            granted="return",
            denied=never,
            when=_has_checked_scopes,
        ),
    ),
    optional_targets={"djangorestframework": (*PERMISSION_CHECKS, *_SCOPE_CHECKS)},
    key_types={
        "oauth2_provider.models:AbstractAccessToken": KeyType(
            hidden=("token_checksum",),
            id="id",
            # The loaded object only, because the attribute `application` would query the database.
            name="_state.fields_cache.application.client_id",
            owner="user_id",
            scopes="scope|split",
            allow_list=_resources,
            expires_at="expires",
        ),
    },
)
