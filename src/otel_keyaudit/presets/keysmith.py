from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuditTarget, AuthTarget

PRESET = Preset(
    library="django-keysmith",
    oldest="0.1.2",
    records="`id`; `name`; `scopes`: code names of the permissions, where a manager of yours prefetches them; "
    "`owner`: `user_id`; `expires_at`. In keysmith's own log, member of `extra`, with the token as subject",
    never="`key`: the hash; the token that was presented",
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
            # From what is there already: `scopes.all()` would ask the database.
            scopes="_prefetched_objects_cache.scopes[].codename",
            owner="user_id",
            expires_at="expires_at",
        ),
    },
)
