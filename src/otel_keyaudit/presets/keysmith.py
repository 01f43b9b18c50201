from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuditTarget, AuthTarget

PRESET = Preset(
    library="django-keysmith",
    oldest="0.1.2",
    records="`id`; `name`; `scopes`: code names of the permissions, if your manager prefetches them; `owner`: "
    "`user_id`; `expires_at`. In keysmith's own audit log: a member of `extra`, with the token as the subject",
    never="`key`, which is the hash; the presented token",
    targets=(
        AuthTarget("keysmith.auth.base:authenticate_token"),
        AuditTarget(
            "keysmith.audit.logger:log_audit_event",
            fields="args.extra",
            outcome="args.status_code",
            subject="args.token",
        ),
    ),
    key_types={
        "keysmith.models.base:AbstractToken": KeyType(
            id="id",
            name="name",
            # Prefetched objects, because `scopes.all()` would query the database.
            scopes="_prefetched_objects_cache.scopes[].codename",
            owner="user_id",
            expires_at="expires_at",
        ),
    },
)
