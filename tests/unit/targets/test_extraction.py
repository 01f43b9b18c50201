"""Reading a key object: declared fields only, each on its own and once, whatever the object does meanwhile."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from support.keyaudit import KeyAudit, LoadModule
from support.reading import APP, Application

FIELDS = ("id", "name", "scopes", "allow_list")


class UnprintableError(Exception):
    """Fails whoever wants to show it."""

    def __str__(self) -> str:
        raise RuntimeError("do not look")

    __repr__ = __str__


ERRORS: list[Callable[[], Exception]] = [
    lambda: ValueError("s3cret"),
    lambda: KeyError("s3cret"),
    lambda: AttributeError("s3cret"),
    lambda: UnicodeDecodeError("utf-8", b"s3cret", 0, 1, "s3cret"),
    lambda: RecursionError("s3cret"),
    lambda: MemoryError("s3cret"),
    lambda: StopIteration("s3cret"),
    lambda: TimeoutError("s3cret"),
    UnprintableError,
]


@pytest.fixture
def app(keyaudit: KeyAudit, load_module: LoadModule) -> Application:
    """The application, not instrumented yet."""
    return Application(keyaudit, load_module(APP))


def recorder(**fields: Any) -> Any:
    """Return a key object that takes note of every attribute somebody asks for, and invents none."""

    class Key:
        asked: ClassVar[list[str]] = []

        def __getattribute__(self, name: str) -> Any:
            if name.startswith("__"):
                return super().__getattribute__(name)
            Key.asked.append(name)
            if name in fields:
                return fields[name]
            raise AttributeError(name)

    return Key()


def inventor() -> Any:
    """Return a key object that has an answer to everything."""

    class Key:
        asked: ClassVar[list[str]] = []

        def __getattr__(self, name: str) -> Any:
            Key.asked.append(name)
            return f"invented {name}"

    return Key()


def test_only_declared_fields_are_read_and_each_once(app: Application) -> None:
    """What no target names is never asked for, nor is anything asked for twice."""
    app.instrument()
    key = recorder(id="k_1", name="ci-bot", scopes=["a"], allow_list=[], secret="s3cret", owner="o", key="s3cret")
    assert app.row(key)["scopes"] == ["a"]
    assert type(key).asked == ["id", "name", "scopes", "allow_list"]


def test_fields_that_a_key_lacks_are_looked_for_and_nothing_else(app: Application) -> None:
    """The second name for a name, and no sign of trying the object as a mapping."""
    app.instrument()
    key = recorder(id="k_1")
    assert list(app.row(key)) == ["id", "digest", "detail", "trace_id", "span_id"]
    assert type(key).asked == ["id", "name", "token_name", "scopes", "allow_list"]
    assert app.keyaudit.degraded() == {}


def test_fields_that_are_configured_are_read_once(app: Application) -> None:
    """``when``, ``valid`` and further fields are declared too."""
    app.instrument("?id=public&owner=user.login&when=kind&valid=active&expires_at=until")
    user = recorder(login="ada", password="s3cret")
    key = recorder(public=7, name="n", scopes=(), allow_list=(), user=user, kind="api", active=True, until=None)
    assert app.row(key)["owner"] == "ada"
    assert sorted(type(key).asked) == ["active", "allow_list", "kind", "name", "public", "scopes", "until", "user"]
    assert type(user).asked == ["login"]


def test_a_subject_is_read_like_a_key(app: Application) -> None:
    """Once, and declared fields only."""
    app.instrument(audit="?subject=args.subject&subject_id=uid")
    subject = recorder(uid="k_9", name="new", scopes=["a"], allow_list=None)
    app.module.record("key.create", subject=subject)
    assert app.module.ROWS[-1]["api_key"]["id"] == "k_9"
    assert sorted(type(subject).asked) == ["allow_list", "name", "scopes", "uid"]


def test_an_object_that_invents_attributes_is_asked_for_declared_ones_only(app: Application) -> None:
    """It has whatever it is asked for, so asking must be all there is."""
    app.instrument()
    key = inventor()
    row = app.row(key)
    assert (row["id"], row["name"], row["scopes"]) == ("invented id", "invented name", ["invented scopes"])
    assert type(key).asked == list(FIELDS)


def test_a_mapping_is_asked_for_declared_items_only(app: Application) -> None:
    """Token claims, for example."""
    app.instrument("?id=jti&scopes=scope|split")
    row = app.row({"jti": "t_1", "scope": "a b", "sub": "s3cret", "name": "n"})
    assert (row["id"], row["name"], row["scopes"]) == ("t_1", "n", ["a", "b"])
    assert "s3cret" not in str(row)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error()).__name__)
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_raises_costs_only_itself(
    app: Application, field: str, error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """It is unknown, counted once and logged without its text; without an id there is no key."""
    app.instrument()

    class Key:
        id, name, scopes, allow_list = "k_1", "ci-bot", ["a"], ["b"]

    def fail(_: object) -> None:
        raise error()

    setattr(Key, field, property(fail))
    row = app.row(Key())
    if field == "id":
        assert row is None
    else:
        assert set(FIELDS) - set(row) == {field}
    kind = type(error())
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    assert app.keyaudit.degraded() == {("authentication", name): 1}
    assert "s3cret" not in caplog.text
    assert len([record for record in caplog.records if record.name.startswith("otel_keyaudit")]) == 1


@pytest.mark.parametrize(
    "value", [object(), 1.5, True, b"k", {"a": 1}, [["a"]], [None], [object()], range(2), iter("ab")]
)
def test_a_field_of_another_kind_is_unknown_and_never_shown(app: Application, value: object) -> None:
    """No ``repr`` of anything gets into a row."""
    app.instrument("?scopes=wanted&allow_list=listed")

    class Key:
        id, name, wanted, listed = "k_1", value, value, ["ok"]

    row = app.row(Key())
    assert (row["id"], "name" in row, row["allow_list"]) == ("k_1", False, ["ok"])
    if value == range(2):
        assert row["scopes"] == ["0", "1"]
    else:
        assert "scopes" not in row
    assert sum(app.keyaudit.degraded().values()) == 1
