"""Where a request may hold its credential, however it is written there, and what of it is looked for."""

from __future__ import annotations

from base64 import b64encode
from types import MappingProxyType
from typing import Any

import pytest

from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.presented_credential import SHORTEST, Tripwire
from support.arguments import given

SECRET = "sk_live_0123456789abcdef"


def verify(*, api_key: Any = "", _key: Any = "", key_id: Any = "") -> None:
    """Have parameters that are named like a secret, and one that is not."""


def presented(scope: Any = None, **arguments: Any) -> tuple[str, ...]:
    """Return what counts as a credential of a call."""
    return Tripwire(Binding(verify)).presented(given(**arguments), scope)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"api_key": SECRET}, (SECRET,)),
        ({"_key": SECRET}, (SECRET,)),
        ({"key_id": SECRET}, ()),
        ({"api_key": SECRET.encode()}, (SECRET,)),
        ({"api_key": "ü".encode("latin-1") * SHORTEST}, ("ü" * SHORTEST,)),
        ({"api_key": "k" * SHORTEST}, ("k" * SHORTEST,)),
        ({"api_key": "k" * (SHORTEST - 1)}, ()),
        ({"api_key": object()}, ()),
        ({"api_key": [SECRET] * SHORTEST}, ()),
        ({"api_key": None}, ()),
    ],
)
def test_an_argument_that_is_named_like_a_secret(arguments: dict[str, Any], found: tuple[str, ...]) -> None:
    """Text, or bytes, that is long enough; of other objects nothing is read."""
    assert presented(**arguments) == found


def basic(text: str) -> str:
    """Return a header of basic authentication."""
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"Bearer {SECRET}", SECRET),
        (f"Bearer {SECRET} ", SECRET),
        (f"Bearer  {SECRET}", SECRET),
        (f"Token {SECRET} {SECRET}", f"{SECRET} {SECRET}"),
        (basic(f"bot:{SECRET}"), SECRET),
        (basic(f"bot:with:colons:{SECRET}"), f"with:colons:{SECRET}"),
    ],
)
def test_a_header(header: str, found: str) -> None:
    """What comes after the scheme, whatever is in it; of basic authentication what comes after the user."""
    asgi = {"type": "http", "headers": [(b"authorization", header.encode())], "query_string": b""}
    assert presented(asgi) == presented({"HTTP_AUTHORIZATION": header}) == (found,)


@pytest.mark.parametrize(
    "query",
    [
        f"api_key={SECRET}",
        f"api-key={SECRET}",
        f"a=1&X-API-Key={SECRET}",
        f"name=Zoë&access_token={SECRET}",
        f"name=%20&access_token={SECRET}",
        f"access_token={SECRET}&name=\N{SNOWMAN}",
    ],
)
def test_a_query(query: str) -> None:
    """A member that is named like a secret, in either spelling, beside whatever else there is."""
    assert presented({"QUERY_STRING": query}) == (SECRET,)
    assert presented({"headers": [], "query_string": query.encode("latin-1", "replace")}) == (SECRET,)


def test_a_scope_of_another_kind() -> None:
    """Any mapping may be one; what is none tells nothing."""
    scope = {"headers": [(b"x-api-key", SECRET.encode())]}
    assert presented(MappingProxyType(scope)) == presented(scope) == (SECRET,)
    assert presented([("headers", scope["headers"])]) == ()


def test_all_places_count() -> None:
    """One that holds something keeps no other from being looked at."""
    texts = [f"{number} {SECRET}" for number in range(4)]
    environ = {"HTTP_X_API_KEY": texts[1], "HTTP_X_TOKEN": "a", "QUERY_STRING": f"token={SECRET}"}
    assert {*presented(environ, api_key=texts[0])} == {texts[0], SECRET}
    headers = [(b"x-api-key", texts[2].encode()), (b"api-key", b"short"), (b"x-request-id", SECRET.encode() + b"!")]
    scope = {"headers": headers, "query_string": f"key={texts[3].replace(' ', '+')}".encode()}
    assert {*presented(scope, api_key=texts[0])} == {texts[0], SECRET, texts[3]}
