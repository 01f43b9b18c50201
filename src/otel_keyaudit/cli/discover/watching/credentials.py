"""Find the credential that a request presents, and the arguments that hold it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from otel_keyaudit.cli.discover.watching.values import attributes
from otel_keyaudit.targets.expressions.secret_names import holds_credential

_MIN_LENGTH: Final = 4
"""Characters of the shortest credential; shorter strings are found in many values by chance."""

_REQUESTS: Final = ("Request", "HTTPConnection", "WebSocket")
"""Ends of the names of classes whose objects hold the headers of a request."""

DIRECT: Final = 2
"""The argument is the credential, or a string that contains it."""

INDIRECT: Final = 1
"""The argument is a request, or a mapping that contains the credential."""


def presented(scope: Any) -> set[str]:
    """Return the strings that an ASGI scope or a WSGI environ presents as a credential."""
    if not isinstance(scope, Mapping):
        return set()
    found: set[str] = set()
    for name, value in _headers(scope):
        if name == "cookie":
            pairs = (pair.strip().partition("=") for pair in value.split(";"))
            found |= {content for cookie, _, content in pairs if holds_credential(cookie)}
        elif holds_credential(name):
            found |= {value, *_after_scheme(value)}
    query = scope.get("query_string") or scope.get("QUERY_STRING") or ""
    text = query.decode("latin-1") if isinstance(query, bytes) else str(query)
    found |= {value for name, value in parse_qsl(text) if holds_credential(name)}
    return {one for one in found if len(one) >= _MIN_LENGTH}


def _headers(scope: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    headers = scope.get("headers")
    if isinstance(headers, (list, tuple)):
        for name, value in headers:
            yield name.decode("latin-1").lower(), value.decode("latin-1")
    else:
        for name, value in scope.items():
            if str(name).startswith("HTTP_"):
                yield name[5:].replace("_", "-").lower(), str(value)


def _after_scheme(value: str) -> Iterator[str]:
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest.strip()
        if scheme.lower() == "basic":
            yield from _halves(rest)


def _halves(encoded: str) -> list[str]:
    try:
        return b64decode(encoded).decode("latin-1").split(":", 1)
    except ValueError:
        return []


def strength(value: object, credentials: set[str]) -> int:
    """Return how an argument holds one of the credentials; 0 if it does not."""
    if isinstance(value, str):
        return DIRECT if any(one in value for one in credentials) else 0
    if isinstance(value, (bytes, bytearray)):
        return strength(bytes(value).decode("latin-1"), credentials)
    if isinstance(value, (list, tuple)) and len(value) <= 10:
        return max(
            (strength(element, credentials) for element in value if isinstance(element, (str, bytes))), default=0
        )
    if type(value) is dict and len(value) <= 50:
        texts = [element for element in list(value.values()) if isinstance(element, (str, bytes))]
        return INDIRECT if any(strength(text, credentials) for text in texts) else 0
    if _wraps(value, credentials):
        return DIRECT
    return INDIRECT if type(value).__name__.endswith(_REQUESTS) else 0


def _wraps(value: object, credentials: set[str]) -> bool:
    """Check for a small object around the credential, such as ``SecretStr`` or ``HTTPAuthorizationCredentials``."""
    stored = attributes(value)
    if len(stored) > 4:
        return False
    return any(strength(content, credentials) for content in list(stored.values()) if isinstance(content, str))
