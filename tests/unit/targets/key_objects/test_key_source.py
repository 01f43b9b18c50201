"""The known fields of a class of keys are read by their own expressions, and its secrets never."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit import AuthTarget, ConfigurationError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_source import MAX_CLASSES, KeySource
from otel_keyaudit.targets.key_objects.key_types import KeyType, KeyTypes
from support.applications.stored_keys import not_expected
from support.calls.arguments import write


class Token:
    pk = id = "secret"
    key = "other secret"
    user = SimpleNamespace(id=7, name="ann")
    grants = None


class Mine(Token):
    pass


TOKEN = KeyType(
    hidden=("pk", "id"), id="key|sha256:16", owner="user.id", scopes="grants.names", name=lambda key: key.user.name
)
NAME = f"{__name__}:{Token.__qualname__}"


def fields(**written: Any) -> KeySource:
    """Return the fields of a target, where the class is known."""
    sources = {name: AuthTarget("shop:verify", **{name: text}).sources[name] for name, text in written.items()}
    defaults = AuthTarget("shop:verify", name="name ?? token_name").sources
    return KeySource({**defaults, **sources}, sources.keys(), KeyTypes({NAME: TOKEN}.get), deferred=False)


def call() -> Call:
    """Return a call that a key object came from."""
    return Call(Binding(write), ("create",), {})


def read(found: Any) -> dict[str, Any]:
    """Return the fields of a token."""
    return {name: field.read(call(), Mine()) for name, field in found.items()}


def test_a_class_is_read_as_it_is_known() -> None:
    """Known fields are read by expressions or functions, and an expression may find nothing."""
    assert read(fields().fields(Mine)) == {"id": read(TOKEN.fields)["id"], "owner": 7, "scopes": None, "name": "ann"}
    assert len(read(TOKEN.fields)["id"]) == 16


def test_a_class_that_is_not_known_is_read_by_the_defaults() -> None:
    """Another class of the same name is not known."""
    stranger = type("Token", (), {"__module__": "elsewhere"})
    assert fields().fields(stranger).keys() == {"name"}
    assert KeyTypes().of(Token) is None


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("pk", False),
        ("id", False),
        ("id | str", False),
        ("['pk']", False),
        ("pk()", False),
        ("return.pk", False),
        ("name ?? pk", False),
        ("pk ?? name", False),
        ("pk | sha256:8", True),
        ("pk | tail:4", True),
        ("user.id", True),
        ("user", True),
        ("name ?? pk | sha256:8", True),
        (str, True),
    ],
)
def test_a_member_that_holds_a_secret_is_not_read(text: Any, is_read: bool) -> None:
    """No expression reads the secret unless it is hashed; deeper members of that name are allowed."""
    assert (fields(owner=text).fields(Mine)["owner"] is TOKEN.fields["owner"]) is not is_read


def test_a_subject_is_read_by_the_fields_of_its_object() -> None:
    """A subject was not returned by the target, so only fields that start at the object are read."""
    learned = fields(owner="user.name", scopes="args.action", name="user.id")
    reader = fields(name="user.name").reader_for(Mine, learned)
    assert reader is not fields().reader_for(Mine)
    snapshot = reader.read(call(), Mine(), not_expected)
    assert snapshot is not None
    assert (snapshot.owner, snapshot.scopes, snapshot.name) == ("ann", None, "ann")


def test_a_learned_reader_is_made_once() -> None:
    """The reader belongs to the class and to the target that learned it."""
    source, one, other = fields(), fields(owner="user.name"), fields(owner="user.id")
    assert source.reader_for(Mine, one) is source.reader_for(Mine, one)
    assert source.reader_for(Mine, one) is not source.reader_for(Mine, other)
    assert source.reader_for(Mine) is source.reader_for(Mine)


def test_a_type_cannot_be_told_to_write_a_secret() -> None:
    """Expressions of a key type are checked as those of a target."""
    with pytest.raises(ConfigurationError, match="key"):
        KeyType(id="key")


def test_a_function_of_a_library_that_comes_later_may_be_named() -> None:
    """A type exists before its library, while functions of a target must exist unless they may come later."""
    assert KeyType(owner="keyaudit_no_such.keys:owner_of").fields.keys() == {"owner"}
    sources = AuthTarget("shop:verify", id="keyaudit_no_such.keys:id_of").sources
    assert KeySource(sources, {"id"}, KeyTypes(), deferred=True).fields(Token).keys() == {"id"}
    with pytest.raises(ConfigurationError, match="there is no package 'keyaudit_no_such'"):
        KeySource(sources, {"id"}, KeyTypes(), deferred=False)


def test_a_name_that_is_missing_is_an_error_for_the_id_alone() -> None:
    """Other missing fields are optional for such a key."""
    assert read(KeyType(owner="nothing").fields) == {"owner": None}
    with pytest.raises(ValueError, match="has no 'nothing'"):
        read(KeyType(id="nothing").fields)


def test_only_so_many_classes_are_known_at_a_time() -> None:
    """Each class has one reader while it is known."""
    known = fields()
    classes = [type(f"Token{number}", (Token,), {}) for number in range(MAX_CLASSES)]
    readers = [known.reader_for(kind) for kind in classes]
    assert [known.reader_for(kind) for kind in classes] == readers
    assert len({id(one) for one in readers}) == MAX_CLASSES
    for number in range(MAX_CLASSES):
        known.reader_for(type(f"Later{number}", (Token,), {}))
    assert known.reader_for(classes[0]) is not readers[0]


def test_classes_that_are_in_use() -> None:
    """A class and its subclasses are in use."""
    types = KeyTypes(in_use=[NAME])
    assert [types.is_in_use(kind) for kind in (Token, Mine, object)] == [True, True, False]


# The line about defaults that do not fit.

NOTICES = "otel_keyaudit"


class Custom:
    region = "eu"

    def __init__(self, **attributes: Any) -> None:
        self.id = "k_1"
        self.label, self.permissions, self.allowed_projects, self._secret = "ci", ["a"], ["p"], "s3cret"
        vars(self).update(attributes)

    @property
    def computed(self) -> str:
        raise RuntimeError("s3cret")

    def method(self) -> None: ...


def notices(caplog: pytest.LogCaptureFixture, key: Any, times: int = 2, **written: Any) -> list[str]:
    """Read a key with the defaults; return the lines that were logged."""
    target = AuthTarget("shop:verify", **written)
    source = KeySource(target.key_sources(), target.sources, KeyTypes(), deferred=False, target="shop:verify")
    with caplog.at_level("INFO", NOTICES):
        for _ in range(times):
            source.reader_for(type(key)).read(call(), key, lambda *_: None)
    assert {record.levelname for record in caplog.records} <= {"INFO"}
    return [record.getMessage() for record in caplog.records]


def test_defaults_that_are_not_found_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """The line has the public attributes and no value."""
    (line,) = notices(caplog, Custom())
    assert line.startswith("keyaudit: shop:verify: Custom has no name, scopes, allow_list")
    assert line.endswith("Custom has allowed_projects, computed, id, label, permissions, region")
    assert "s3cret" not in line


def test_defaults_of_a_mapping_are_named_by_its_items(caplog: pytest.LogCaptureFixture) -> None:
    """Item names that are not identifiers may be values and are left out."""
    (line,) = notices(caplog, {"id": "k_1", "scope": "a", "alice@example.com": 1, "_hidden": 1, 5: 1})
    assert "dict has no name, scopes, allow_list" in line
    assert line.endswith("dict has id, scope")


def test_a_missing_id_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    """Without an id there is no snapshot, and the line gives the reason."""
    (line,) = notices(caplog, type("Bare", (), {"uid": "k_1", "name": "n", "scopes": [], "allow_list": []})())
    assert "Bare has no id" in line
    assert line.endswith("Bare has allow_list, name, scopes, uid")


@pytest.mark.parametrize("present", [{"name": None}, {"token_name": "n"}])
def test_defaults_that_are_there_are_not_named(caplog: pytest.LogCaptureFixture, present: dict[str, Any]) -> None:
    """``None`` is a value, and one of two names is enough."""
    (line,) = notices(caplog, Custom(**present), scopes="permissions")
    assert "has no allow_list, so" in line


def test_nothing_is_logged_if_every_default_fits(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged either if the target names the other fields."""
    assert notices(caplog, Custom(name="n", scopes=["a"], allow_list=None)) == []
    assert notices(caplog, Custom(name="n"), scopes="permissions", allow_list="allowed_projects") == []


@pytest.mark.parametrize(
    ("scopes", "source", "advice"),
    [
        ("a:read b:read", None, "scopes=scopes|split "),
        ("a:read, b:read", None, "scopes=scopes|split:%2C "),
        ("a:read,b:read", "permissions", "scopes=permissions|split:%2C "),
        (["a:read\tb:read"], None, "scopes=scopes|split "),
    ],
)
def test_several_scopes_in_one_string_are_named_with_the_filter(
    caplog: pytest.LogCaptureFixture, scopes: Any, source: str | None, advice: str
) -> None:
    """The scopes and missing defaults are in one line."""
    key = Custom(name="n", allow_list=[], scopes=scopes, permissions=scopes)
    options: dict[str, Any] = {} if source is None else {"scopes": source}
    (line,) = notices(caplog, key, **options)
    assert line.startswith("keyaudit: shop:verify: its scopes are one string that contains several; write ")
    assert advice in line
    assert "a:read" not in line


def test_both_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The user reads one line."""
    (line,) = notices(caplog, Custom(name="n", scopes="a b"))
    assert "has no allow_list" in line
    assert "|split" in line


@pytest.mark.parametrize("scopes", ["a:read", [], ["a b", "c"], None])
def test_a_single_scope_needs_no_filter(caplog: pytest.LogCaptureFixture, scopes: Any) -> None:
    """A single scope in a string is not a list."""
    assert notices(caplog, Custom(name="n", allow_list=[], scopes=scopes)) == []


def test_the_line_waits_for_a_key_that_needs_it(caplog: pytest.LogCaptureFixture) -> None:
    """The line comes with the first key that has several scopes."""
    source = KeySource(AuthTarget("m:f").key_sources(), (), KeyTypes(), deferred=False, target="m:f")
    with caplog.at_level("INFO", NOTICES):
        for scopes in ("a", "a b", "c d"):
            key = Custom(name="n", allow_list=[], scopes=scopes)
            source.reader_for(Custom).read(call(), key, lambda *_: None)
    assert len(caplog.records) == 1


def test_the_key_types_of_presets_are_no_defaults(caplog: pytest.LogCaptureFixture) -> None:
    """A preset knows the fields of its keys."""
    with caplog.at_level("INFO", NOTICES):
        fields().reader_for(Mine).read(call(), Mine(), lambda *_: None)
    assert not caplog.records


def test_names_of_a_class_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """The names in the line are escaped."""
    kind = type("Key\nWARNING:root:admin", (), {"id": "k_1"})
    kind.__qualname__ = kind.__name__
    (line,) = notices(caplog, kind())
    assert line.isprintable()
