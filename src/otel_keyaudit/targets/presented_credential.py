"""Find the credential that a request presents in arguments, headers, cookies and the query, and refuse to record it.

A path that ends at a secret name is refused when it is compiled. This check is for values whose names do not suggest a
secret: a ``name`` that contains the whole key, an id that *is* the key, a log message used as the ``action``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import chain
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

from otel_keyaudit.errors import CredentialError
from otel_keyaudit.guard.signals import is_raised_by_signal_handler
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.cache import Cache
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.expressions.secret_names import holds_credential

MIN_LENGTH = 16
"""Minimum length of a credential in characters. A shorter string may be a public id that a test uses as the key."""

Credentials = tuple[str, ...]

_LIKELY = re.compile(
    rb"(?i)key|token|bearer|pat|jwt|secret|passw|pwd|passphrase|plaintext|digest|signature|cred|auth|cook"
)
_header_name = itemgetter(0)


class CredentialSource:
    """Finds the credential in the calls of an authentication target.

    Args:
        binding: The parameters of the function. Parameters whose name contains a secret name are read.
    """

    def __init__(self, binding: Binding) -> None:
        self._readers: list[Callable[..., Any]] = [
            binding.reader(name) for name in binding.names if holds_credential(name)
        ]

    def read(self, call: Any, scope: Any) -> Credentials:
        """Return the strings of at least 16 characters that a call and its request present as a credential.

        Args:
            call: The call.
            scope: The ASGI scope or WSGI environ of its request, ``None`` outside of one.
        """
        found: list[str] = []
        for read in self._readers:
            value = read(call)
            text = value if type(value) is str else _string(value)
            if len(text) >= MIN_LENGTH:
                found += _presented(text) if " " in text else (text,)
        if scope is not None and (type(scope) is dict or isinstance(scope, Mapping)):
            headers = scope.get("headers")
            if headers is None:
                _add_environ(scope, found)
                query = scope.get("QUERY_STRING")
            else:
                _add_headers(headers, found)
                query = scope.get("query_string")
            if query:
                _add_query(query, found)
        return tuple(dict.fromkeys(found))


def check(text: str, credentials: Credentials) -> None:
    """Refuse a string that contains one of the credentials.

    Raises:
        CredentialError: The string contains a credential.
    """
    if contains(text, credentials):
        raise CredentialError


def without_credentials(
    key: ApiKey, credentials: Credentials, report: Callable[[str, BaseException], object]
) -> ApiKey | None:
    """Return a key without the fields that contain a credential, ``None`` if its id contains one.

    Args:
        key: The key.
        credentials: The credentials that the request has presented.
        report: Called with the name and the error of each field that contains one, in order to count it.
    """
    if not contains(key.emitted, credentials):
        return key
    refused = {one.name: None for one in fields(key) if contains(_joined(getattr(key, one.name)), credentials)}
    for name in refused:
        report(name, CredentialError())
    return None if "id" in refused else replace(key, **refused)  # type: ignore[arg-type]


def contains(text: str, credentials: Credentials) -> bool:
    """Return whether a string contains one of the credentials."""
    for credential in credentials:  # noqa: SIM110 - a generator costs more than the search
        if credential in text:
            return True
    return False


def _joined(value: str | tuple[str, ...] | None) -> str:
    return "\n".join(value) if isinstance(value, tuple) else value or ""


def _string(value: Any) -> str:
    """Convert a credential into a string; return an empty string for any other object."""
    value = behind(value)  # `isinstance` would create the object of a lazy one
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    if hasattr(type(value), "get_secret_value"):
        secret = value.get_secret_value()
        return _string(secret) if isinstance(secret, (str, bytes, bytearray)) else ""
    return ""


# Headers. Clients repeat the same names, so the positions of headers that hold a credential are cached by names.

_POSITIONS: Cache[tuple[Any, ...], tuple[tuple[int, bool], ...]] = Cache(len, entries=1024)
_VARIABLES: Cache[tuple[Any, ...], tuple[str, ...]] = Cache(len, entries=1024)
_MAX_NAMES_LENGTH = 4096
"""Maximum total length of names that are cached, because a client may send any names."""


def _add_headers(headers: Any, found: list[str]) -> None:
    if not isinstance(headers, (list, tuple)):
        return  # reading an iterator would consume it
    names = tuple(map(_header_name, headers))
    positions = _POSITIONS.get(names)
    if positions is None:
        holders = [(position, _string(name).lower()) for position, name in enumerate(names)]
        positions = tuple((position, name == "cookie") for position, name in holders if _is_holder(name))
        if sum(map(len, names)) <= _MAX_NAMES_LENGTH:
            _POSITIONS.keep(names, positions)
    for position, is_cookie in positions:
        value = headers[position][1]
        if len(value) >= MIN_LENGTH:
            text = value.decode("latin-1")
            if is_cookie:
                found += _cookies(text)
            elif not (found and text.endswith(found[0]) and len(text) < len(found[0]) + MIN_LENGTH):
                found += _presented(text)  # skipped if it is a scheme and the argument that was found before


def _add_environ(environ: Mapping[str, Any], found: list[str]) -> None:
    names = tuple(environ)
    variables = _VARIABLES.get(names)
    if variables is None:
        variables = tuple(name for name in names if name.startswith("HTTP_") and _is_holder(name[5:].lower()))
        if sum(map(len, names)) <= _MAX_NAMES_LENGTH:
            _VARIABLES.keep(names, variables)
    for name in variables:
        value = environ[name]
        if isinstance(value, str) and len(value) >= MIN_LENGTH:
            found.extend(_cookies(value) if name == "HTTP_COOKIE" else _presented(value))


def _is_holder(name: str) -> bool:
    """Return whether a header holds a credential; browsers can send one for a websocket as its protocol only."""
    return holds_credential(name) or name.replace("_", "-") == "sec-websocket-protocol"


def _presented(value: str) -> list[str]:
    """Return the credentials in a value: the part after a scheme, both halves of ``Basic``, each ``name=value`` part.

    The whole value is left out if it contains another one, because a search for that one finds it, too.
    """
    scheme, *others = value.split(None, 1) or [""]
    rest = others[0].rstrip() if others and len(scheme) < MIN_LENGTH else value.strip()
    found = [rest if len(rest) >= MIN_LENGTH else value]
    if _SEPARATOR.search(found[0]) is not None:
        found += _parts(found[0])
    if value[:5].lower() == "basic":
        found += _halves(rest)
    return found


_SEPARATOR = re.compile(r"[,;\s=\"'\0]+")
"""Separates the parts of a header's value."""


_FROM_URL_SAFE = str.maketrans("-_", "+/")


def _cookies(value: str) -> list[str]:
    """Return the values of cookies whose names contain a secret name, and the whole header."""
    pairs = [pair.partition("=") for pair in value.split(";")]
    values = [text.strip().strip('"') for name, _, text in pairs if holds_credential(name.strip())]
    return [*chain.from_iterable(_presented(text) for text in values if len(text) >= MIN_LENGTH), value]


def _parts(text: str) -> Iterator[str]:
    """Yield the parts, and the value of each ``name=value`` part with the padding of base64, without quotes."""
    for part in re.split(r"[,;\s\"'\0]+", text):
        name, _, value = part.partition("=")
        found = value if len(value) >= MIN_LENGTH else name
        if len(found) >= MIN_LENGTH and found.rstrip("=") != text.rstrip("="):
            yield found


def _halves(encoded: str) -> Iterable[str]:
    """Return user name and password of ``Basic`` authentication (RFC 7617) if they are long enough."""
    try:
        decoded = b64decode(encoded.translate(_FROM_URL_SAFE) + "==")  # more padding than necessary does no harm
        user, _, password = decoded.decode("latin-1").partition(":")
    except ValueError as error:  # it is not base64
        if is_raised_by_signal_handler(error):
            raise
        return []
    return [half for half in (user, password) if len(half) >= MIN_LENGTH]


def _add_query(query: str | bytes, found: list[str]) -> None:
    raw = query if isinstance(query, bytes) else query.encode("latin-1", "replace")
    if _LIKELY.search(raw):
        pairs = parse_qsl(raw.decode("latin-1"))
        values = [value for name, value in pairs if len(value) >= MIN_LENGTH and holds_credential(name)]
        found.extend(chain.from_iterable(map(_presented, values)))
