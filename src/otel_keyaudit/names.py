"""Every attribute, member and metric name that leaves this package, once (docs/reference.md, sections 4, 5 and 7)."""

from __future__ import annotations

from typing import Final

# Span attributes: the key of the request.
KEY_ID: Final = "keyaudit.key.id"
KEY_NAME: Final = "keyaudit.key.name"
KEY_DIGEST: Final = "keyaudit.key.digest"
KEY_SCOPES: Final = "keyaudit.key.scopes"
KEY_SCOPES_COUNT: Final = "keyaudit.key.scopes_count"
KEY_ALLOW_LIST: Final = "keyaudit.key.allow_list"
KEY_ALLOW_LIST_COUNT: Final = "keyaudit.key.allow_list_count"
KEY_PERMISSIONS: Final = "keyaudit.key.permissions"
KEY_PERMISSIONS_COUNT: Final = "keyaudit.key.permissions_count"
KEY_OWNER: Final = "keyaudit.key.owner"
KEY_EXPIRES_AT: Final = "keyaudit.key.expires_at"
KEY_IDS: Final = "keyaudit.key.ids"
AMBIGUOUS: Final = "keyaudit.ambiguous"
DETAIL: Final = "keyaudit.detail"

# Span attributes: what happened.
OUTCOME: Final = "keyaudit.outcome"
DENIED_REASON: Final = "keyaudit.denied.reason"
DENIED_KEY_ID: Final = "keyaudit.denied.key.id"
ACTION: Final = "keyaudit.action"
RESOURCE_TYPE: Final = "keyaudit.resource.type"
RESOURCE_ID: Final = "keyaudit.resource.id"
AUDIT_OUTCOME: Final = "keyaudit.audit.outcome"
SUBJECT_ID: Final = "keyaudit.subject.id"
ERROR_TYPE: Final = "error.type"

# Metrics and their attributes.
METRIC_AUTHENTICATIONS: Final = "keyaudit.authentications"
METRIC_WRITES: Final = "keyaudit.audit.writes"
METRIC_DEGRADED: Final = "keyaudit.degraded"
ATTRIBUTION: Final = "keyaudit.attribution"
STAGE: Final = "keyaudit.stage"

# Values of keyaudit.outcome.
ACCEPTED: Final = "accepted"
DENIED: Final = "denied"

# Values of keyaudit.attribution: they add up to the calls of audit targets.
ATTRIBUTED: Final = "attributed"
AMBIGUOUS_REQUEST: Final = "ambiguous"
NO_KEY: Final = "none"
FAILED: Final = "failed"

# Values of keyaudit.stage.
STAGE_AUTHENTICATION: Final = "authentication"
STAGE_AUDIT: Final = "audit"
STAGE_SAMPLING: Final = "sampling"
STAGE_MERGE: Final = "merge"
STAGE_COLLISION: Final = "collision"
STAGE_TELEMETRY: Final = "telemetry"

# What is put behind a member of the application that has a reserved name.
UNVERIFIED: Final = "_unverified"
