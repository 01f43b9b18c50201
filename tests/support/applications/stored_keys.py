"""A shop whose key objects a test makes."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.testing import Recorder


def not_expected(name: str, error: BaseException) -> None:
    """Fail where a test expects no failure to be reported."""
    raise error


class Application:
    """The shop with an authentication target that returns stored keys, and an audit target."""

    def __init__(self, recorder: Recorder, shop: Any) -> None:
        self.recorder = recorder
        self.shop = shop

    def instrument(self, query: str = "", audit: str = "") -> None:
        """Instrument both targets."""
        name = self.shop.__name__
        self.recorder.instrument(auth_targets=[f"{name}:load{query}"], audit_targets=[f"{name}:record{audit}"])

    def row(self, key: object) -> Any:
        """Make a request with this key, and return the row that it writes."""
        self.shop.KEYS["key"] = key
        with self.recorder.request():
            assert self.shop.load("key") is key
            self.shop.record("create")
        return (self.shop.ROWS[-1] or {}).get("request_api_key")
