"""Which API key did this, with what power, and where is its trace: OpenTelemetry instrumentation for API keys."""

from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.installation import TargetStatus
from otel_keyaudit.instrumentor import KeyAuditInstrumentor
from otel_keyaudit.request_state import current_key, use_key
from otel_keyaudit.sampling import AuditEvent
from otel_keyaudit.snapshot import Detail
from otel_keyaudit.targets import AuditTarget, AuthTarget

__all__ = [
    "ApiKey",
    "AuditEvent",
    "AuditTarget",
    "AuthTarget",
    "ConfigurationError",
    "Detail",
    "KeyAuditInstrumentor",
    "TargetStatus",
    "current_key",
    "use_key",
]
