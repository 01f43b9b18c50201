from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import AuthzOverrideTarget
from otel_keyaudit.presets.drf import PERMISSION_CHECKS
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget


def _resources(token: Any) -> Any:
    """Return the resources of a token (RFC 8707), ``None`` for a token without resources, which is valid for all."""
    return getattr(token, "resource", None) or None


_PERMISSIONS = "oauth2_provider.contrib.rest_framework.permissions"

# The library and applications override `get_scopes`. The result of an overridden method is not a requirement.
_SCOPE_CHECKS = (
    AuthzTarget(f"{_PERMISSIONS}:TokenHasScope.has_permission", granted="return"),
    AuthzOverrideTarget(f"{_PERMISSIONS}:TokenHasScope.has_permission", method="get_scopes", required="return"),
)

PRESET = Preset(
    library="django-oauth-toolkit",
    oldest="3.0",
    records="`id`; `name`: the application's `client_id`, if it was loaded with the token; `owner`: `user_id`; "
    "`scopes`: `scope`; `allow_list`: `resource`, if it is set; `expires_at`: `expires`. With Django REST framework, "
    "decisions as with `drf`, which require the result of `TokenHasScope.get_scopes`",
    never="`token`, `token_checksum`, `str()`",
    targets=(
        AuthTarget(
            "oauth2_provider.oauth2_validators:OAuth2Validator.validate_bearer_token",
            key="args.request.access_token",
            when="args.token",  # without a token it also returns False, which is not a denial
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
