"""Additional fields where no path leads: code of a preset's puts the members there."""

from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.row.field_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.testing import Recorder
from support.modules import LoadModule

APP = """
ROWS = []

def write(lines):
    ROWS.append(dict(lines))

def build(action):
    return ["row", {"action": action}]
"""

KEY = ApiKey("k_1")


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """The application."""
    return load_module(APP)


def in_the_second_line(call: Call, change: Change) -> None:
    """Change what is under the name ``more`` in a list of pairs."""
    call.positional = ([(name, change(value) if name == "more" else value) for name, value in call.positional[0]],)


def in_the_second_element(call: Call, change: Change) -> Any:
    """Return the result, its second element changed."""
    kind, row = call.result
    return [kind, change(row)]


def nowhere(call: Call, change: Change) -> None:
    """Find nothing to change."""
    raise LookupError


def test_among_the_arguments(recorder: Recorder, app: Any) -> None:
    """What the code finds is changed, and nothing else; the caller's own list stays as it was."""
    recorder.instrument(audit_targets=[PlacedTarget(f"{app.__name__}:write", in_the_second_line)])
    lines = [("less", 1), ("more", {"a": 1})]
    with use_key(KEY):
        app.write(lines)
    assert lines == [("less", 1), ("more", {"a": 1})]
    assert app.ROWS[0]["less"] == 1
    assert list(app.ROWS[0]["more"]) == ["a", "request_api_key"]
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "attributed"}) == 1


def test_in_the_result(recorder: Recorder, app: Any) -> None:
    """The caller gets the changed one."""
    target = PlacedTarget(f"{app.__name__}:build", in_the_second_element, fields="return")
    recorder.instrument(audit_targets=[target])
    with use_key(KEY):
        kind, row = app.build("create")
    assert (kind, row["action"], row["request_api_key"]["id"]) == ("row", "create", "k_1")
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "attributed"}) == 1


def test_code_that_fails_leaves_the_row_as_it_is(recorder: Recorder, app: Any) -> None:
    """The write happens, and counts as failed."""
    recorder.instrument(audit_targets=[PlacedTarget(f"{app.__name__}:write", nowhere)])
    with use_key(KEY):
        app.write([("more", {})])
    assert app.ROWS == [{"more": {}}]
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "failed"}) == 1
    assert recorder.errors() == {("merge", "LookupError"): 1}
