"""An interrupt at any instruction of the library leaves no authentication and no check open in the thread."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit.observers.authentication.call import AuthenticationCall
from otel_keyaudit.observers.authorization.check import current_check
from otel_keyaudit.testing import Recorder
from support.environment.effort import IS_FULL
from support.environment.instructions import interrupt
from support.environment.unseen import unseen_request

STEP = 1 if IS_FULL else 5
MODULES = ("otel_keyaudit.observers.authentication.call", "otel_keyaudit.observers.authorization.check")


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Any:
    """The shop, instrumented."""
    shop.instrument(recorder, authz_targets=[f"{shop.__name__}:require"])
    return shop


def test_no_call_stays_open_after_an_interrupt(recorder: Recorder, app: Any) -> None:
    """The next request of the thread has its own decision, and its row shows no open check."""

    def work() -> None:
        with unseen_request():
            app.verify({"id": "k_1"})
            app.require("a:read")

    total = interrupt(-1, work, MODULES)
    assert total > 200
    for at in range(1, total + 1, STEP):
        interrupt(at, work, MODULES)
        open_call = AuthenticationCall.innermost.get()
        assert (at, current_check(None), open_call and open_call()) == (at, None, None)
        with unseen_request():
            app.verify({"id": "k_2"})
            app.require("a:write")
            member = app.record("a", {})["request_api_key"]
        assert (member["id"], [one["required"] for one in member["decisions"]]) == ("k_2", [["a:write"]])
    AuthenticationCall.innermost.set(None)
