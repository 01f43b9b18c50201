"""Which API key did this, with what power, and where is its trace: OpenTelemetry instrumentation for API keys.

The public names are imported when they are first used: an application that only asks for ``current_key`` pays for that.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "ApiKey": "api_key",
    "AuditEvent": "sampling",
    "AuditTarget": "targets",
    "AuthTarget": "targets",
    "ConfigurationError": "errors",
    "Detail": "snapshot",
    "KeyAuditInstrumentor": "instrumentor",
    "TargetStatus": "installation",
    "current_key": "request_state",
    "use_key": "request_state",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Show the public names, also those that nobody has asked for yet."""
    return sorted({*globals(), *__all__})
