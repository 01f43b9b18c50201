"""A function of a preset writes the additional fields into a place that no path can describe."""

from typing import Any

import pytest

from otel_keyaudit import use_key
from otel_keyaudit.row.code_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.testing import Recorder
from support.applications.audited import KEY
from support.environment.modules import LoadModule

CODE_APP = """
ROWS = []

def write(lines):
    ROWS.append(dict(lines))

def build(action):
    return ["row", {"action": action}]
"""


@pytest.fixture
def code_app(load_module: LoadModule) -> Any:
    """The application."""
    return load_module(CODE_APP)


def in_the_second_line(call: Call, change: Change) -> None:
    """Change the value named ``more`` in a list of pairs."""
    call.positional = ([(name, change(value) if name == "more" else value) for name, value in call.positional[0]],)


def in_the_second_element(call: Call, change: Change) -> Any:
    """Return the result, its second element changed."""
    kind, row = call.result
    return [kind, change(row)]


def nowhere(call: Call, change: Change) -> None:
    """Raise, as if there were no place."""
    raise LookupError


def test_code_places_the_member_among_the_arguments(recorder: Recorder, code_app: Any) -> None:
    """Only the value that the code finds is changed, in a copy of the caller's list."""
    recorder.instrument(audit_targets=[PlacedTarget(f"{code_app.__name__}:write", in_the_second_line)])
    lines = [("less", 1), ("more", {"a": 1})]
    with use_key(KEY):
        code_app.write(lines)
    assert lines == [("less", 1), ("more", {"a": 1})]
    assert code_app.ROWS[0]["less"] == 1
    assert list(code_app.ROWS[0]["more"]) == ["a", "request_api_key"]
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "attributed"}) == 1


def test_code_places_the_member_in_the_result(recorder: Recorder, code_app: Any) -> None:
    """The caller gets the changed result."""
    target = PlacedTarget(f"{code_app.__name__}:build", in_the_second_element, fields="return")
    recorder.instrument(audit_targets=[target])
    with use_key(KEY):
        kind, row = code_app.build("create")
    assert (kind, row["action"], row["request_api_key"]["id"]) == ("row", "create", "k_1")
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "attributed"}) == 1


def test_code_that_fails_leaves_the_row_as_it_is(recorder: Recorder, code_app: Any) -> None:
    """The write happens and counts as failed."""
    recorder.instrument(audit_targets=[PlacedTarget(f"{code_app.__name__}:write", nowhere)])
    with use_key(KEY):
        code_app.write([("more", {})])
    assert code_app.ROWS == [{"more": {}}]
    assert recorder.count("keyaudit.audit.writes", {"keyaudit.attribution": "failed"}) == 1
    assert recorder.errors() == {("merge", "LookupError"): 1}
