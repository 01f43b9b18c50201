"""An application whose key objects a test makes."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.testing import Recorder

APP = """
ROWS = []
KEYS = {}

def verify(name):
    return KEYS[name]

def record(action, additional_fields=None, subject=None):
    ROWS.append(additional_fields)
"""


def not_expected(error: BaseException) -> None:
    """Fail where a test expects no failure to be reported."""
    raise error


class Application:
    """An application with an authentication target and an audit target, whose keys a test makes."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self.recorder = recorder
        self.module = module

    def instrument(self, query: str = "", audit: str = "") -> None:
        """Instrument both targets."""
        name = self.module.__name__
        self.recorder.instrument(auth_targets=[f"{name}:verify{query}"], audit_targets=[f"{name}:record{audit}"])

    def row(self, key: object) -> Any:
        """Make a request with this key, and return the row that it writes."""
        self.module.KEYS["key"] = key
        with self.recorder.request():
            assert self.module.verify("key") is key
            self.module.record("create")
        return (self.module.ROWS[-1] or {}).get("request_api_key")
