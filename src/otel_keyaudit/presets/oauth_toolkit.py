from otel_keyaudit.key_types import KeyType
from otel_keyaudit.preset import Preset
from otel_keyaudit.presets.drf import REQUEST_AUTHENTICATION

PRESET = Preset(
    library="django-oauth-toolkit",
    oldest="3.0",
    records="`id`; `name`: the application's `client_id`, where the token was fetched with it; `owner`: `user_id`; "
    "`scopes`: `scope`; `allow_list`: `resource`, where there is one; `expires_at`: `expires`",
    never="`token`, `token_checksum`, `str()`",
    targets=(REQUEST_AUTHENTICATION,),
    key_types={
        "oauth2_provider.models:AbstractAccessToken": KeyType(
            hidden=("token_checksum",),
            id="id",
            # From what is there already: the attribute `application` would ask the database.
            name="_state.fields_cache.application.client_id",
            owner="user_id",
            scopes="scope|split",
            allow_list="resource",
            expires_at="expires",
        ),
    },
)
