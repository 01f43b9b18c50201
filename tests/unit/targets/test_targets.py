"""Target strings and their typed forms: what they say, and which of them are wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import AuditTarget, AuthTarget, ConfigurationError
from otel_keyaudit.targets.expression import Expression, FunctionReference
from otel_keyaudit.targets.target import Source, Target, parse_target


def text_of(source: Source) -> str:
    """Return an expression or a reference as written."""
    assert isinstance(source, (Expression, FunctionReference))
    return source.text


def texts(target: Target) -> dict[str, str]:
    """Return the given sources of a target as written."""
    return {name: text_of(source) for name, source in target.sources.items()}


def test_parts_of_a_target() -> None:
    """A target is a module, a name inside it, and fields."""
    target = parse_target(AuditTarget, " shop.audit:AuditLog.write?fields=args.extra&action=args.event.verb ")
    assert (target.kind, target.module, target.qualified_name) == ("audit", "shop.audit", "AuditLog.write")
    assert texts(target) == {"fields": "args.extra", "action": "args.event.verb"}
    assert target.written == "shop.audit:AuditLog.write?fields=args.extra&action=args.event.verb"
    assert repr(target) == f"AuditTarget({target.written!r})"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("return.a %3F%3f return.b", "return.a ?? return.b"),
        ("return.a ?? return.b", "return.a ?? return.b"),
        ("return.a|if:x%2Cy", "return.a|if:x,y"),
        ("return.a|if:x,y", "return.a|if:x,y"),
        ("return.a|split:%2c", "return.a|split:,"),
        ("return.a|prefix:x%26y", "return.a|prefix:x&y"),
        ("return.a|prefix:100%25", "return.a|prefix:100%"),
        ("return.a|prefix:%252C", "return.a|prefix:%2C"),
        ("return.a|prefix:%20x", "return.a|prefix:%20x"),
        ("return.a|prefix:x=y", "return.a|prefix:x=y"),
    ],
)
def test_escapes(written: str, expected: str) -> None:
    """Four escapes stand for what separates targets and fields, and are replaced once; nothing else is."""
    assert texts(parse_target(AuthTarget, f"m:f?id={written}")) == {"id": expected}


@given(st.text(st.sampled_from("a%2C36F5&,?= "), max_size=12).filter(lambda text: "??" not in text))
def test_escaping_leads_back(argument: str) -> None:
    """Whatever is escaped arrives as it was."""
    escaped = "".join(
        {",": "%2C", "&": "%26", "?": "%3F", "%": "%25"}.get(character, character) for character in argument
    )
    target = parse_target(AuthTarget, f"m:f?id=a|prefix:x{escaped}x")
    assert texts(target) == {"id": f"a|prefix:x{argument}x"}


def test_typed_targets_have_no_escapes() -> None:
    """The typed form takes expressions as they are, and functions."""

    def scopes_of(call: object) -> list[str]:
        return []

    target = AuthTarget(path="m:f", id="a|prefix:%2C", scopes=scopes_of)
    assert text_of(target.sources["id"]) == "a|prefix:%2C"
    assert target.sources["scopes"] is scopes_of
    assert "scopes_of" in target.written


def test_functions_by_name() -> None:
    """``module:function`` in a field names a function of the user's."""
    target = parse_target(AuthTarget, "m:f?id=shop.keys:id_of&scopes=scopes")
    assert target.functions == {"id": "shop.keys:id_of"}


def test_defaults_of_a_key() -> None:
    """Id, name, scopes and allow list have defaults; owner and expiry are only there when they are named."""
    assert {name: text_of(source) for name, source in AuthTarget("m:f").key_sources().items()} == {
        "id": "id",
        "name": "name ?? token_name",
        "scopes": "scopes",
        "allow_list": "allow_list",
    }
    named = AuthTarget("m:f", id="prefix", owner="user.id", valid="return.ok", when="kind|is:api").key_sources()
    assert {name: text_of(source) for name, source in named.items()} == {
        "id": "prefix",
        "name": "name ?? token_name",
        "scopes": "scopes",
        "allow_list": "allow_list",
        "owner": "user.id",
    }
    subject = AuditTarget("m:f", subject="args.row", subject_id="uid", subject_expires_at="end").subject_sources()
    assert {name: text_of(source) for name, source in subject.items()} == {
        "id": "uid",
        "name": "name ?? token_name",
        "scopes": "scopes",
        "allow_list": "allow_list",
        "expires_at": "end",
    }


@pytest.mark.parametrize(
    "written", ["m:f", "m:f?id=uid|head:8&scopes=scope|split", "m:f?id=token|tail:4&when=kind|is:a*"]
)
def test_equal_targets_are_one(written: str) -> None:
    """A target that is named twice is one target, filters included."""
    assert len({parse_target(AuthTarget, written), parse_target(AuthTarget, written)}) == 1
    assert parse_target(AuthTarget, written) != parse_target(AuthTarget, "m:g")


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("key", "return.claims"), ("key", "args.request.state.key"), ("key", "self._auth"), ("key", "scope.state.key"),
        ("key", "exc.key"), ("valid", "active"), ("valid", "return.active"), ("when", "kind"),
        ("when", "args.kind|is:api*"), ("id", "jti"), ("id", "return.jti"), ("scopes", "scope|split"),
        ("expires_at", "exp|ts"), ("id", "shop.keys:id_of"),
    ],
)  # fmt: skip
def test_auth_fields(field: str, expression: str) -> None:
    """Everything but the key itself may be read from the key, or from a root."""
    assert texts(parse_target(AuthTarget, f"m:f?{field}={expression}")) == {field: expression}


@pytest.mark.parametrize(
    "query",
    [
        "fields=args.extra", "fields=args.event.details", "fields=self.meta", "fields=args.records[]", "fields=return",
        "fields=args.records[].meta", "fields=args.event['details']", "fields=args.events[0]",
        "fields=return&when=return.ok", "fields=return&subject=return.key", "when=args.kind|is:api",
        "outcome=return.status", "outcome=exc.code ?? return.status", "action=args.event.verb", "action=return.action",
        "subject=args.row", "subject=args.row&subject_id=uid&subject_scopes=grants[].name", "subject=shop.keys:key_of",
        "resource_type=self.kind", "resource_id=args.row.id|str",
    ],
)  # fmt: skip
def test_audit_fields(query: str) -> None:
    """The fields of an audit target, each in every form."""
    assert (
        "&".join(f"{name}={text}" for name, text in texts(parse_target(AuditTarget, f"m:f?{query}")).items()) == query
    )


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        *[(AuthTarget, path, "package.module:Qualified.name") for path in [
            "", "m", "m.f", "m:", ":f", "m:f:g", "m f:g", "m:f()", "1m:f", "m:f.", ".m:f", "m:f.<locals>.g", "m/f:g",
            "?id=a", "m?id=a",
        ]],
        (AuthTarget, "m:f?", "field=expression"),
        (AuthTarget, "m:f?id", "field=expression"),
        (AuthTarget, "m:f?id=a&", "field=expression"),
        (AuthTarget, "m:f?id=", "expression or a function"),
        (AuthTarget, "m:f?=a", "unknown field ''"),
        (AuthTarget, "m:f?ids=a", "known are key, id, name, scopes, allow_list, owner, expires_at, valid, when"),
        (AuthTarget, "m:f?subject=args.a", "unknown field 'subject'"),
        (AuthTarget, "m:f?id=a&id=b", "twice"),
        (AuthTarget, "m:f?id=a..b", "cannot be read from '..b' on"),
        (AuthTarget, "m:f?id=a|nope", "unknown filter 'nope'"),
        (AuthTarget, "m:f?key=claims", "must begin with return"),
        (AuthTarget, "m:f?key=return.a ?? claims", "must begin with return"),
        (AuditTarget, "m:f?key=return", "unknown field 'key'"),
        (AuditTarget, "m:f?action=verb", "must begin with return"),
        (AuditTarget, "m:f?outcome=status", "must begin with return"),
        (AuditTarget, "m:f?subject=row", "must begin with return"),
        (AuditTarget, "m:f?when=kind", "must begin with return"),
        (AuditTarget, "m:f?fields=extra", "must begin with return"),
        *[(AuditTarget, f"m:f?fields={place}", "a place that can be written") for place in [
            "return.meta", "self", "scope.state", "exc.args", "args.a|str", "args.a ?? args.b", "m:f",
            "args.a.b().c",
        ]],
        (AuditTarget, "m:f?subject_id=args.a", "need a field 'subject'"),
        (AuditTarget, "m:f?when=return.ok", "only after the write"),
        (AuditTarget, "m:f?fields=args.a&when=return.ok", "only after the write"),
        (AuditTarget, "m:f?fields=return&when=exc.code", "only after the write"),
        (AuditTarget, "m:f?when=exc.code ?? args.a", "only after the write"),
        (AuditTarget, "m:f?subject=return", "only after the write"),
        (AuditTarget, "m:f?subject=args.a&subject_id=return.id", "only after the write"),
    ],
)  # fmt: skip
def test_wrong_targets(kind: type[Target], written: str, reason: str) -> None:
    """A wrong target is one error of one line: the target as written, and what is wrong."""
    with pytest.raises(ConfigurationError) as wrong:
        parse_target(kind, written)
    assert str(wrong.value).startswith(f"target {written!r}")
    assert reason in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_errors_show_escapes_as_written() -> None:
    """The error has the target as it was given, not as it was understood."""
    with pytest.raises(ConfigurationError, match="m:f\\?id=a%2Cb"):
        parse_target(AuthTarget, "m:f?id=a%2Cb")


@pytest.mark.parametrize(
    "make",
    [
        lambda: AuthTarget(5),  # type: ignore[arg-type]
        lambda: AuthTarget(None),  # type: ignore[arg-type]
        lambda: AuthTarget("m:f", id=5),  # type: ignore[arg-type]
        lambda: AuthTarget("m:f", id=None),  # type: ignore[arg-type]
        lambda: AuthTarget("m:f", nope="a"),
        lambda: AuditTarget("m:f", fields=len),
        lambda: AuditTarget("m:f", fields=[1]),  # type: ignore[arg-type]
    ],
)
def test_wrong_typed_targets(make: Callable[[], Any]) -> None:
    """The typed forms have the same rules; ``fields`` is never a function."""
    with pytest.raises(ConfigurationError, match=r"^target "):
        make()
