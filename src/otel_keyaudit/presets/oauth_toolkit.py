from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _resources(token: Any) -> Any:
    """Return what the token is confined to (RFC 8707); one without is good for everything, which is not none."""
    return getattr(token, "resource", None) or None


PRESET = Preset(
    library="django-oauth-toolkit",
    oldest="3.0",
    records="`id`; `name`: the application's `client_id`, where the token was fetched with it; `owner`: `user_id`; "
    "`scopes`: `scope`; `allow_list`: `resource`, where there is one; `expires_at`: `expires`",
    never="`token`, `token_checksum`, `str()`",
    targets=(
        AuthTarget(
            "oauth2_provider.oauth2_validators:OAuth2Validator.validate_bearer_token",
            key="args.request.access_token",
            when="args.token",  # without a token it says no, too, and nothing was denied
        ),
    ),
    key_types={
        "oauth2_provider.models:AbstractAccessToken": KeyType(
            hidden=("token_checksum",),
            id="id",
            # From what is there already: the attribute `application` would ask the database.
            name="_state.fields_cache.application.client_id",
            owner="user_id",
            scopes="scope|split",
            allow_list=_resources,
            expires_at="expires",
        ),
    },
)
