import sys

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _is_presented(call: Call) -> bool:
    """Return whether one of the backends received a token."""
    parameter_of = sys.modules["fastapi_users.authentication.authenticator"].name_to_variable_name
    return any(call.args.get(parameter_of(backend.name)) is not None for backend in call.self.backends)


PRESET = Preset(
    library="fastapi-users",
    oldest="15.0",
    records="`id`: 16 hex digits of the SHA-256 of the token, because it has no public id; `owner`: the user's id",
    never="`token`, which is the primary key of a stored token",
    targets=(
        AuthTarget(
            "fastapi_users.authentication.authenticator:Authenticator._authenticate",
            id="return[1]|sha256:16",
            owner="return[0].id",
            key="return[0]",
            when=_is_presented,
        ),
    ),
    key_types={
        "fastapi_users_db_sqlalchemy.access_token:SQLAlchemyBaseAccessTokenTable": KeyType(
            hidden=("id",), id="token|sha256:16", owner="user_id"
        ),
    },
)
