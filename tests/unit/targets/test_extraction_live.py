"""Key objects that change, block or pretend while they are read: what was read once is what is written."""

import threading
from collections.abc import Iterator, Set
from typing import Any, ClassVar

import pytest

from otel_keyaudit import ApiKey
from support.keyaudit import KeyAudit, LoadModule
from support.reading import APP, Application


@pytest.fixture
def app(keyaudit: KeyAudit, load_module: LoadModule) -> Application:
    """The application, not instrumented yet."""
    return Application(keyaudit, load_module(APP))


def test_a_list_that_changes_while_it_is_read_is_unknown(app: Application) -> None:
    """A set that grows under the reader is no reason to fail, nor to write half of it."""
    app.instrument()

    class Growing(Set[str]):
        held: ClassVar[set[str]] = {"a", "b"}

        def __contains__(self, element: object) -> bool:
            return element in self.held

        def __len__(self) -> int:
            return len(self.held)

        def __iter__(self) -> Iterator[str]:
            for element in self.held:
                self.held.add(element + "x")
                yield element

    class Key:
        id = "k_1"
        scopes = Growing()

    assert "scopes" not in app.row(Key())
    assert app.keyaudit.degraded() == {("authentication", "RuntimeError"): 1}


def test_a_key_that_is_never_the_same_twice_is_one_snapshot(app: Application) -> None:
    """Row and server span show what was read once."""
    app.instrument()

    class Key:
        id = "k_1"
        count = 0

        @property
        def scopes(self) -> list[str]:
            self.count += 1
            return [f"s:{self.count}"]

    key = Key()
    row = app.row(key)
    assert row["scopes"] == ["s:1"]
    assert app.keyaudit.server_span()["keyaudit.key.scopes"] == ("s:1",)
    assert key.count == 1


def test_the_snapshot_does_not_change_with_the_key(app: Application) -> None:
    """What the application does to its lists later is not what the key was allowed to do then."""
    app.instrument()

    class Key:
        id = "k_1"
        scopes: ClassVar[list[str]] = ["a"]

    app.module.KEYS["key"] = Key
    with app.keyaudit.request():
        app.module.verify("key")
        Key.scopes.append("b")
        app.module.record("create")
    assert app.module.ROWS[-1]["request_api_key"]["scopes"] == ["a"]


def test_a_key_that_blocks_holds_up_nobody_else(app: Application) -> None:
    """While one key is being read, other requests authenticate and write."""
    app.instrument()
    entered, go_on = threading.Event(), threading.Event()

    class Slow:
        id = "k_slow"

        @property
        def scopes(self) -> list[str]:
            entered.set()
            assert go_on.wait(30)
            return ["a"]

    rows: list[Any] = []
    app.module.KEYS.update(slow=Slow(), fast=ApiKey("k_fast"))

    def request(name: str) -> None:
        with app.keyaudit.request():
            app.module.verify(name)
            fields: dict[str, Any] = {"for": name}
            app.module.record("create", fields)

    slow = threading.Thread(target=request, args=("slow",))
    slow.start()
    try:
        assert entered.wait(30)
        request("fast")
        rows.extend(app.module.ROWS)
    finally:
        go_on.set()
        slow.join(30)
    assert [row["request_api_key"]["id"] for row in rows] == ["k_fast"]
    assert {row["for"]: row["request_api_key"]["id"] for row in app.module.ROWS} == {"fast": "k_fast", "slow": "k_slow"}


def test_an_api_key_is_taken_as_it_is(app: Application) -> None:
    """Nothing needs to be read from what is a snapshot already."""
    app.instrument("?id=no_such_field")
    assert app.row(ApiKey("k_1", scopes=["a"]))["scopes"] == ["a"]


def test_what_only_says_that_it_is_an_api_key_is_read_at_once(app: Application) -> None:
    """A proxy leads to another key in the next request: the snapshot is of the one that it leads to now."""
    app.instrument()
    now = [ApiKey("k_1", scopes=["a"])]

    class Proxy:
        @property  # type: ignore[misc]
        def __class__(self) -> type[ApiKey]:  # type: ignore[override]
            return ApiKey

        def __getattr__(self, name: str) -> Any:
            return getattr(now[0], name)

    proxy = Proxy()
    app.module.KEYS["key"] = proxy
    with app.keyaudit.request():
        assert app.module.verify("key") is proxy
        now[0] = ApiKey("k_2")
        app.module.record("create")
    assert app.module.ROWS[-1]["request_api_key"]["id"] == "k_1"


def test_every_form_of_a_field_is_read_of_every_key_of_a_class(app: Application) -> None:
    """A filter, an item, a method, an alternative: of the second key of a class just as of the first."""
    app.instrument("?id=number&name=label??title??id&scopes=scope|split&allow_list=limits['allow']&owner=account()")

    class Key:
        def __init__(self, number: int, label: str | None, title: str | None, scope: str) -> None:
            self.number, self.label, self.title, self.scope = number, label, title, scope
            self.id = "never"
            self.limits = {"allow": [f"w:{number}"]}

        def account(self) -> str:
            return f"a_{self.number}"

    members = ("id", "name", "scopes", "allow_list", "owner")
    rows = [app.row(Key(1, "one", "x", "a b")), app.row(Key(2, None, "two", "c")), app.row(Key(3, None, None, ""))]
    assert [[row[name] for name in members] for row in rows] == [
        ["1", "one", ["a", "b"], ["w:1"], "a_1"],
        ["2", "two", ["c"], ["w:2"], "a_2"],
        ["3", "never", [], ["w:3"], "a_3"],
    ]
