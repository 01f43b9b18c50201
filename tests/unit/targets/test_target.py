"""Targets have fields of every kind, rules about several fields, and messages for wrong ones."""

import copy
import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import AuditTarget, AuthTarget, ConfigurationError
from otel_keyaudit.targets.base_target import Target, parse_target
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference, Path, Source
from otel_keyaudit.targets.expressions.steps import Step
from otel_keyaudit.targets.target import DEFAULT_PLACE, AuthzTarget, SubjectTarget


def text_of(source: Source) -> str:
    """Return an expression or a reference as written."""
    assert isinstance(source, (Expression, ObjectReference))
    return source.text


def texts(target: Target) -> dict[str, str]:
    """Return the configured sources of a target as written."""
    return {name: text_of(source) for name, source in target.sources.items()}


def test_parts_of_a_target() -> None:
    """A target is a module, a name inside it, and fields."""
    target = parse_target(AuditTarget, " shop.audit:AuditLog.write?fields=args.extra&action=args.event.verb ")
    assert (target.kind, target.module, target.qualified_name) == ("audit", "shop.audit", "AuditLog.write")
    assert texts(target) == {"action": "args.event.verb"}
    assert target.fields_place == Path("args", "extra", ())
    assert target.target_string == "shop.audit:AuditLog.write?fields=args.extra&action=args.event.verb"
    assert repr(target) == f"AuditTarget({target.target_string!r})"


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("a|split:%7C", "x|y", ["x", "y"]),
        ("a|split:%2c", "x,y", ["x", "y"]),
        ("a|split:%20", "x y", ["x", "y"]),
        ("a|split:%3B", "x;y", ["x", "y"]),
        ("a|if:x%2Cy", False, "y"),
        ("a|if:x,y", False, "y"),
        ("a|prefix:x%26y", "z", "x&yz"),
        ("a|prefix:100%25", "z", "100%z"),
        ("a|prefix:%252C", "z", "%2Cz"),
        ("a|prefix:%3F%3F", "z", "??z"),
        ("a|prefix:%20x", "z", " xz"),
        ("a|prefix:%C3%A9", "z", "éz"),
        ("a|prefix:x=y", "z", "x=yz"),
        ("a|is:%2Az", "xz", True),
    ],
)
@pytest.mark.parametrize(
    "make", [lambda text: parse_target(AuthTarget, f"m:f?id={text}"), lambda text: AuthTarget("m:f", id=text)]
)
def test_percent_encoding(make: Any, written: str, value: object, expected: object) -> None:
    """Every ``%XX`` is decoded once, after the parts are split, in target strings and typed targets alike."""
    source = make(written).sources["id"]
    assert source.read(lambda path: {"a": value}) == expected


def test_percent_encoding_in_names() -> None:
    """Members, items, parameters and the path can contain any character."""
    target = parse_target(AuthTarget, "m:f.%3Clocals%3E.g?id=https%3A%2F%2Fshop%2Fid&name=a['x%26y']&key=args.%6Bey")
    assert target.path == "m:f.<locals>.g"
    assert target.sources["id"].read(lambda path: {"https://shop/id": 1}) == 1  # type: ignore[union-attr]
    assert target.sources["name"].read(lambda path: {"a": {"x&y": 2}}) == 2  # type: ignore[union-attr]
    assert target.sources["key"].paths[0].parameter == "key"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "written", ["a|prefix:100%", "a|prefix:%2", "a|prefix:%zz", "a%", "%", "a['%']", "a|prefix:%FF"]
)
def test_wrong_percent_encoding(written: str) -> None:
    """Any other ``%`` is an error that says how to write one."""
    with pytest.raises(ConfigurationError, match=r"write %25 instead|is not UTF-8"):
        parse_target(AuthTarget, f"m:f?id={written}")
    with pytest.raises(ConfigurationError, match=r"write %25 instead|is not UTF-8"):
        AuthTarget("m:f", id=written)


@pytest.mark.parametrize("written", ["to%6Ben", "return['to%6Ben']", "args.to%6Ben"])
def test_percent_encoding_hides_no_secret(written: str) -> None:
    """Names are compared after they are decoded."""
    with pytest.raises(ConfigurationError, match="holds a secret"):
        parse_target(AuthTarget, f"m:f?id={written}")


@given(st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text))
def test_any_argument_can_be_written(argument: str) -> None:
    """An encoded string is read as it was."""
    source = parse_target(AuthTarget, f"m:f?id=a|prefix:{quote(argument, safe='')}").sources["id"]
    assert source.read(lambda path: {"a": "z"}) == f"{argument}z"  # type: ignore[union-attr]


def test_typed_targets_take_functions() -> None:
    """A function is shown by its name."""

    def scopes_of(call: object) -> list[str]:
        return []

    target = AuthTarget(path="m:f", scopes=scopes_of)
    assert target.sources["scopes"] is scopes_of
    assert "scopes_of" in target.target_string


def test_functions_by_name() -> None:
    """``module:function`` in a field names a function of the user."""
    target = parse_target(AuthTarget, "m:f?id=shop.keys:id_of&scopes=scopes")
    assert target.functions == {"id": "shop.keys:id_of"}


def test_defaults_of_a_key() -> None:
    """Id, name, scopes and allow list have defaults; owner and expiry must be named."""
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
def test_a_deep_copy_is_the_target_itself(written: str) -> None:
    """Frameworks copy their settings, and nothing of a target can change."""
    target = parse_target(AuthTarget, written)
    assert copy.deepcopy([target])[0] is target


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
        "fields=return&when=return.ok", "fields=return.details&subject=return.key", "when=args.kind|is:api",
        "outcome=return.status", "outcome=exc.code ?? return.status", "action=args.event.verb", "action=return.action",
        "subject=args.row", "subject=args.row&subject_id=uid&subject_scopes=grants[].name", "subject=shop.keys:key_of",
        "subject=args.row&subject_before=args.old", "resource_type=self.kind", "resource_id=args.row.id|str",
        "fields=none&action=closure.verb",
    ],
)  # fmt: skip
def test_audit_fields(query: str) -> None:
    """The fields of an audit target take each form."""
    found = texts(parse_target(AuditTarget, f"m:f?{query}"))
    assert "&".join(f"{name}={text}" for name, text in found.items()) in query
    assert found


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("args.extra", Path("args", "extra", ())),
        ("args.event.details", Path("args", "event", (Step("name", "details"),))),
        ("args.event['details']", Path("args", "event", (Step("item", "details"),))),
        ("args.events[0]", Path("args", "events", (Step("index", 0),))),
        ("args.records[].meta", Path("args", "records", (Step("each"), Step("name", "meta")))),
        ("self.meta", Path("self", None, (Step("name", "meta"),))),
        ("return.details", Path("return", None, (Step("name", "details"),))),
    ],
)
@pytest.mark.parametrize("field", ["fields", "id_to", "name_to", "digest_to", "trace_id_to"])
def test_places(field: str, text: str, path: Path) -> None:
    """Every place has the same forms."""
    target = parse_target(AuditTarget, f"m:f?{field}={text}")
    assert target.places == {field: path}
    assert target.fields_place == (path if field == "fields" else DEFAULT_PLACE)
    assert target.builds_fields is (field == "fields" and path.root == "return")


def test_a_function_may_return_the_fields() -> None:
    """No other place can be the whole result."""
    target = AuditTarget("m:f", fields="return")
    assert target.fields_place == Path("return", None, ())
    assert target.builds_fields
    for field in ("id_to", "name_to", "digest_to", "trace_id_to"):
        with pytest.raises(ConfigurationError, match=rf"field '{field}' takes a place .* or a member of return, not"):
            AuditTarget("m:f", **{field: "return"})


def test_a_row_may_have_no_fields() -> None:
    """Such a write is shown on spans and counted, and flat columns may still receive values."""
    target = AuditTarget("m:f", fields=" none ", id_to="args.row.key_id")
    assert (target.fields_place, target.builds_fields, list(target.places)) == (None, False, ["id_to"])
    for other in ("None", "nothing", "none.x"):
        with pytest.raises(ConfigurationError):
            AuditTarget("m:f", fields=other)


@pytest.mark.parametrize(
    ("kind", "field", "words"),
    [(AuditTarget, "fields_as", ["text", "bytes", "dict"]), (AuthTarget, "role", ["key", "actor"])],
)
def test_fields_that_take_a_word(kind: Any, field: str, words: list[str]) -> None:
    """Some fields take a word, and any other is answered with the nearest."""
    assert [kind("m:f", **{field: f" {word} "}).choices for word in words] == [{field: word} for word in words]
    with pytest.raises(ConfigurationError, match=f"allowed are {', '.join(words)}; did you mean '{words[1]}'"):
        kind("m:f", **{field: words[1] + "s"})
    for value in (len, 5, "", None):
        with pytest.raises(ConfigurationError, match=f"field '{field}' has the value"):
            kind("m:f", **{field: value})


def test_role_of_a_key() -> None:
    """A gateway's key acts for another one."""
    assert [AuthTarget("m:f", **fields).is_actor for fields in ({}, {"role": "key"}, {"role": "actor"})] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("field", AuthzTarget.fields)
def test_authz_fields(field: str) -> None:
    """Each field begins with a root, because there is no key object, and recorded ones must be public."""
    for text in ("args.a", "return.a", "self.a", "exc.a", "scope.a", "closure.a", "m:g"):
        assert texts(AuthzTarget("m:f", **{field: text})) == {field: text}
    with pytest.raises(ConfigurationError, match="must begin with"):
        AuthzTarget("m:f", **{field: "a"})
    if field in ("any_of", "granted", "denied", "when"):
        assert AuthzTarget("m:f", **{field: "args.token"}).sources
    else:
        with pytest.raises(ConfigurationError, match="holds a secret"):
            AuthzTarget("m:f", **{field: "args.token"})


def test_subject_fields() -> None:
    """The fields are those of a key, without outcome and delegation."""
    target = SubjectTarget("m:f", key="return.row", id="uid", when="kind")
    assert target.key_sources().keys() == {"id", "name", "scopes", "allow_list"}
    for field in ("valid", "on_behalf_of", "actors", "role"):
        with pytest.raises(ConfigurationError, match=f"unknown field '{field}'"):
            SubjectTarget("m:f", **{field: "a"})


def test_free_variables() -> None:
    """Free variables are checked against the function, because an unknown one can never be read."""
    target = AuthzTarget("m:f.<locals>.g", required="closure.scopes ?? args.scopes", when="closure.is_on")
    assert target.free_variables == {"scopes", "is_on"}
    assert AuthTarget("m:f", id="a").free_variables == frozenset()


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        *[(AuthTarget, path, "package.module:Qualified.name") for path in [
            "", "m", "m.f", "m:", ":f", "m:f:g", "m f:g", "m:f()", "1m:f", "m:f.", ".m:f", "m:f.<locals>",
            "m:f.<lambda>", "m:<lambda>",
            "m:<locals>.g", "m.<locals>:g", "m:f.<local>.g", "m/f:g", "?id=a", "m?id=a",
        ]],
        (AuthTarget, "m:f?", "field=expression"),
        (AuthTarget, "m:f?id", "field=expression"),
        (AuthTarget, "m:f?id=a&", "field=expression"),
        (AuthTarget, "m:f?id=", "expression or a function"),
        (AuthTarget, "m:f?=a", "unknown field ''"),
        (AuthTarget, "m:f?ids=a", "known are key, id, name, scopes"),
        (AuthTarget, "m:f?subject=args.a", "unknown field 'subject'"),
        (AuthTarget, "m:f?id=a&id=b", "field 'id' is given twice"),
        (AuthTarget, "m:f?id=a..b", "cannot be read from '..b' on"),
        (AuthTarget, "m:f?id=a|nope", "unknown filter 'nope'"),
        (AuthTarget, "m:f?key=claims", "must begin with return"),
        (AuthTarget, "m:f?key=return.a ?? claims", "must begin with return"),
        (AuditTarget, "m:f?key=return", "unknown field 'key'"),
        (AuditTarget, "m:f?action=verb", "must begin with return"),
        (AuditTarget, "m:f?outcome=status", "must begin with return"),
        (AuditTarget, "m:f?subject=row", "must begin with return"),
        (AuditTarget, "m:f?when=kind", "must begin with return"),
        (AuditTarget, "m:f?fields=extra", "a place that can be written"),
        *[(AuditTarget, f"m:f?fields={place}", "a place that can be written") for place in [
            "return.meta()", "self", "closure.extra", "scope.state", "exc.args", "args.a|str", "args.a ?? args.b",
            "m:f",
            "args.a.b().c",
        ]],
        (AuditTarget, "m:f?subject_id=args.a", "need a field 'subject'"),
        (AuditTarget, "m:f?subject_before=args.a", "needs a field 'subject'"),
        (AuditTarget, "m:f?subject=args.a&subject_before=return", "only after the write"),
        (AuditTarget, "m:f?fields=none&fields_as=text", "no meaning with fields=none"),
        (AuditTarget, "m:f?fields=args.a&fields=args.b", "is given twice"),
        (AuditTarget, "m:f?fields_to=args.a", "did you mean 'fields'?"),
        (AuthTarget, "m:f?scops=a", "did you mean 'scopes'?"),
        (AuthTarget, "m:f?key=retrun.a", "did you mean 'return'?"),
        (AuthTarget, "m:f?id=a&b", "write %26 for a '&'"),
        (AuditTarget, "m:f?when=return.ok", "only after the write"),
        (AuditTarget, "m:f?fields=args.a&when=return.ok", "only after the write"),
        (AuditTarget, "m:f?fields=return&when=exc.code", "only after the write"),
        (AuditTarget, "m:f?when=exc.code ?? args.a", "only after the write"),
        (AuditTarget, "m:f?subject=return", "only after the write"),
        (AuditTarget, "m:f?subject=args.a&subject_id=return.id", "only after the write"),
    ],
)  # fmt: skip
def test_wrong_targets(kind: type[Target], written: str, reason: str) -> None:
    """A wrong target is one line with the target as written and the reason."""
    with pytest.raises(ConfigurationError) as wrong:
        parse_target(kind, written)
    assert str(wrong.value).startswith(f"target {written!r}")
    assert reason in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("written", "near"),
    [
        *((written, "m.n:f") for written in [
            "m.n.f", "'m.n:f'", '"m.n:f"', "[m.n:f]", "m.n:f()", "m.n : f", "m.n::f", "m/n:f", "m/n.py:f",
            "\u200bm.n:f",
        ]),
        ('"m:f?id=a"', None),
        ("m:f;m:g", None),
        ("m", None),
        (":f", None),
        (5, None),
    ],
)  # fmt: skip
def test_a_path_in_another_form_gets_the_right_one(written: Any, near: str | None) -> None:
    """Quotes are a part of the value in the ``env_file`` of a container, for example."""
    with pytest.raises(ConfigurationError) as wrong:
        AuthTarget(written)
    found = str(wrong.value)
    assert found.endswith(f"package.module:Qualified.name; did you mean {near!r}?") if near else "mean" not in found


def test_errors_show_escapes_as_written() -> None:
    """The error has the target as given and not as decoded."""
    with pytest.raises(ConfigurationError, match="m:f\\?id=%2Ca%2Cb!"):
        parse_target(AuthTarget, "m:f?id=%2Ca%2Cb!")


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


PLACES = (
    "field 'fields' takes a place that can be written: args.<parameter>, a member or attribute of one, "
    "args.<parameter>[], self.<attribute>, return, a member of it, or none"
)
ROOTS = "must begin with return, args.<parameter>, self, closure.<name>, scope or exc"
FIELDS = "key, id, name, scopes, allow_list, owner, expires_at, valid, on_behalf_of, actors, role, when"
IN_TIME = "allowed are args.<parameter>, self, closure.<name> and scope, and return only with fields=return"


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
    """A function of the user is shown by its name or its class."""
    assert target.target_string == written
    assert repr(target) == f"{type(target).__name__}({written!r})"


def test_equal_targets_are_one_in_a_set() -> None:
    """Targets of another kind or with another field are different."""
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
    """The line has the target as written, the field, and the allowed values."""
    with pytest.raises(ConfigurationError) as wrong:
        parse_target(kind, written)
    assert str(wrong.value) == f"target {written!r}: {reason}"


def test_a_place_must_be_a_path() -> None:
    """A function cannot be a place; the error shows its name."""
    with pytest.raises(ConfigurationError) as wrong:
        AuditTarget("m:f", fields=is_valid)
    assert str(wrong.value) == f"target 'm:f?fields=is_valid': {PLACES}, not {is_valid!r}"


@pytest.mark.parametrize("target", [AuthTarget("m:f"), AuditTarget("m:f", subject="args.key")])
def test_default_fields_but_the_id_are_optional(target: Any) -> None:
    """Only the id of the default fields is required."""
    sources = target.key_sources() if isinstance(target, AuthTarget) else target.subject_sources()
    is_default = {name: source.is_default for name, source in sources.items() if isinstance(source, Expression)}
    assert is_default == {"id": False, "name": True, "scopes": True, "allow_list": True}


@pytest.mark.parametrize("field", ["key", "valid", "when"])
def test_fields_that_are_only_read_may_be_secrets(field: str) -> None:
    """The validity may be read from the token; any other field would show it."""
    path = "return.token"
    assert isinstance(AuthTarget("m:f", **{field: path}).sources[field], Expression)
    with pytest.raises(ConfigurationError, match="which holds a secret"):
        AuthTarget("m:f", name=path)
