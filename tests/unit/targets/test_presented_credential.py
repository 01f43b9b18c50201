"""A presented credential is written nowhere, whatever field of whatever object holds it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Client, WSGITransport
from pydantic import SecretBytes, SecretStr

from otel_keyaudit import ApiKey
from otel_keyaudit.errors import CredentialError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.presented_credential import (
    MIN_LENGTH,
    CredentialSource,
    check,
    without_credentials,
)
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.calls.arguments import given
from support.environment.modules import LoadModule

SECRET = "sk_live_0123456789abcdef"
TRIPPED = ("otel_keyaudit.errors.CredentialError", 1)

APP = """
from types import SimpleNamespace

ROWS = []

def key(**fields):
    return SimpleNamespace(**{"id": "k_1", "name": "ci-bot", "scopes": ["a:read"], "allow_list": [], **fields})

def verify(api_key, **fields):
    return key(**fields)

def check(presented, error=None, **fields):
    if error:
        raise error
    return key(**fields)

def record(action, additional_fields=None, resource_id=None):
    ROWS.append(additional_fields)

def create(action, made, additional_fields=None):
    ROWS.append(additional_fields)
"""


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> ModuleType:
    """An application in which some functions receive the credential."""
    module = load_module(APP)
    name = module.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify?owner=owner_name ?? name", f"{name}:check"],
        audit_targets=[f"{name}:record", f"{name}:create?subject=args.made&subject_id=id"],
    )
    return module


def everything(recorder: Recorder, rows: list[Any]) -> str:
    """Return all outputs as one string."""
    spans = [keyaudit_attributes(span) for span in (*recorder.spans, *recorder.audit_spans())]
    return json.dumps([rows, spans], default=str)


@pytest.mark.parametrize("value", [SECRET, f"bot with {SECRET}!", SECRET.encode().decode()])
@pytest.mark.parametrize("field", ["name", "scopes", "allow_list", "owner_name"])
def test_field_with_the_presented_credential_is_unknown(
    app: ModuleType, recorder: Recorder, field: str, value: str
) -> None:
    """The key is named without the field, and the loss is counted."""
    with recorder.request():
        app.verify(SECRET, **{field: ["a:read", value] if field in ("scopes", "allow_list") else value})
        app.record("create")
    (row,) = app.ROWS
    assert row["request_api_key"]["id"] == "k_1"
    assert field not in row["request_api_key"]
    assert SECRET not in everything(recorder, app.ROWS)
    assert recorder.errors() == {("authentication", TRIPPED[0]): 1}
    assert recorder.writes()["attributed"] == 1


def test_an_id_that_is_the_presented_credential_is_no_id(app: ModuleType, recorder: Recorder) -> None:
    """There is a key, which the row does not receive, as with any unreadable id."""
    with recorder.request():
        app.verify(SECRET, id=SECRET)
        app.record("create")
    assert SECRET not in everything(recorder, app.ROWS)
    assert recorder.errors() == {("authentication", TRIPPED[0]): 1}
    assert recorder.writes()["failed"] == 1


def test_short_id_may_equal_the_presented_credential(app: ModuleType, recorder: Recorder) -> None:
    """A string that short is not a credential, so an example whose key is its own id still works."""
    public = "k" * (MIN_LENGTH - 1)
    with recorder.request():
        app.verify(public, id=public)
        app.record("create")
    assert app.ROWS[0]["request_api_key"]["id"] == public
    assert recorder.errors() == {}


def test_event_field_with_the_presented_credential_is_not_shown(app: ModuleType, recorder: Recorder) -> None:
    """Action and resource are checked one by one, and the row has the key."""
    with recorder.request():
        app.verify(SECRET)
        app.record("create", {"mine": SECRET}, f"uses {SECRET}")
    (span,) = recorder.audit_spans()
    assert keyaudit_attributes(span)["keyaudit.action"] == "create"
    assert "keyaudit.resource.id" not in keyaudit_attributes(span)
    assert app.ROWS[0]["mine"] == SECRET, "what the application writes is its own"
    assert recorder.errors() == {("audit", TRIPPED[0]): 1}


def test_credential_of_an_unknown_key_is_not_shown(recorder: Recorder, load_module: LoadModule) -> None:
    """Events of the request are checked although the authentication found no key."""
    app = load_module("def verify(raw_key):\n    return None\n\ndef record(action, additional_fields=None): ...\n")
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
    with recorder.request():
        app.verify(SECRET)
        app.record(f"failed {SECRET}")
    assert SECRET not in repr([(span.name, span.attributes) for span in recorder.spans])
    assert recorder.errors() == {("audit", TRIPPED[0]): 1}


def test_subject_is_written_without_the_presented_credential(app: ModuleType, recorder: Recorder) -> None:
    """The key of a subject is checked too."""
    with recorder.request():
        app.verify(SECRET)
        app.create("api_key.create", app.key(id="k_2", name=f"made with {SECRET}"))
        app.create("api_key.create", app.key(id=SECRET))
    first, second = app.ROWS
    assert (first["api_key"]["id"], "name" in first["api_key"]) == ("k_2", False)
    assert "api_key" not in second
    assert SECRET not in everything(recorder, app.ROWS)


def test_denied_key_whose_id_is_the_credential_is_not_named(recorder: Recorder, load_module: LoadModule) -> None:
    """The reason of the denial is only the class of the exception."""
    app = load_module(APP)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?valid=is_active"])
    with recorder.request():
        app.verify(SECRET, id=SECRET, is_active=False)
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}


def basic(user: str, password: str) -> str:
    """Return a header of basic authentication."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


HEADERS = {
    "bearer": {"authorization": f"Bearer {SECRET}"},
    "bearer and a tab": {"authorization": f"Bearer\t{SECRET}"},
    "without a scheme": {"authorization": SECRET},
    "token": {"authorization": f"Token token={SECRET}"},
    "quoted token": {"authorization": f'Token token="{SECRET}", nonce="x"'},
    "parts": {"authorization": f"ApiKey key={SECRET}, v=1"},
    "parts without a scheme": {"authorization": f"key={SECRET}; v=1"},
    "basic": {"authorization": basic("bot", SECRET)},
    "basic, as the user": {"authorization": basic(SECRET, "")},
    "basic, as the user with any password": {"authorization": basic(SECRET, "x-oauth-basic")},
    "several keys": {"x-api-keys": f'"{SECRET}", "other"'},
    "protocol of a websocket": {"sec-websocket-protocol": f"bearer, {SECRET}"},
    "proxy": {"proxy-authorization": f"Bearer {SECRET}"},
    "cookie": {"cookie": f"theme=dark; api_key={SECRET}; a=b"},
    "quoted cookie": {"cookie": f'sessionToken="{SECRET}"'},
    "query": {},
    **{
        name: {name: SECRET}
        for name in [
            "x-api-key", "X-Auth-Token", "x-shop-api-key", "x-shop-key", "private-token", "x-vault-token",
            "x-goog-api-key", "ocp-apim-subscription-key", "x-apikey", "api-token",
        ]
    },
}  # fmt: skip
QUERIES = ["api_key", "apiToken", "access_key", "X-API-Key", "token"]


@pytest.mark.parametrize("name", QUERIES)
def test_credentials_are_read_from_the_query(app: ModuleType, recorder: Recorder, name: str) -> None:
    """Parameters of the query are compared by their words."""
    _ask_asgi(app, f"http://test/?{name}={SECRET}", {})
    assert SECRET not in everything(recorder, app.ROWS)
    assert recorder.errors() == {("authentication", TRIPPED[0]): 1}


@pytest.mark.parametrize("where", HEADERS)
@pytest.mark.parametrize("gateway", ["asgi", "wsgi"])
def test_credentials_are_read_from_the_request(app: ModuleType, recorder: Recorder, where: str, gateway: str) -> None:
    """If a function receives the request or an object, headers and query tell the credential."""
    answers = {"asgi": _ask_asgi, "wsgi": _ask_wsgi}[gateway]
    answers(app, f"http://test/?api_key={SECRET}" if where == "query" else "http://test/", HEADERS[where])
    (row,) = app.ROWS
    assert row["request_api_key"]["id"] == "k_1"
    assert "name" not in row["request_api_key"]
    assert recorder.errors() == {("authentication", TRIPPED[0]): 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Basic not base64!"},
        {"authorization": "Basic nöt ascii either".encode("latin-1")},
        {"authorization": ""},
        {"x-request-id": "an-id-that-is-long-enough"},
    ],
)
def test_other_headers_hold_no_credential(app: ModuleType, recorder: Recorder, headers: dict[str, Any]) -> None:
    """Other headers are not read, and a malformed one holds only itself."""
    _ask_asgi(app, "http://test/?name=an-id-that-is-long-enough", headers, id="an-id-that-is-long-enough", name="n")
    assert app.ROWS[0]["request_api_key"]["id"] == "an-id-that-is-long-enough"
    assert recorder.errors() == {}


def test_a_key_that_has_been_checked_is_as_it_was() -> None:
    """The cached strings of a key do not belong to it."""
    key, other = ApiKey("k_1", "n", ["a"], ["b"], "o"), ApiKey("k_1", "n", ["a"], ["b"], "o")
    assert key.emitted == "k_1\nn\no\na\nb"
    assert (key, repr(key), hash(key), key.digest) == (other, repr(other), hash(other), other.digest)


def _ask_asgi(app: ModuleType, url: str, headers: dict[str, Any], **fields: Any) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        app.check(object(), **{"name": f"bot {SECRET}", **fields})
        app.record("create")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        async with AsyncClient(transport=ASGITransport(application)) as client:
            await client.get(url, headers=headers)

    asyncio.run(ask())


def _ask_wsgi(app: ModuleType, url: str, headers: dict[str, Any]) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        app.check(object(), name=f"bot {SECRET}")
        app.record("create")
        start_response("200 OK", [])
        return []

    with Client(transport=WSGITransport(application)) as client:
        client.get(url, headers=headers)


NAMES = [
    "api_key", "_key", "apiToken", "accessToken", "bearer", "key_value", "secret_value", "presented_key", "client_key",
    "plaintext_key", "authorization", "x_token", "pat", "password",
    "SHOPAPIKEY", "xauthtoken", "xkey", "usertokens",
]  # fmt: skip
OTHERS = [
    "key_id", "api_key_name", "token_type", "prefix", "monkey", "path", "request", "keyboard", "user_id", "monkeys",
    "compat", "tokenizer", "xmonkey",
]  # fmt: skip


def presented(scope: Any = None, **arguments: Any) -> tuple[str, ...]:
    """Return the credentials of a call with these arguments."""
    names = ", ".join([*NAMES, *OTHERS])
    function: Any = eval(f"lambda {names}: None")  # noqa: S307 - the names above
    return CredentialSource(Binding(function)).read(given(**arguments), scope)


class Wrapper:
    """Wraps a secret, as pydantic does."""

    def __init__(self, secret: Any) -> None:
        self.secret = secret

    def get_secret_value(self) -> Any:
        return self.secret


class Text(str):
    """A string with a representation of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_is_named_like_a_secret(name: str) -> None:
    """Names are compared by words, so any spelling counts."""
    assert presented(**{name: SECRET}) == (SECRET,)


@pytest.mark.parametrize("name", OTHERS)
def test_an_argument_that_is_named_otherwise(name: str) -> None:
    """Public descriptions of a credential, and names that only resemble one, are not credentials."""
    assert presented(**{name: SECRET}) == ()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (SECRET.encode(), (SECRET,)),
        (bytearray(SECRET.encode()), (SECRET,)),
        (memoryview(SECRET.encode()), (SECRET,)),
        (Text(SECRET), (SECRET,)),
        (Wrapper(SECRET), (SECRET,)),
        (Wrapper(SECRET.encode()), (SECRET,)),
        (SecretStr(SECRET), (SECRET,)),
        (SecretBytes(SECRET.encode()), (SECRET,)),
        (f"Bearer {SECRET}", (SECRET,)),
        (SecretStr(f"Bearer {SECRET}"), (SECRET,)),
        (basic("bot", SECRET), (basic("bot", SECRET)[6:], SECRET)),
        ("ü".encode("latin-1") * MIN_LENGTH, ("ü" * MIN_LENGTH,)),
        ("k" * MIN_LENGTH, ("k" * MIN_LENGTH,)),
        ("k" * (MIN_LENGTH - 1), ()),
        (object(), ()),
        (Wrapper(object()), ()),
        ([SECRET] * MIN_LENGTH, ()),
        (None, ()),
    ],
)
def test_the_usual_wrappers_are_unwrapped(value: object, found: tuple[str, ...]) -> None:
    """A wrapped value that is long enough counts as its string; other objects are not read."""
    assert presented(api_key=value) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"Bearer {SECRET}", {SECRET}),
        (f"Bearer {SECRET} ", {SECRET}),
        (f"Bearer  {SECRET}", {SECRET}),
        (f"Bearer\t{SECRET}", {SECRET}),
        (f"Token {SECRET} {SECRET}", {f"{SECRET} {SECRET}", SECRET}),
        (f"ApiKey key = {SECRET} ; v=1", {f"key = {SECRET} ; v=1", SECRET}),
        (f'Bearer "{SECRET}"', {f'"{SECRET}"', SECRET}),
        (f"Bearer {SECRET}\0", {f"{SECRET}\0", SECRET}),
        (f"Signature keyId='{SECRET}',v=1", {f"keyId='{SECRET}',v=1", SECRET}),
        (basic(SECRET, "x").rstrip("="), {basic(SECRET, "x").rstrip("=")[6:], SECRET}),
        (
            basic(SECRET, "ÿ~~~").replace("+", "-").replace("/", "_"),
            {SECRET, basic(SECRET, "ÿ~~~").replace("+", "-").replace("/", "_")[6:]},
        ),
        (f"Token token={SECRET}", {SECRET, f"token={SECRET}"}),
        (f"a {SECRET}=", {f"{SECRET}="}),
        (basic("bot", SECRET), {SECRET, basic("bot", SECRET)[6:]}),
        (basic("bot", f"with:colons:{SECRET}"), {f"with:colons:{SECRET}", basic("bot", f"with:colons:{SECRET}")[6:]}),
        (
            basic(SECRET, "any password at all"),
            {SECRET, "any password at all", basic(SECRET, "any password at all")[6:]},
        ),
        ("Basic bm90IGxvbmc6ZW5vdWdo", {"bm90IGxvbmc6ZW5vdWdo"}),
        (f"{SECRET}, other", {f"{SECRET}, other", SECRET}),
        (f"{SECRET}, {SECRET[::-1]}", {f"{SECRET}, {SECRET[::-1]}", SECRET, SECRET[::-1]}),
        ("bearer of short", set()),
        ("bearer of a short", {"bearer of a short"}),
    ],
)
def test_header_values_and_parts_are_credentials(header: str, found: set[str]) -> None:
    """The part after the scheme, each value, and both halves of basic authentication count."""
    asgi = {"type": "http", "headers": [(b"authorization", header.encode())], "query_string": b""}
    assert {*presented(asgi)} == {*presented({"HTTP_AUTHORIZATION": header})} == found


def test_headers_are_found_wherever_they_are() -> None:
    """The position of a header is only cached, so the header may be elsewhere in the next request."""
    others = [(b"host", b"a long name of a host"), (b"accept", b"text/html, application/json")]
    for _ in range(2):
        for position in range(3):
            headers = [*others]
            headers.insert(position, (b"X-Api-Key", SECRET.encode()))
            assert presented({"headers": headers}) == presented({"headers": tuple(map(list, headers))}) == (SECRET,)
    assert presented({"headers": others}) == presented({"headers": []}) == ()
    assert presented({f"HTTP_H{number}" * 300: SECRET for number in range(9)} | {"HTTP_X_API_KEY": SECRET}) == (SECRET,)


def test_headers_that_can_be_read_only_once_are_left_alone() -> None:
    """Such headers belong to the application."""
    headers = iter([(b"x-api-key", SECRET.encode())])
    assert presented({"headers": headers}) == ()
    assert len(list(headers)) == 1


def test_cookies_count_by_their_names() -> None:
    """The whole header counts too, because its name is that of a secret."""
    header = f"theme=a long value for it; api_key={SECRET}; session_id=another long value"
    assert presented({"headers": [(b"cookie", header.encode())]}) == (SECRET, header)
    assert presented({"HTTP_COOKIE": header}) == (SECRET, header)
    assert presented({"HTTP_COOKIE": f'access_token="Bearer {SECRET}"'}) == (SECRET, f'access_token="Bearer {SECRET}"')


@pytest.mark.parametrize(
    "query",
    [
        f"api_key={SECRET}",
        f"api-key={SECRET}",
        f"a=1&X-API-Key={SECRET}",
        f"name=Zoë&access_token={SECRET}",
        f"name=%20&access_token={SECRET}",
        f"access_token={SECRET}&name=\N{SNOWMAN}",
        f"authorization=Bearer%20{SECRET}",
        f"authorization=Bearer+{SECRET}",
    ],
)
def test_query_parameter_named_like_a_secret_is_a_credential(query: str) -> None:
    """A parameter named like a secret is found in either spelling."""
    assert presented({"QUERY_STRING": query}) == (SECRET,)
    assert presented({"headers": [], "query_string": query.encode("latin-1", "replace")}) == (SECRET,)


def test_a_scope_of_another_kind() -> None:
    """Any mapping can be a scope, and other values hold no credential."""
    scope = {"headers": [(b"x-api-key", SECRET.encode())]}
    assert presented(MappingProxyType(scope)) == presented(scope) == (SECRET,)
    assert presented([("headers", scope["headers"])]) == ()


@pytest.mark.parametrize("size", [15, 16])
def test_a_short_header_is_no_credential(size: int) -> None:
    """Short values are common words, which rows may contain."""
    expected = ("x" * size,) if size == 16 else ()
    assert presented({"headers": [(b"x-api-key", b"x" * size)]}) == expected
    assert presented({"HTTP_X_API_KEY": "x" * size}) == expected


def test_all_places_count() -> None:
    """A place with a credential does not hide another one."""
    texts = [f"{number} {SECRET}" for number in range(4)]
    environ = {"HTTP_X_API_KEY": texts[1], "HTTP_X_TOKEN": "a", "QUERY_STRING": f"token={SECRET}"}
    assert {*presented(environ, api_key=texts[0])} == {SECRET}
    headers = [(b"x-api-key", texts[2].encode()), (b"api-key", b"short"), (b"x-request-id", SECRET.encode() + b"!")]
    scope = {"headers": headers, "query_string": f"key={texts[3].replace(' ', '+')}".encode()}
    assert {*presented(scope, api_key=texts[0])} == {SECRET}


def test_a_value_that_contains_a_credential_is_refused() -> None:
    """A value without the credential is kept."""
    check("a public value", (SECRET,))
    check("", ())
    with pytest.raises(CredentialError, match="presented with the request"):
        check(f"x{SECRET}", ("other credential!", SECRET))


def test_fields_that_contain_a_credential_are_dropped() -> None:
    """Each field is dropped and counted on its own, and without its id there is no key."""
    reported: list[tuple[str, type[BaseException]]] = []

    def report(field: str, error: BaseException) -> None:
        reported.append((field, type(error)))

    key = ApiKey("k_1", name=f"bot {SECRET}", scopes=["a", SECRET], allow_list=["b"], owner="o")
    assert without_credentials(key, (SECRET,), report) == ApiKey("k_1", allow_list=["b"], owner="o")
    assert without_credentials(ApiKey(SECRET), (SECRET,), report) is None
    assert reported == [(field, CredentialError) for field in ("name", "scopes", "id")]
    assert without_credentials(key, ("other credential!",), report) is key
    assert len(reported) == 3
