"""OpenTelemetry instrumentation that records which API key made a request and wrote each audit row.

Public names are imported at first use, so that an application pays only for the parts that it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_keyaudit.errors import ConfigurationError
    from otel_keyaudit.installation.status import TargetStatus
    from otel_keyaudit.instrumentor import KeyAuditInstrumentor
    from otel_keyaudit.key.api_key import ApiKey
    from otel_keyaudit.key.permissions.decision import Decision
    from otel_keyaudit.key.snapshot import Detail
    from otel_keyaudit.observers.sampling.event import AuditEvent
    from otel_keyaudit.request.context import current_key
    from otel_keyaudit.request.workers.use_key import use_key
    from otel_keyaudit.targets.target import AuditTarget, AuthTarget, AuthzTarget, SubjectTarget

__all__ = [
    "ApiKey",
    "AuditEvent",
    "AuditTarget",
    "AuthTarget",
    "AuthzTarget",
    "ConfigurationError",
    "Decision",
    "Detail",
    "KeyAuditInstrumentor",
    "SubjectTarget",
    "TargetStatus",
    "current_key",
    "use_key",
]

_MODULES = {
    "ApiKey": "key.api_key",
    "AuditEvent": "observers.sampling.event",
    "AuditTarget": "targets.target",
    "AuthTarget": "targets.target",
    "AuthzTarget": "targets.target",
    "ConfigurationError": "errors",
    "Decision": "key.permissions.decision",
    "Detail": "key.snapshot",
    "KeyAuditInstrumentor": "instrumentor",
    "SubjectTarget": "targets.target",
    "TargetStatus": "installation.status",
    "current_key": "request.context",
    "use_key": "request.workers.use_key",
}


def __getattr__(name: str) -> Any:
    """Import a public name at first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """List all public names, including those that are not imported yet."""
    return sorted({*globals(), *__all__})
