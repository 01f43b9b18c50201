"""A string in a key stays one value: it breaks no row, forges no log line, and loses no attribute."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.effort import examples

AWKWARD = [
    "a\r\nb", "a\x00b", "\x1b[31mred", "a\u2028b", "a\u2029b", "a\x85b", "\u202ea", "\u2066a\u2069", "a\u200fb",
    "a\ufeffb", "a\ud800b", "\udfff\ud800", "%s %d", "{x}", "{0.__class__}", "'\"\\", "a\x7f", "e\u0301", "${jndi:x}",
    "</script>",
]  # fmt: skip
HOSTILE = st.text(
    st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs"]) | st.sampled_from("a%s{}'\"\\ \n\r\t"),
    min_size=1,
    max_size=12,
)
"""Control characters, bidi marks, line separators, lone surrogates, and characters of formats and quotes."""


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Any:
    """The shop, which writes rows of every kind, instrumented."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record?subject=args.subject"])
    return shop


def write(recorder: Recorder, app: Any, text: str) -> list[Any]:
    """Put a string into every field of a key and an event; return a row of each kind and an ambiguous one."""
    app.ROWS.clear()
    recorder.clear()
    key = ApiKey(text, text, [text, "a:read"], [text], text)
    with recorder.request(), use_key(key):
        rows: tuple[Any, ...] = ("{}", b"{}", {}, f"no json {text}")
        for fields in rows:
            app.record(text, fields, key, resource_type=text, resource_id=text, outcome=text)
    return list(app.ROWS)


def is_plain(text: str) -> bool:
    """Return whether a string has no terminal sequence, line break or change of direction."""
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"} for character in text)


@settings(
    max_examples=examples(1_000, quick=100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=HOSTILE)
@example(text="a\u2028b\x85\u202e\ud800\x7f")
def test_each_row_parses_alone(recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Each row and log line is one line of printable characters that parses to the same string."""
    rows = write(recorder, app, text)
    assert len(rows) == 4
    assert is_plain(rows[0])
    assert is_plain(rows[1].decode())
    expected = text.encode("utf-8", "backslashreplace").decode()
    for row in (json.loads(rows[0]), json.loads(rows[1]), rows[2]):
        for member in (row["request_api_key"], row["api_key"]):
            assert (member["id"], member["name"]) == (expected, expected)
            assert member["scopes"] == list(dict.fromkeys([expected, "a:read"]))
            assert member["allow_list"] == [expected]
    assert rows[3] == f"no json {text}"
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert is_plain(lines[0])


@pytest.mark.parametrize("text", AWKWARD)
def test_known_attacks(recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Strings that have broken other libraries do no harm."""
    rows = write(recorder, app, text)
    assert is_plain(rows[0])
    assert json.loads(rows[0])["request_api_key"]["id"] == text.encode("utf-8", "backslashreplace").decode()
    assert all(is_plain(record.getMessage()) for record in caplog.records)


def test_ids_of_an_ambiguous_request(recorder: Recorder, shop: Any) -> None:
    """The ids are in a row of one line too."""
    shop.instrument(recorder)
    with recorder.request():
        for text in AWKWARD:
            shop.verify(ApiKey(text))
        row = shop.record("create", "{}")
    assert is_plain(row)
    expected = [text.encode("utf-8", "backslashreplace").decode() for text in AWKWARD]
    assert json.loads(row)["request_api_key"]["ids"] == expected


@pytest.mark.parametrize("text", AWKWARD)
def test_an_exporter_can_encode_every_attribute(recorder: Recorder, app: Any, text: str) -> None:
    """The OTLP encoding keeps every attribute of the library."""
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    write(recorder, app, text)
    spans = recorder.spans
    encoded = encoder.encode_spans(spans).resource_spans[0].scope_spans
    sent = sorted(attribute.key for scope in encoded for span in scope.spans for attribute in span.attributes)
    assert sent == sorted(name for span in spans for name in span.attributes or {})
    assert len(sent) > 20
