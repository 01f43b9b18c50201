"""The caller's data stays the caller's: it is not changed in place, shared between rows, or believed."""

import copy
import json
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_keyaudit.testing import Recorder
from support.environment.effort import examples

TARGETS = ("record", "record_all?fields=args.records[]")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
FORGED = st.fixed_dictionaries(
    {"id": st.sampled_from(["root", "k_1", "k_2"])},
    optional={"detail": st.just("full"), "digest": st.text(max_size=16), "name": st.text(max_size=3)},
)
NAMES = st.sampled_from(["request_api_key", "request_api_key_unverified", "api_key", "a"]) | st.text(max_size=3)
OBJECTS = st.dictionaries(NAMES, VALUES | FORGED, max_size=4)
BETWEEN: dict[str, Any] = {
    "copy": copy.deepcopy,
    "json": lambda row: json.loads(json.dumps(row)),
    "text": json.dumps,
}
KINDS = st.sampled_from([dict, OrderedDict, json.dumps, lambda fields: json.dumps(fields).encode()])


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Any:
    """The shop, with two ways to write rows, instrumented."""
    name = shop.__name__
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[f"{name}:{target}" for target in TARGETS])
    return shop


def content(row: Any) -> dict[str, Any]:
    """Return a row as a new dict."""
    return json.loads(row) if isinstance(row, (str, bytes)) else copy.deepcopy(dict(row or {}))


def write(recorder: Recorder, app: Any, fields: Any, key_id: str | None, *, at_once: bool) -> list[Any]:
    """Write the same fields twice in one request, as two writes or as two elements of one; return the rows."""
    app.ROWS.clear()
    with recorder.request():
        if key_id is not None:
            app.verify(SimpleNamespace(id=key_id, scopes=["a:read"]))
        if at_once:
            app.record_all([fields, fields])
        else:
            app.record("create", fields)
            app.record("create", fields)
    return list(app.ROWS)


@settings(
    max_examples=examples(2_000, quick=150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(fields=OBJECTS, kind=KINDS, key_id=st.sampled_from(["k_1", None]), at_once=st.booleans())
def test_fields_of_the_caller_are_not_changed_or_shared(
    recorder: Recorder, app: Any, fields: dict[str, Any], kind: Any, key_id: str | None, at_once: bool
) -> None:
    """Fields stay equal, rows share no member, a forged key names nobody, and a second write changes nothing."""
    given_fields = kind(fields)
    before = copy.deepcopy(given_fields)
    rows = write(recorder, app, given_fields, key_id, at_once=at_once)
    assert given_fields == before
    assert all(type(row) is type(before) for row in rows)
    _check_identity([content(row) for row in rows], key_id)
    assert [_others(content(row)) for row in rows] == [sorted(fields.values(), key=repr)] * 2
    if isinstance(rows[0], dict) and key_id is not None:
        rows[0]["request_api_key"]["scopes"].append("forged")
        assert rows[1]["request_api_key"]["scopes"] == ["a:read"]
    again = write(recorder, app, given_fields, key_id, at_once=not at_once)
    assert [_others(content(row)) for row in again] == [sorted(fields.values(), key=repr)] * 2
    _check_identity([content(row) for row in again], key_id)


def _check_identity(rows: list[dict[str, Any]], key_id: str | None) -> None:
    for row in rows:
        assert row.get("request_api_key", {}).get("id") == key_id


def _others(row: dict[str, Any]) -> list[Any]:
    """Return the application's values; a forged member may be at another position of a mapping."""
    return sorted([value for name, value in row.items() if name != "request_api_key"], key=repr)


@settings(
    max_examples=examples(1_000, quick=50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(fields=OBJECTS, kind=KINDS)
def test_a_buffered_row_keeps_the_key_of_its_own_request(
    recorder: Recorder, app: Any, fields: dict[str, Any], kind: Any
) -> None:
    """A row that is buffered in one request and written in another keeps its member."""
    (row, _) = write(recorder, app, kind(fields), "k_1", at_once=False)
    for key_id in ("k_2", None):
        flushed = write(recorder, app, row, key_id, at_once=key_id is None)
        assert all(one is row for one in flushed)
    app.ROWS.clear()
    app.record("flush", row)
    assert app.ROWS[0] is row
    _check_identity([content(row)], "k_1")


@settings(
    max_examples=examples(1_000, quick=50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(fields=OBJECTS, kind=KINDS, between=st.sampled_from(list(BETWEEN)))
def test_equal_content_sent_by_a_client_is_moved_aside(
    recorder: Recorder, app: Any, fields: dict[str, Any], kind: Any, between: str
) -> None:
    """A row of another request that a client sends again, byte for byte, names no key."""
    row: Any = write(recorder, app, kind(fields), "k_1", at_once=False)[0]
    sent = BETWEEN[between](row) if isinstance(row, dict) else row[:1] + row[1:]
    assert sent is not row
    for key_id in ("k_2", None):
        for again in write(recorder, app, sent, key_id, at_once=False):
            _check_identity([content(again)], key_id)
            assert content(row)["request_api_key"] in content(again).values()
