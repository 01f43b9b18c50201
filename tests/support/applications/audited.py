"""An application with one audit target, whose writes are made with a key."""

from __future__ import annotations

from typing import Any

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder

KEY = ApiKey("k_1")
OURS = "request_api_key"


def audit(recorder: Recorder, module: Any, target: str) -> None:
    """Instrument one audit function of a module."""
    recorder.instrument(audit_targets=[f"{module.__name__}:{target}"])


class Application:
    """An application with one instrumented function, which is called with a key."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self.recorder = recorder
        self.module = module

    def audit(self, target: str) -> None:
        """Instrument one function."""
        audit(self.recorder, self.module, target)

    def row(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function with a key and return the row that it wrote."""
        owner = self.module
        with use_key(KEY):
            getattr(owner, name)(*args, **kwargs)
        return owner.ROWS[-1]

    def wrote(self, kind: str) -> bool:
        """Return whether every write so far was counted as this kind."""
        writes = self.recorder.writes()
        return writes[kind] == sum(writes.values()) > 0


def names(fields: Any) -> list[Any]:
    """Check the member of the key in additional fields and return all names."""
    assert fields[OURS]["id"] == "k_1"
    return list(fields)
