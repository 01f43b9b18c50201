"""Plain arguments are read at once; every other argument is left to the reader of its field."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit.key.canonical import MAX_LENGTH
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.expression import parse
from otel_keyaudit.targets.plain_arguments import PlainReader, plain_reader

CREDENTIAL = "secret-0123456789"


class Text(str):
    """A string of another class, which may show itself differently."""

    __slots__ = ()


def require(permission: str, kind: str, identity: str, *more: Any, reason: str = "") -> None:
    """Check a permission."""


BINDING = Binding(require)


def reader_of(*sources: str | None) -> PlainReader | None:
    """Return the reader for sources of the function."""
    return plain_reader([None if one is None else parse(one, emitted=True) for one in sources], BINDING)


def read(reader: PlainReader | None, *positional: Any, credentials: tuple[str, ...] = ()) -> tuple[str, ...] | None:
    """Read the arguments of a call."""
    assert reader is not None
    return reader(Call(BINDING, positional, {}), credentials)


def test_plain_arguments_are_returned_in_the_order_of_the_sources() -> None:
    """One argument is a tuple, too."""
    assert read(reader_of("args.identity", "args.permission"), "a:read", "w", "w_1") == ("w_1", "a:read")
    assert read(reader_of("args.kind"), "a:read", "w", "w_1") == ("w",)


@pytest.mark.parametrize(
    "value", [None, 1, True, b"w", ["w"], Text("w"), "wörk", "\ud800", "x" * (MAX_LENGTH + 1), CREDENTIAL]
)
def test_any_other_argument_leaves_all_to_their_readers(value: Any) -> None:
    """A value that must be converted, cut or refused is not plain, whatever the others are."""
    for position in range(2):
        arguments = ["a:read", "w"]
        arguments[position] = value
        assert read(reader_of("args.permission", "args.kind"), *arguments, "w_1", credentials=(CREDENTIAL,)) is None
    assert read(reader_of("args.permission"), "a:read", value, "w_1", credentials=(CREDENTIAL,)) == ("a:read",)


def test_a_string_of_the_greatest_length_is_plain() -> None:
    """The limit includes its own length."""
    assert read(reader_of("args.kind"), "a", "x" * MAX_LENGTH, "w_1") == ("x" * MAX_LENGTH,)


def test_a_credential_inside_a_string_is_found() -> None:
    """It may be a part of any argument."""
    reader = reader_of("args.permission", "args.kind")
    assert read(reader, "a:read", f"of {CREDENTIAL}!", "w_1", credentials=("another-0123456789", CREDENTIAL)) is None
    assert read(reader, "a:read", "w", "w_1", credentials=(CREDENTIAL,)) == ("a:read", "w")


@pytest.mark.parametrize(
    "sources",
    [
        (),
        (None,),
        ("args.permission", None),
        ("args.permission", "args.reason"),
        ("args.permission", "args.kind.name"),
        ("args.permission ?? args.kind",),
        ("args.permission|split",),
        ("return",),
        ("self.permission",),
    ],
)
def test_without_fixed_positions_there_is_no_reader(sources: tuple[str | None, ...]) -> None:
    """A keyword, a path with steps or a filter, alternatives and a result are no positional arguments."""
    assert reader_of(*sources) is None
