"""Names of attributes, members, metrics and variables, each defined once. Users rely on them, so they never change."""

from __future__ import annotations

from typing import Final

VARIABLE_PREFIX: Final = "OTEL_PYTHON_KEYAUDIT_"
"""Prefix of the environment variables; the name of an option in capitals follows."""

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
ON_BEHALF_OF: Final = "keyaudit.on_behalf_of"
ACTORS: Final = "keyaudit.actors"
ACTORS_COUNT: Final = "keyaudit.actors_count"

# Span attributes: authentication, decision, audit write.
OUTCOME: Final = "keyaudit.outcome"
DENIED_REASON: Final = "keyaudit.denied.reason"
DENIED_KEY_ID: Final = "keyaudit.denied.key.id"
DECISION_OUTCOME: Final = "keyaudit.decision.outcome"
DECISION_CAUSE: Final = "keyaudit.decision.cause"
DECISION_REASON: Final = "keyaudit.decision.reason"
DECISION_RESOURCE: Final = "keyaudit.decision.resource"
DECISION_REQUIRED: Final = "keyaudit.decision.required"
DECISION_SCOPES: Final = "keyaudit.decision.scopes"
DECISION_MISSING: Final = "keyaudit.decision.missing"
ACTION: Final = "keyaudit.action"
RESOURCE_TYPE: Final = "keyaudit.resource.type"
RESOURCE_ID: Final = "keyaudit.resource.id"
AUDIT_OUTCOME: Final = "keyaudit.audit.outcome"
SUBJECT_ID: Final = "keyaudit.subject.id"
CHANGE_POWER: Final = "keyaudit.change.power"
CHANGE_GAINED: Final = "keyaudit.change.gained"
CHANGE_LOST: Final = "keyaudit.change.lost"
ERROR_TYPE: Final = "error.type"

# Metrics and their attributes.
METRIC_AUTHENTICATIONS: Final = "keyaudit.authentications"
METRIC_WRITES: Final = "keyaudit.audit.writes"
METRIC_DECISIONS: Final = "keyaudit.decisions"
METRIC_DEGRADED: Final = "keyaudit.degraded"
ATTRIBUTION: Final = "keyaudit.attribution"
STAGE: Final = "keyaudit.stage"

# Log events, and attributes that only log events have.
EVENT_DENIAL: Final = "keyaudit.denial"
EVENT_AUDIT: Final = "keyaudit.audit"
EVENT_USAGE: Final = "keyaudit.usage"
USAGE_FROM: Final = "keyaudit.usage.from"
USAGE_TO: Final = "keyaudit.usage.to"
USAGE_REQUESTS: Final = "keyaudit.usage.requests"
USAGE_PERMISSIONS: Final = "keyaudit.usage.permissions"
USAGE_OUTCOMES: Final = "keyaudit.usage.outcomes"
USAGE_COUNTS: Final = "keyaudit.usage.counts"
USAGE_LAST: Final = "keyaudit.usage.last"

# Values of keyaudit.outcome.
ACCEPTED: Final = "accepted"
DENIED: Final = "denied"

# Values of keyaudit.decision.outcome: granted, denied (as above), error.
GRANTED: Final = "granted"
ERROR: Final = "error"

# Values of keyaudit.attribution. Their counts add up to the number of calls of audit targets.
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
STAGE_DECISION: Final = "decision"
STAGES: Final = frozenset({
    STAGE_AUTHENTICATION, STAGE_AUDIT, STAGE_SAMPLING, STAGE_MERGE, STAGE_COLLISION, STAGE_TELEMETRY, STAGE_DECISION,
})  # fmt: skip

# Suffix of a foreign member that had a reserved name.
UNVERIFIED: Final = "_unverified"
