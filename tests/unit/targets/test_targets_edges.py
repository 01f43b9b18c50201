"""Targets as they show themselves, what belongs to a key by default, and what a refusal says, word by word."""

import functools
from typing import Any

import pytest

from otel_keyaudit import AuditTarget, AuthTarget, ConfigurationError
from otel_keyaudit.targets.expression import Expression
from otel_keyaudit.targets.target import parse_target

PLACES = (
    "field 'fields' takes a place that can be written: args.<parameter>, a member or attribute of one, "
    "args.<parameter>[], self.<attribute> or return"
)
ROOTS = "must begin with return, args.<parameter>, self, scope or exc"
FIELDS = "key, id, name, scopes, allow_list, owner, expires_at, valid, when"
IN_TIME = "allowed are args.<parameter>, self and scope, and return only with fields=return"


class Reader:
    """A function without a name."""

    def __call__(self, call: Any) -> Any:
        return call


def is_valid(call: Any) -> bool:
    """Say yes."""
    return True


@pytest.mark.parametrize(
    ("target", "written"),
    [
        (AuthTarget("m:f"), "m:f"),
        (AuthTarget("m:f", id="prefix", scopes="scope|split"), "m:f?id=prefix&scopes=scope|split"),
        (AuthTarget("m:f", valid=is_valid, name=Reader()), "m:f?valid=is_valid&name=Reader"),
        (AuditTarget("m:f", subject=functools.partial(divmod, 1)), "m:f?subject=partial"),
    ],
)
def test_a_typed_target_is_written_as_its_text_would_be(target: Any, written: str) -> None:
    """A function of the user's is shown by its name, or by its class."""
    assert target.written == written
    assert repr(target) == f"{type(target).__name__}({written!r})"


def test_equal_targets_are_one_in_a_set() -> None:
    """However they were given; one of the other kind, or with another field, is another."""
    same = {AuthTarget("m:f", id="a"), parse_target(AuthTarget, "m:f?id=a")}
    assert len(same) == 1
    assert len({AuthTarget("m:f"), AuditTarget("m:f"), AuthTarget("m:g"), AuthTarget("m:f", id="a")}) == 4
    assert hash(AuthTarget("m:f")) != hash(AuditTarget("m:f"))
    assert hash(AuthTarget("m:f")) != hash(AuthTarget("m:g"))


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        (AuditTarget, "m:f?subject_id=a", "subject_... fields need a field 'subject'"),
        (AuditTarget, "m:f?fields=args.a|str", f"{PLACES}, not 'args.a|str'"),
        (AuditTarget, "m:f?fields=m:g", f"{PLACES}, not 'm:g'"),
        (AuditTarget, "m:f?action=exc&subject=exc", f"field 'subject': 'exc' is known only after the write; {IN_TIME}"),
        (AuditTarget, "m:f?resource_type=kind", f"field 'resource_type': 'kind' {ROOTS}"),
        (AuditTarget, "m:f?resource_id=kind", f"field 'resource_id': 'kind' {ROOTS}"),
        (AuditTarget, "m:f?action=kind", f"field 'action': 'kind' {ROOTS}"),
        (AuditTarget, "m:f?outcome=kind", f"field 'outcome': 'kind' {ROOTS}"),
        (AuditTarget, "m:f?when=kind", f"field 'when': 'kind' {ROOTS}"),
        (AuthTarget, "m:f?key=kind", f"field 'key': 'kind' {ROOTS}"),
        (AuthTarget, "m:f?fields=a", f"unknown field 'fields'; known are {FIELDS}"),
        (AuthTarget, "m:f?id=", "field 'id' takes an expression or a function, not ''"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_explained(kind: Any, written: str, reason: str) -> None:
    """The target as written, the field, and what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        parse_target(kind, written)
    assert str(wrong.value) == f"target {written!r}: {reason}"


def test_a_place_must_be_a_path() -> None:
    """A function can say where nothing is; it is shown by its name."""
    with pytest.raises(ConfigurationError) as wrong:
        AuditTarget("m:f", fields=is_valid)
    assert str(wrong.value) == f"target 'm:f?fields=is_valid': {PLACES}, not {is_valid!r}"


@pytest.mark.parametrize("target", [AuthTarget("m:f"), AuditTarget("m:f", subject="args.key")])
def test_what_a_key_may_lack(target: Any) -> None:
    """Of the default fields only the id must be there."""
    sources = target.key_sources() if isinstance(target, AuthTarget) else target.subject_sources()
    lenient = {name: source.lenient for name, source in sources.items() if isinstance(source, Expression)}
    assert lenient == {"id": False, "name": True, "scopes": True, "allow_list": True}


@pytest.mark.parametrize("field", ["key", "valid", "when"])
def test_what_is_not_written_out_may_be_a_secret(field: str) -> None:
    """Whether a token is valid may be read from the token; any other field would show it."""
    path = "return.token"
    assert isinstance(AuthTarget("m:f", **{field: path}).sources[field], Expression)
    with pytest.raises(ConfigurationError, match="which holds a secret"):
        AuthTarget("m:f", name=path)
