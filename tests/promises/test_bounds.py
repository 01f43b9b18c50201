"""Rows, spans and memory stay small whatever comes in, and an identity is recorded whole or not at all."""

import gc
import json
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.guard.faults import MAX_WARNINGS, Faults
from otel_keyaudit.guard.metrics import MAX_COMBINATIONS, Metrics
from otel_keyaudit.key.cache import MAX_CHARACTERS, MAX_ENTRIES
from otel_keyaudit.key.canonical import MAX_LENGTH
from otel_keyaudit.key.snapshot import Snapshot
from otel_keyaudit.observers.sampling.samplers import MAX_SNAPSHOTS
from otel_keyaudit.row.members.written_members import MAX_HELD, MAX_RECENT
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.instructions import count_calls

HUGE = "x" * 10_000_000
MANY = [f"workspace:{number}" for number in range(10_000)]
KEY: dict[str, Any] = {
    "id": "k_1", "name": "ci-bot", "scopes": ["a:read"], "allow_list": ["a:1"], "owner": "o_1",
    "expires_at": "2026-11-23T16:00:00Z",
}  # fmt: skip
REFUSED = "otel_keyaudit.errors.UnreadableError"


class Application:
    """The shop, instrumented, with all fields of a key configured."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self.recorder = recorder
        self.module = module
        module.instrument(recorder, "?owner=owner&expires_at=expires_at", "?subject=args.subject&subject_owner=owner")

    def row(self, key: dict[str, Any], action: str = "create", **arguments: Any) -> Any:
        """Make a request with a key, and return the row that it writes."""
        with self.recorder.request():
            self.module.verify(SimpleNamespace(**key))
            self.module.record(action, **arguments)
        return self.module.ROWS[-1]

    def span(self) -> dict[str, Any]:
        """Return the library's attributes of the last server span."""
        return keyaudit_attributes(self.recorder.spans[-1])


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Application:
    """The shop, instrumented."""
    return Application(recorder, shop)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", HUGE), ("owner", HUGE), ("expires_at", HUGE), ("scopes", HUGE), ("scopes", ["a:read", HUGE]),
        ("allow_list", [HUGE, "a:1"]), ("allow_list", {HUGE}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else type(value).__name__,
)  # fmt: skip
def test_overlong_field_is_unknown(app: Application, field: str, value: Any) -> None:
    """A field of 10 MB is left out and counted; row and span have all other fields."""
    row = app.row({**KEY, field: value})["request_api_key"]
    assert {name: row.get(name) for name in KEY} == {**KEY, field: None}
    assert f"keyaudit.key.{field}" not in app.span()
    assert app.span()["keyaudit.key.id"] == "k_1"
    assert app.recorder.errors() == {("authentication", REFUSED): 1}


@pytest.mark.parametrize("value", [HUGE, "x" * (MAX_LENGTH + 1)], ids=["10 MB", "one too many"])
def test_overlong_id_is_no_id(app: Application, value: str) -> None:
    """An id that is too long is not cut: nothing names the key, and the failure and the row are counted."""
    assert app.row({**KEY, "id": value}) is None
    assert not {"keyaudit.key.id", "keyaudit.key.digest"} & app.span().keys()
    assert app.recorder.errors() == {("authentication", REFUSED): 1}
    assert app.recorder.writes()["failed"] == 1


@pytest.mark.parametrize("field", ["action", "resource_type", "resource_id", "outcome"])
def test_overlong_event_field_is_unknown(app: Application, field: str) -> None:
    """The field is left out of the spans and counted, and the row has its key."""
    row = app.row(KEY, **{"action": "create", "resource_id": "r_1", "outcome": "ok", field: HUGE})
    assert row["request_api_key"]["id"] == "k_1"
    assert app.recorder.errors() == {("audit", REFUSED): 1}
    spans = app.recorder.spans
    assert max(len(span.to_json()) for span in spans) < 10_000
    assert len(spans) == 2


@pytest.mark.parametrize("field", ["name", "scopes", "allow_list", "owner"])
def test_overlong_field_of_a_subject_is_unknown(app: Application, field: str) -> None:
    """The limits for the request's key hold for the key of the subject too."""
    subject = SimpleNamespace(**{**KEY, "id": "k_2", field: [HUGE]})
    row = app.row(KEY, subject=subject)
    assert row["api_key"]["id"] == "k_2"
    assert field not in row["api_key"]
    assert app.recorder.errors() == {("audit", REFUSED): 1}


def test_the_longest_identity_is_whole(app: Application) -> None:
    """At the limit nothing is cut in rows and spans, and ``ApiKey`` has the same limit."""
    longest = {"id": "i" * MAX_LENGTH, "name": "ñ" * MAX_LENGTH}
    row = app.row({**KEY, **longest})["request_api_key"]
    assert {name: row[name] for name in longest} == longest
    assert app.span()["keyaudit.key.id"] == longest["id"]
    assert app.recorder.errors() == {}
    with pytest.raises(ValueError, match="16,384 characters"):
        ApiKey("k_1", name=longest["name"] + "n")


def test_long_lists_are_cut_and_counted(app: Application) -> None:
    """Row and span have the first of 10,000 elements and their number, under a digest of all."""
    row = app.row({**KEY, "scopes": MANY, "allow_list": tuple(MANY)})["request_api_key"]
    for name in ("scopes", "allow_list"):
        assert (row[name], row[f"{name}_count"]) == (MANY[:128], 10_000)
        shown = app.span()
        assert (shown[f"keyaudit.key.{name}"], shown[f"keyaudit.key.{name}_count"]) == (tuple(MANY[:128]), 10_000)
    assert row["digest"] == ApiKey("k_1", "ci-bot", MANY, MANY, "o_1", KEY["expires_at"]).digest
    assert row["digest"] != ApiKey("k_1", "ci-bot", MANY[:-1], MANY, "o_1", KEY["expires_at"]).digest
    assert len(json.dumps(row)) < 10_000


@pytest.mark.parametrize("fields", [{"a": HUGE}, f'{{"a": "{HUGE}"}}', f'{{"a": "{HUGE}"}}'.encode()], ids=type)
def test_additional_fields_of_any_size_get_the_identity(app: Application, fields: Any) -> None:
    """The application's own 10 MB stay as they are."""
    row = app.row(KEY, additional_fields=fields)
    content = row if isinstance(row, dict) else json.loads(row)
    assert content["a"] == HUGE
    assert content["request_api_key"]["id"] == "k_1"


def test_thousands_of_new_keys_are_not_kept(recorder: Recorder, shop: Any) -> None:
    """The caches keep the newest keys and do not grow with the number of keys."""
    shop.instrument(recorder, sampler="on_change")
    before = _live()
    for number in range(2 * MAX_ENTRIES):
        with recorder.request():
            shop.verify(SimpleNamespace(**{**KEY, "id": f"k_{number}", "scopes": [f"a:{number}"]}))
            shop.record("create", additional_fields={})
    assert recorder.writes()["attributed"] == 2 * MAX_ENTRIES
    shop.ROWS.clear()
    recorder.clear()
    more = _live() - before  # other tests of the same process may have left some
    limit = MAX_ENTRIES * 9 // 8
    assert more[Snapshot] <= limit + 1
    assert more[ApiKey] <= 2 * limit + 10
    assert max(MAX_HELD, MAX_RECENT, MAX_SNAPSHOTS) <= 20_000


def test_keys_with_thousands_of_scopes_are_bounded_by_their_length(recorder: Recorder, shop: Any) -> None:
    """The caches keep few keys of that length, and every row is complete."""
    shop.instrument(recorder)
    before = _live()
    count = 3 * MAX_CHARACTERS // len("".join(MANY)) // 2
    for number in range(count):
        with recorder.request():
            shop.verify(SimpleNamespace(**{**KEY, "id": f"k_{number}", "scopes": MANY}))
            shop.record("create", additional_fields={})
    assert [row["request_api_key"]["scopes_count"] for row in shop.ROWS] == [len(MANY)] * count
    more = _live() - before
    assert more[Snapshot] <= MAX_CHARACTERS // len("".join(MANY)) < count


def _live() -> Counter[type]:
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    return Counter(
        kind for kind in kinds if kind is Snapshot or kind is ApiKey
    )  # other tests have kinds without equality


@pytest.mark.parametrize("kind", [list, set, lambda elements: [*elements, "é"]], ids=["list", "set", "not ASCII"])
def test_ten_times_the_list_is_at_most_fifteen_times_the_work(app: Application, kind: Any) -> None:
    """The work grows linearly with the number of scopes and entries."""
    app.row(KEY)
    short, long = (
        count_calls(lambda: app.row({**KEY, "scopes": kind(MANY[:count]), "allow_list": kind(MANY[:count])}))  # noqa: B023
        for count in (1_000, 10_000)
    )
    assert long <= 15 * short


def test_several_keys_are_named_up_to_the_limit(app: Application) -> None:
    """A request that shows 1,000 keys is ambiguous, and its row and spans name the first ones and their number."""
    with app.recorder.request():
        for number in range(1_000):
            app.module.verify(SimpleNamespace(**{**KEY, "id": f"k_{number}"}))
        assert current_key() is None
        app.module.record("create")
    member = app.module.ROWS[-1]["request_api_key"]
    assert (len(member["ids"]), member["ids_count"]) == (128, 1_000)
    assert len(app.span()["keyaudit.key.ids"]) == 128


def test_a_key_of_many_scopes_set_by_hand_is_cut_as_well(app: Application) -> None:
    """A key that is set by hand has the same limits."""
    with app.recorder.request(), use_key(ApiKey("k_1", scopes=MANY, allow_list=MANY)):
        app.module.record("create")
    member = app.module.ROWS[-1]["request_api_key"]
    assert (member["id"], len(member["scopes"]), member["allow_list_count"]) == ("k_1", 128, 10_000)


def test_exceptions_of_ever_new_classes_are_counted_and_not_remembered(recorder: Recorder, shop: Any) -> None:
    """Exception classes can be made at run time, so after a number of them they count as others and are not logged."""
    shop.instrument(recorder)
    for number in range(MAX_COMBINATIONS + 20):
        with suppress(Exception):
            shop.verify(None, type(f"Refused{number}", (Exception,), {})())
    counted = {dict(key[1])["error.type"]: value for key, value in recorder.counters().items()}
    assert len(counted) <= MAX_COMBINATIONS + 1
    assert counted["_OTHER"] >= 20
    assert sum(counted.values()) == MAX_COMBINATIONS + 20


def test_only_so_many_warnings_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each kind is logged once, and no more than a fixed number of kinds."""
    faults = Faults(Metrics())
    for number in range(MAX_WARNINGS + 20):
        faults.count("shop:verify", "authentication", type(f"Refused{number}", (Exception,), {})())
    assert len(caplog.records) == MAX_WARNINGS
