"""The credentials that a request presents, and the arguments that hold one."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from typing import Any, NamedTuple

import httpx
import pytest
import requests

from otel_keyaudit.cli.discover.watching.credentials import DIRECT, INDIRECT, presented, request_of, strength

SECRET = "s3cret-value"


class Request:
    """A request object of a server without ASGI and WSGI."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers


class TagRequest:
    """The model of a request's body."""

    def __init__(self) -> None:
        self.name, self.color = "tag", "red"


class SecretStr:
    """A wrapper around the credential."""

    def __init__(self, value: str) -> None:
        self._value = value


class HandlerCallDetails(NamedTuple):
    """The details of a gRPC call, which an interceptor receives."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


class ServicerContext:
    """The context of a gRPC call, which a handler receives."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata."""
        return (("x-api-key", SECRET), ("user-agent", "grpc"))


HandlerCallDetails.__module__ = ServicerContext.__module__ = "grpc._server"


def scope(name: str, value: str, query: bytes = b"") -> dict[str, Any]:
    """Return an ASGI scope with a header."""
    return {"type": "http", "headers": [(name.encode(), value.encode())], "query_string": query}


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (scope("x-api-key", SECRET), {SECRET}),
        (scope("authorization", f"Bearer {SECRET}"), {f"Bearer {SECRET}", SECRET}),
        (scope("authorization", f"Token token={SECRET}"), {f"Token token={SECRET}", f"token={SECRET}", SECRET}),
        (scope("cookie", f"theme=dark; api_key={SECRET}"), {SECRET}),
        (scope("accept", "*/*", b"access_key=s3cret-value&page=1"), {SECRET}),
        ({"REQUEST_METHOD": "GET", "HTTP_X_API_KEY": SECRET}, {SECRET}),
        (Request({"X-API-Key": SECRET}), {SECRET}),
        ({"version": "2.0", "headers": {"x-api-key": SECRET}, "pathParameters": {"id": "1"}}, {SECRET}),
        (HandlerCallDetails("/shop/Add", (("authorization", f"Bearer {SECRET}"),)), {f"Bearer {SECRET}", SECRET}),
        (ServicerContext(), {SECRET}),
        (scope("x-api-key", "abc"), set()),
        (scope("accept", "*/*"), set()),
    ],
)
def test_the_usual_places_are_read(request_: object, found: set[str]) -> None:
    """Headers, cookies and the query of ASGI, of WSGI, of request objects, of AWS Lambda and of gRPC."""
    request = request_of(request_)
    assert request is not None
    assert presented(request) == found


HEADERS = {"authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("GET", "http://other", headers=HEADERS),
        requests.Request("GET", "http://other", headers=HEADERS),
        requests.Request("GET", "http://other", headers=HEADERS).prepare(),
        urllib.request.Request("http://other", headers=HEADERS),
    ],
    ids=lambda request_: type(request_).__module__,
)
def test_a_request_to_another_service_is_no_request(request_: object) -> None:
    """A client's request presents a credential of the service, which no function of the service checks."""
    assert request_of(request_) is None


@pytest.mark.parametrize(
    ("pair", "credential"), [("bob:" + SECRET, SECRET), (SECRET + ":", SECRET), (SECRET + ":x", SECRET)]
)
def test_the_password_is_the_credential(pair: str, credential: str) -> None:
    """A function that looks up the user by name is not given the credential; a key can be the user name."""
    request = scope("authorization", "Basic " + b64encode(pair.encode()).decode())
    assert {one for one in presented(request) if not one.startswith("Basic") and ":" not in one} >= {credential}
    assert "bob" not in presented(request)


@pytest.mark.parametrize("value", [{"type": "lifespan"}, "a:read", None, TagRequest()])
def test_other_values_are_no_requests(value: object) -> None:
    """A parameter may be named ``scope`` or ``request`` for other reasons."""
    assert request_of(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (SECRET, DIRECT),
        (f"Bearer {SECRET}".encode(), DIRECT),
        (["a", SECRET], DIRECT),
        (SecretStr(SECRET), DIRECT),
        ({"x-api-key": SECRET}, INDIRECT),
        (scope("x-api-key", SECRET), INDIRECT),
        (Request({}), INDIRECT),
        (TagRequest(), 0),
        ("s3cret", 0),
        (5, 0),
    ],
)
def test_arguments_hold_the_credential(value: object, expected: int) -> None:
    """The credential itself, a small object around it, or a request."""
    assert strength(value, {SECRET}) == expected
