"""Find the credential that a request presents, and the arguments that contain it."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from otel_keyaudit.cli.discover.watching.values import attributes, few_attributes, is_a
from otel_keyaudit.targets.expressions.secret_names import holds_credential

_MIN_LENGTH: Final = 4
"""Minimum length of a credential in characters. Shorter strings are contained in many values by chance."""

_PARAMETER = re.compile(r'\w+="?([^",=\s]+)')
"""A parameter of a header value, as in ``ApiKey key=..., v=1``."""

_MAX_ELEMENTS: Final = 10
_MAX_ITEMS: Final = 100

_REQUESTS: Final = ("Request", "HTTPConnection", "ASGIConnection", "WebSocket")
"""Suffixes of the names of classes whose objects have the headers of a request."""

_OF_REQUESTS: Final = frozenset({"scope", "META", "environ", "env", "headers", "_headers", "_request"})
"""Attributes of such objects. A model of a request body has none of them."""

_CLIENTS: Final = (
    "aiohttp.client", "botocore.", "httpx.", "niquests.", "requests.", "tornado.httpclient.", "urllib.", "urllib3.",
)  # fmt: skip
"""Beginnings of the modules of HTTP clients. Their requests present the service's own credentials to others."""

DIRECT: Final = 3
"""An argument is the credential, a string that contains it, or a small object around it."""

LOCAL: Final = 2
"""The function read the credential from the request into a local variable."""

INDIRECT: Final = 1
"""An argument is a request, or a mapping that contains the credential."""


def request_of(value: object) -> Mapping[str, Any] | None:
    """Return the members of an ASGI scope, a WSGI environ or a request object; ``None`` for another value.

    The metadata of a gRPC call and the headers in an event of AWS Lambda count as headers.
    """
    if is_a(value, dict):
        return value if "headers" in value or "REQUEST_METHOD" in value else None
    if type(value).__module__.startswith("grpc."):
        return _of_grpc(value)
    if not is_request(value):
        return None
    stored = attributes(value)
    scope = stored.get("scope")
    return scope if is_a(scope, dict) else stored


def _of_grpc(value: Any) -> Mapping[str, Any] | None:
    """Return the metadata of a gRPC call as headers. It is an attribute of its details, a method of its context."""
    metadata = getattr(value, "invocation_metadata", None)
    return None if metadata is None else {"headers": dict(metadata() if callable(metadata) else metadata)}


def presented(request: Mapping[str, Any]) -> set[str]:
    """Return the strings that a request presents as a credential."""
    found: set[str] = set()
    for name, value in _headers(request):
        if name == "cookie":
            pairs = (pair.strip().partition("=") for pair in value.split(";"))
            found |= {content for cookie, _, content in pairs if holds_credential(cookie)}
        elif holds_credential(name):
            found |= {value, *_after_scheme(value)}
    query = request.get("query_string") or request.get("QUERY_STRING") or ""
    text = query.decode("latin-1") if is_a(query, bytes) else str(query)
    found |= {value for name, value in parse_qsl(text) if holds_credential(name)}
    return {one for one in found if len(one) >= _MIN_LENGTH}


def _headers(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    headers = request.get("headers", request.get("_headers"))
    if is_a(headers, (list, tuple)):  # of ASGI
        for name, value in headers:
            yield name.decode("latin-1").lower(), value.decode("latin-1")
    elif headers is not None and hasattr(headers, "items"):  # of a request object
        for name, value in list(headers.items()):
            yield str(name).lower(), str(value)
    else:  # of WSGI
        for name, value in request.items():
            if str(name).startswith("HTTP_"):
                yield name[5:].replace("_", "-").lower(), str(value)


def _after_scheme(value: str) -> Iterator[str]:
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest.strip()
        yield from _PARAMETER.findall(rest)
        if scheme.lower() == "basic":
            yield from _halves(rest)


def _halves(encoded: str) -> list[str]:
    """Return the password of ``Basic`` authentication, or the user name if the password is too short."""
    try:
        user, _, password = b64decode(encoded).decode("latin-1").partition(":")
    except ValueError:
        return []
    return [password if len(password) >= _MIN_LENGTH else user]


def strength(value: object, credentials: Collection[str]) -> int:
    """Return how directly an argument contains a credential: ``DIRECT``, ``INDIRECT``, or 0 if it contains none."""
    if is_direct(value, credentials):
        return DIRECT
    if type(value) is dict:
        elements = list(value.values())[:_MAX_ITEMS]
        return INDIRECT if any(_in_element(element, credentials) for element in elements) else 0
    if is_request(value) or type(value).__name__.endswith("Headers"):
        return INDIRECT
    if any(holds(element, credentials) for element in few_attributes(value)):
        return DIRECT  # a wrapper such as SecretStr or HTTPAuthorizationCredentials, or an object of this request
    return 0


def is_direct(value: object, credentials: Collection[str]) -> bool:
    """Check whether a value contains a credential, or is a short list or tuple with such an element."""
    if is_a(value, (list, tuple)):
        return len(value) <= _MAX_ELEMENTS and any(holds(element, credentials) for element in value)
    return holds(value, credentials)


def holds(value: object, credentials: Collection[str]) -> bool:
    """Check whether a value is a string or bytes with one of the credentials in it."""
    if is_a(value, str):
        return any(credential in value for credential in credentials)
    if is_a(value, (bytes, bytearray)):
        return holds(bytes(value).decode("latin-1"), credentials)
    return False


def is_request(value: object) -> bool:
    """Check whether an object has the headers of a request to the service."""
    kind = type(value)
    if not kind.__name__.endswith(_REQUESTS) or any(f"{one.__module__}.".startswith(_CLIENTS) for one in kind.__mro__):
        return False
    return not _OF_REQUESTS.isdisjoint(attributes(value))


def _in_element(value: object, credentials: Collection[str]) -> bool:
    if is_a(value, (list, tuple)):
        return any(_in_element(element, credentials) for element in value[:_MAX_ITEMS])
    return holds(value, credentials)
