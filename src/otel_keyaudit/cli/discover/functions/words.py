"""Names by which likely functions, parameters and members are recognized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

IDS: Final = ("id", "key_id", "api_key_id", "token_id", "client_id", "jti", "uuid", "pk", "sub", "kid", "prefix")
"""Members that may be the id of a key, the most likely first."""

KEY_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": (
        "name", "token_name", "key_name", "key_alias", "alias", "label", "title", "display_name", "display",
        "client_name", "service_name", "app_name", "description",
    ),
    "scopes": (
        "scopes", "scope", "permissions", "grants", "abilities", "roles", "scp", "granted", "granted_scopes",
        "allowed_scopes", "token_scopes", "key_scopes", "capabilities", "privileges", "entitlements", "rights",
    ),
    "allow_list": ("allow_list", "allowlist", "allowed", "allowed_resources", "resources", "workspaces", "projects"),
}  # fmt: skip
"""Members of a key by field, the default first."""

OTHER_KEY_MEMBERS: Final = frozenset(
    {"owner", "owner_id", "expires_at", "expires", "revoked", "is_active", "last_used"}
)
"""Members that are typical of a key or a token."""

PLACES: Final = (
    "additional_fields", "extra", "details", "detail", "metadata", "meta", "additional_data", "additional_info",
    "attributes", "context", "properties", "payload", "data", "fields", "changes", "info", "extras", "event_data",
    "attrs", "diff", "delta", "params", "snapshot", "document", "doc", "body",
)  # fmt: skip
"""Parameters and members that may be the additional fields, the most likely first."""

PLACE_WORDS: Final = frozenset({
    "details", "detail", "extra", "extras", "metadata", "meta", "fields", "attributes", "context", "properties",
    "payload", "data", "changes", "info", "json", "attrs", "diff", "params",
})  # fmt: skip
"""Last words of other names that may be the additional fields, as in ``request_details``."""

KEYWORDS: Final = frozenset({"kw", "kwargs", "kwds", "keywords", "params", "values"})
"""Usual names of ``**kwargs``, which say nothing about the content."""

NO_WRITERS: Final = frozenset({
    "get", "list", "read", "fetch", "find", "query", "count", "delete", "search", "load", "parse", "format",
    "serialize", "validate", "is", "has", "should", "can", "configure", "setup", "register", "describe", "render",
    "filter", "decode", "build", "make", "redact", "mask", "sanitize", "clean", "normalize", "prepare", "to", "as",
    "from", "merge", "enrich", "diff", "compute", "hash", "sign", "verify", "check", "match", "matches",
    "subscribe", "dump", "dumps", "compare",
})  # fmt: skip
"""First words in the names of functions that do not write."""

EVENT_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "action": (
        "action", "verb", "operation", "event", "event_type", "event_name", "action_type", "activity", "activity_type",
        "what", "type", "kind",
    ),
    "resource_type": ("resource_type", "object_type", "entity_type", "target_type", "entity"),
    "resource_id": ("resource_id", "object_id", "entity_id", "target_id", "resource_pk", "object_pk"),
    "outcome": ("outcome", "status", "result", "success"),
}  # fmt: skip
"""Parameters of an audit writer by field, the default first."""

OTHER_IDS: Final = (
    "public_id", "uid", "guid", "ident", "identifier", "key_prefix", "access_key_id", "user_id", "owner_id",
    "account_id", "username", "login", "identity", "subject", "slug", "code", "client_name", "display_name", "name",
)  # fmt: skip
"""Less usual members that may be the id of a key, the most likely first."""

NO_KEYS: Final = (
    "Request", "WebSocket", "Session", "Connection", "Engine", "Task", "Future", "Logger", "Span",
    "Headers", "Scope", "Query", "Select", "Cursor", "Manager", "Repository", "Router", "App", "FastAPI", "Flask",
    "Route",
)  # fmt: skip
"""Suffixes of the names of classes whose objects are not keys."""

_AUTH_WORDS = {
    "apikey": 4, "authenticate": 4, "authentication": 4, "auth": 3, "verify": 3, "credential": 3, "credentials": 3,
    "authenticator": 3, "introspect": 3, "identify": 2, "authorize": 2, "authorization": 2, "bearer": 3,
    "token": 3, "tokens": 2, "key": 3, "keys": 2,
    "jwt": 2, "actor": 2, "principal": 2, "identity": 2, "claims": 3, "pat": 2, "secret": 1, "validate": 1, "check": 1,
    "login": 1, "user": 1, "account": 1, "service": 0, "client": 1, "subject": 1, "security": 1, "permission": -1,
    "request": -2, "session": -2, "limit": -3, "limiter": -3, "throttle": -3, "rate": -3, "log": -3,
    "logger": -3, "audit": -3, "metric": -3, "metrics": -3, "event": -2, "span": -3, "trace": -3, "config": -3,
    "settings": -3, "query": -1, "response": 0,
}  # fmt: skip

_ID_WORDS = frozenset({"ref", "reference", "number"})
_PARSER_WORDS = frozenset({"decode", "parse", "split", "extract", "deserialize", "unpack", "loads"})
_CONVERTER_WORDS = frozenset({
    "hash", "digest", "sha", "hmac", "fingerprint", "encode", "encrypt", "sign", "mask", "redact", "strip", "normalize",
    "clean", "format", "header", "create", "generate", "issue", "refresh", "exchange", "rotate",
})  # fmt: skip
_IDENTIFYING_WORDS = frozenset({
    "verify", "verified", "authenticate", "authenticated", "authorize", "auth", "check", "validate", "introspect",
    "identify", "identity", "resolve", "lookup", "look", "find", "require", "principal", "current", "id", "whoami",
})  # fmt: skip
_CONTAINER_WORDS = frozenset(
    {"cache", "cached", "caches", "caching", "lru", "ttl", "memo", "redis", "memcache", "memoize"}
)

_AUDIT_WORDS = {
    "audit": 4, "auditlog": 4, "audits": 4, "auditing": 4, "journal": 4, "trail": 4, "activity": 3, "history": 3,
    "event": 2, "events": 2, "log": 2, "logs": 2,
}  # fmt: skip

_LOG_WORDS = frozenset({"log", "logs"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words(name: str) -> list[str]:
    """Split a name such as ``get_apiKey`` or ``AuditLog`` into words in lower case."""
    return [word.lower() for word in _WORD.findall(name)]


def audit_weight(name: str) -> int:
    """Rate how strongly the name of a function or a module suggests an audit log, from 0 to 4."""
    return max((_AUDIT_WORDS.get(word, 0) for word in words(name)), default=0)


def is_log(name: str) -> bool:
    """Check whether a class such as ``LogEntry`` is named after a log, which may be the audit log."""
    return not _LOG_WORDS.isdisjoint(words(name))


def auth_weight(name: str) -> int:
    """Rate how strongly the name of a function or a class suggests an API key, from -3 to 4."""
    found = {_AUTH_WORDS.get(word, 0) for word in words(name.rpartition(":")[2])}
    lowest, highest = min(found, default=0), max(found, default=0)
    return lowest if lowest < -2 or highest <= 0 else highest


def is_reference(name: str) -> bool:
    """Check whether a member such as ``account_number`` may be an id."""
    return not _ID_WORDS.isdisjoint(words(name)[-1:])


def is_key_id(name: str) -> bool:
    """Check whether a member such as ``credential_id`` or ``apiKeyId`` is the id of a key by its name."""
    return words(name)[-1:] == ["id"] and auth_weight(name) >= _AUTH_WORDS["tokens"]


def _words_of_name(path: str) -> list[str]:
    return words(path.rpartition(".")[2].rpartition(":")[2])


def is_parser(path: str) -> bool:
    """Check whether a name suggests a function that only parses a credential."""
    return not _PARSER_WORDS.isdisjoint(_words_of_name(path))


def is_identifier(path: str) -> bool:
    """Check whether a name suggests a function that returns an id for a credential, not another form of it."""
    found = _words_of_name(path)
    is_converter = is_parser(path) or auth_weight(path) < 0 or not _CONVERTER_WORDS.isdisjoint(found)
    return not is_converter and not _IDENTIFYING_WORDS.isdisjoint(found)


def is_container(path: str) -> bool:
    """Check whether a name suggests a cache, which returns the values that it stores."""
    return not _CONTAINER_WORDS.isdisjoint(words(path))


def first_of(candidates: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the name for the first candidate that is among the names. ``keyId`` counts as ``key_id``."""
    names = list(names)
    present = {"_".join(words(name)): name for name in names} | {name: name for name in names}
    return next((present[candidate] for candidate in candidates if candidate in present), None)
