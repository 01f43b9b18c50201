"""What is known of a class of keys: which fields are read how, and which of its members are never written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit import AuthTarget, ConfigurationError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_source import CLASSES, KeyFields, KeyType, KeyTypes
from support.arguments import write


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


def fields(**written: Any) -> KeyFields:
    """Return the fields of a target, where the class is known."""
    sources = {name: AuthTarget("shop:verify", **{name: text}).sources[name] for name, text in written.items()}
    defaults = AuthTarget("shop:verify", name="name ?? token_name").sources
    return KeyFields({**defaults, **sources}, sources.keys(), KeyTypes({NAME: TOKEN}.get), deferred=False)


def read(readers: Any) -> dict[str, Any]:
    """Return what readers read of a token."""
    call = Call(Binding(write), ("create",), {})
    return {name: reader(call, Mine()) for name, reader in readers.items()}


def test_a_class_is_read_as_it_is_known() -> None:
    """By expressions, of which one that leads nowhere gives nothing, and by functions that get the key."""
    assert read(fields().readers(Mine)) == {"id": read(TOKEN.readers)["id"], "owner": 7, "scopes": None, "name": "ann"}
    assert len(read(TOKEN.readers)["id"]) == 16


def test_a_class_that_is_not_known_is_read_by_the_defaults() -> None:
    """Nothing is known of it, nor of one that only has the same name elsewhere."""
    stranger = type("Token", (), {"__module__": "elsewhere"})
    assert fields().readers(stranger).keys() == {"name"}
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
    """Under whatever expression leads to it, unless it is hashed; what only has its name further down is another."""
    given = fields(owner=text).given(Mine)
    assert ("owner" in given) is is_read
    assert (fields(owner=text).readers(Mine)["owner"] is TOKEN.readers["owner"]) is not is_read


def test_what_starts_elsewhere_is_not_read_of_an_object_that_is_met_elsewhere() -> None:
    """A subject of the class was not returned by the target, so it is read by what starts at the object."""
    found = fields(owner="user.name", scopes="args.scopes").of_object(Mine)
    assert read({"owner": found["owner"]}) == {"owner": "ann"}
    assert found["scopes"] is TOKEN.readers["scopes"]


def test_a_type_cannot_be_told_to_write_a_secret() -> None:
    """Its expressions are checked as those of any target."""
    with pytest.raises(ConfigurationError, match="key"):
        KeyType(id="key")


def test_a_function_of_a_library_that_comes_later_may_be_named() -> None:
    """A type is there before its library; a target's own functions are, where the application is not there yet."""
    assert KeyType(owner="keyaudit_no_such.keys:owner_of").readers.keys() == {"owner"}
    sources = AuthTarget("shop:verify", id="keyaudit_no_such.keys:id_of").sources
    assert KeyFields(sources, {"id"}, KeyTypes(), deferred=True).readers(Token).keys() == {"id"}
    with pytest.raises(ConfigurationError, match="there is no package 'keyaudit_no_such'"):
        KeyFields(sources, {"id"}, KeyTypes(), deferred=False)


def test_a_name_that_is_missing_is_an_error_for_the_id_alone() -> None:
    """The other fields are what such a key may not have."""
    assert read(KeyType(owner="nothing").readers) == {"owner": None}
    with pytest.raises(ValueError, match="has no 'nothing'"):
        read(KeyType(id="nothing").readers)


def test_only_so_many_classes_are_known_at_a_time() -> None:
    """One reader for each, made once while it is known."""
    known = fields()
    classes = [type(f"Token{number}", (Token,), {}) for number in range(CLASSES)]
    readers = [known.of(kind) for kind in classes]
    assert [known.of(kind) for kind in classes] == readers
    assert len({id(one) for one in readers}) == CLASSES
    for number in range(CLASSES):
        known.of(type(f"Later{number}", (Token,), {}))
    assert known.of(classes[0]) is not readers[0]


def test_classes_that_are_in_use() -> None:
    """A class, and those that inherit from it."""
    types = KeyTypes(in_use=[NAME])
    assert [types.is_in_use(kind) for kind in (Token, Mine, object)] == [True, True, False]
