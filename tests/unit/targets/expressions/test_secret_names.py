"""A path to a secret is refused in every position when it is compiled, unless it is hashed or cut."""

import hashlib

import pytest

from otel_keyaudit import AuditTarget, AuthTarget, ConfigurationError
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.targets.base_target import parse_target
from otel_keyaudit.targets.expressions.expression import Expression, parse

SECRETS = [
    "key", "apikey", "xapikey", "rawkey", "fullkey", "accesskey", "keysecret", "keyhash", "hashedkey", "lookuphash",
    "keyvalue", "token", "rawtoken", "authtoken", "accesstoken", "refreshtoken", "idtoken", "apitoken", "sessiontoken",
    "tokenhash", "hashedtoken", "bearer", "pat", "jwt", "secret", "clientsecret", "apisecret", "secretkey",
    "secretaccesskey", "privatekey", "secrethash", "hashedsecret", "password", "passwd", "pwd", "passwordhash",
    "passphrase", "plaintext", "digest", "hmacdigest", "signature", "credential", "credentials", "authorization",
    "cookie", "api_key", "access_token", "id_token", "keyHash", "apiToken", "X_Api_Key", "sessionToken", "_token",
]  # fmt: skip
"""The list of the documentation, and some of its names in other spellings."""

KEY_FIELDS = ["id", "name", "scopes", "allow_list", "owner", "expires_at"]
EMITTED_OF_AUTH = [*KEY_FIELDS, "on_behalf_of", "actors"]
EMITTED_OF_AUDIT = [
    "action",
    "resource_type",
    "resource_id",
    "outcome",
    *(f"subject_{name}" for name in KEY_FIELDS),
]


def is_refused(text: str) -> bool:
    """Say whether an expression whose value is written out is refused."""
    try:
        parse(text, emitted=True)
    except ConfigurationError as error:
        assert "secret" in str(error)  # noqa: PT017 - the reason matters, not only the refusal
        return True
    return False


@pytest.mark.parametrize(
    "path",
    [
        "{}", "args.{}", "return.{}", "self._{}", "return.a.{}", "return['{}']", 'return["{}"]', "return.{}.strip()",
        "return.{}.strip().lower()", "return.{}()", "return[0].{}", "return.{}[0]", "return.items[].{}", "return.{}[]",
        "scope.headers['{}']", "args.{}.strip()", "return.a ?? return.{}", "return.{} ?? return.a", "exc.{}",
        "return.{}|head:4", "return.{}|str|sha256", "return.{}|tail:5", "return.{}|split|tail:4", "return.{}|prefix:x",
        "return.{}|if:a,b", "return.items[].{}|tail:4", "return.__{}", "closure.{}", "return.{}.value", "{}['value']",
        "return.{}.raw", "{}.get_secret_value()", "{}.getSecretValue()", "{}.expose()", "{}.expose_secret()", "{}[-1]",
        "{}.reveal()", "{}.decode()", "{}.hex()", "{}.value.value", "{}['x'][0]", "{}.strip().value", "args.{}['x']",
        "{}[].value", "{}.value|head:4", "{}.split()[1]",
    ],
)  # fmt: skip
def test_refused(path: str) -> None:
    """A secret is the last attribute, item or parameter of such a name, also with methods called on it."""
    assert [name for name in SECRETS if not is_refused(path.format(name))] == []
    assert [name for name in SECRETS if not is_refused(path.format(name.upper()))] == []


@pytest.mark.parametrize(
    "path",
    [
        "{}.id", "return.{}.prefix", "return['{}'].name", "return.{}_id", "return.my_{}", "return.{}|sha256",
        "return.{}|sha256:12|prefix:x", "return.{} | tail:4", "return.{}|tail:1", "return.{}[]|sha256",
        "{}.value.id", "{}['x'].id", "{}.value|sha256", "{}['x']|tail:4", "my.value", "value", "args.{}|sha256",
        "return.items[].{}|sha256:8", "return.{}.strip()|tail:4",
    ],
)  # fmt: skip
def test_allowed(path: str) -> None:
    """Members of such an object, longer names, and hashed or cut values are not secrets."""
    assert [name for name in SECRETS if is_refused(path.format(name))] == []


@pytest.mark.parametrize(("kind", "field"), [
    *((AuthTarget, field) for field in EMITTED_OF_AUTH), *((AuditTarget, field) for field in EMITTED_OF_AUDIT),
])  # fmt: skip
def test_every_emitted_field_is_checked(kind: type[AuthTarget] | type[AuditTarget], field: str) -> None:
    """The error names target, field and allowed values for every recorded field."""
    subject = "subject=args.row&" if field.startswith("subject_") else ""
    written = f"m:f?{subject}{field}=args.token"
    with pytest.raises(ConfigurationError) as wrong:
        parse_target(kind, written)
    for part in (repr(written), repr(field), "'args.token'", "'token'", "sha256"):
        assert part in str(wrong.value)


@pytest.mark.parametrize("name", ["token", "Token.value", "state.api_key", "state.accessToken"])
def test_references_to_secrets_are_refused(name: str) -> None:
    """The object can be the value, so its last name counts as in a path."""
    with pytest.raises(ConfigurationError, match="holds a secret; name a function"):
        AuthTarget("m:f", id=f"flask:{name}")
    assert AuthTarget("m:f", id="flask:token.id", key=f"flask:{name}").sources


@pytest.mark.parametrize("name", ["X-Api-Key", "access-token", "Session-Token"])
def test_hyphens_make_no_difference(name: str) -> None:
    """Names of headers are spelled with hyphens."""
    assert is_refused(f"return.headers['{name}']")
    assert not is_refused(f"return.headers['{name}-Id']")


def test_fields_that_are_not_written_out_may_lead_to_secrets() -> None:
    """A field that is only read can lead anywhere, because key objects are often called ``key`` or ``token``."""
    AuthTarget("m:f", key="return.token", valid="token", when="args.api_key")
    AuditTarget("m:f", fields="args.secret", subject="args.api_key", when="args.token")


def read(text: str, value: object) -> object:
    """Read an expression whose value is written out."""
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    return expression.read(lambda path: {"token": value})


def test_secret_is_recorded_as_hash_or_tail() -> None:
    """Only a hash of any length or the last four characters are recorded."""
    assert read("token|sha256", "s3cret-abcd") == hashlib.sha256(b"s3cret-abcd").hexdigest()[:16]
    assert read("token|tail:4", "s3cret-abcd") == "abcd"
    assert read("token|tail:4", b"s3cret-abcd") == "abcd"
    assert read("token|tail:4|prefix:...", "s3cret-abcd") == "...abcd"


def test_lists_of_secrets() -> None:
    """The tail of a list is refused when it is read, and each element can be hashed."""
    for secrets in (["s3cret-1", "s3cret-2"], ("s3cret-1",), {"s3cret-1"}, {"a": "s3cret-1"}):
        with pytest.raises(UnreadableError) as refused:
            read("token|tail:4", secrets)
        assert "s3cret" not in str(refused.value)
    assert read("token|sha256:8", ["s3cret-1"]) == [hashlib.sha256(b"s3cret-1").hexdigest()[:8]]


def test_names_of_the_documentation() -> None:
    """The list is exactly that of the documentation."""
    others = [
        "id",
        "prefix",
        "name",
        "keys",
        "tokens",
        "secrets",
        "hash",
        "key_id",
        "token_type",
        "public_key",
        "monkey",
        "value",
        "raw",
        "patience",
    ]
    assert all(is_refused(name) for name in SECRETS)
    assert not any(is_refused(name) for name in others)
