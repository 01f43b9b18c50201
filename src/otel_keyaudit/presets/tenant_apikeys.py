from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _addresses(key: Any) -> Any:
    """Return the addresses of a key, ``None`` for a key without addresses, which is valid for all."""
    return key.allowed_ips or None


PRESET = Preset(
    library="django-tenant-apikeys",
    oldest="0.6",
    records="`id`: `prefix`; `name`; `scopes`; `allow_list`: `allowed_ips`; `owner`: `tenant_id`; `expires_at`; "
    "also the id of a refused key",
    never="`hashed_key`; the presented key",
    targets=(AuthTarget("django_tenant_apikeys.core:authenticate_key", key="return ?? exc.api_key"),),
    key_types={
        "django_tenant_apikeys.models:AbstractTenantAPIKey": KeyType(
            id="prefix",
            name="name",
            scopes="scopes",
            allow_list=_addresses,
            owner="tenant_id",
            expires_at="expires_at",
        ),
    },
)
