"""The last line of defence: what a request presented as its credential is never written out, whatever a field holds.

A path that ends at a secret is refused when it is compiled. This is for what no name tells: a ``name`` into which an
application put the whole key, an id that *is* the key, a log message that became the ``action``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qsl

from otel_keyaudit.errors import CredentialError
from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.expression import SECRET_NAMES

SHORTEST = 16
"""Characters from which on a text counts as a credential. What is shorter is none that could be relied on, and may well
be a public id that a small application, or its tests, takes for both."""

REMEMBERED = 8
"""How many credentials of one request are looked for."""

_HEADERS = frozenset(
    {b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"apikey", b"x-auth-token", b"x-access-token",
     b"x-token"}
)  # fmt: skip
_VARIABLES = {"HTTP_" + name.decode().upper().replace("-", "_") for name in _HEADERS}
_LIKELY = re.compile(rb"(?i)key|token|secret|passw|credential")
_SUFFIXES = ("_api_key", "_apikey", "_token", "_secret", "_password", "_credential", "_credentials", "_authorization")

Credentials = tuple[str, ...]


class Tripwire:
    """Knows where the calls of an authentication target are given the credential.

    Args:
        binding: The parameters of the function: those with the name of a secret hold it.
    """

    def __init__(self, binding: Binding) -> None:
        self._readers: list[Callable[..., Any]] = [binding.reader(name) for name in binding.names if _is_secret(name)]

    def presented(self, call: Any, scope: Any) -> Credentials:
        """Return what a call was given, and what its request's headers and query hold, that is long enough.

        Args:
            call: The call.
            scope: The ASGI scope or WSGI environ of its request; ``None`` outside of one.
        """
        found: dict[str, None] = {}  # each once: a credential often comes as an argument and in a header
        for read in self._readers:
            value = read(call)
            text = value if type(value) is str else _text(value)
            if len(text) >= SHORTEST:
                found[text] = None
        if type(scope) is dict or isinstance(scope, Mapping):
            headers = scope.get("headers")
            if headers is None:
                headers, found = (), found | dict.fromkeys(_in_environ(scope))
            for name, value in headers:
                if name in _HEADERS and len(value) >= SHORTEST:
                    text = _secret_of(value.decode("latin-1"))
                    if len(text) >= SHORTEST:
                        found[text] = None
            query = scope.get("query_string") or scope.get("QUERY_STRING")
            if query:
                found |= dict.fromkeys(_in_query(query))
        return tuple(found)


def all_presented(earlier: Credentials, later: Credentials) -> Credentials:
    """Return what a request has presented so far; of many, as on a socket that renews its token, the last ones."""
    if not earlier or earlier == later:
        return later[-REMEMBERED:]
    return tuple(dict.fromkeys((*earlier, *later)))[-REMEMBERED:]


def check(text: str, credentials: Credentials) -> None:
    """Refuse a text that is one of the credentials, or contains it.

    Raises:
        CredentialError: It does.
    """
    if _holds(text, credentials):
        raise CredentialError


def harmless(call: GuardedCall, stage: str, key: ApiKey, credentials: Credentials) -> ApiKey | None:
    """Return a key without the fields that hold a credential, which is counted; ``None`` when its id does.

    Args:
        call: Counts it.
        stage: As what.
        key: The key.
        credentials: What was presented.
    """
    if not _holds(key.written, credentials):
        return key
    call.report(stage, CredentialError())
    if _holds(key.id, credentials):
        return None
    held = {one.name: None for one in fields(key) if _holds(_written(getattr(key, one.name)), credentials)}
    return replace(key, **held)  # type: ignore[arg-type]


def _holds(text: str, credentials: Credentials) -> bool:
    return any(credential in text for credential in credentials)


def _written(value: str | tuple[str, ...] | None) -> str:
    return "\n".join(value) if isinstance(value, tuple) else value or ""


def _is_secret(name: str) -> bool:
    bare = name.strip("_").lower()
    return bare in SECRET_NAMES or bare.endswith(_SUFFIXES)


def _text(value: Any) -> str:
    if type(value) is bytes:
        return value.decode("latin-1")
    return value if type(value) is str else ""


def _secret_of(header: str) -> str:
    """Return the secret in a header: what comes after the scheme, and of ``Basic`` the password (RFC 7617)."""
    if " " not in header:
        return header
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return rest.strip() or header
    try:
        user, _, password = b64decode(rest).decode("latin-1").partition(":")
    except ValueError:  # it is not base64
        return rest
    return password or user


def _in_query(query: str | bytes) -> Iterator[str]:
    raw = query if isinstance(query, bytes) else query.encode("latin-1", "replace")
    if _LIKELY.search(raw):
        for name, value in parse_qsl(raw.decode("latin-1")):
            if len(value) >= SHORTEST and _is_secret(name.replace("-", "_")):
                yield value


def _in_environ(environ: Mapping[str, Any]) -> Iterator[str]:
    found = [_secret_of(str(environ[name])) for name in _VARIABLES if name in environ]
    yield from (text for text in found if len(text) >= SHORTEST)
