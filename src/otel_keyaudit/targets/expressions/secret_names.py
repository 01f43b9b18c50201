"""Recognize names of secrets: members that an expression must not record, and parameters that hold a credential."""

from __future__ import annotations

import re

SECRET_NAMES = frozenset({
    "key", "apikey", "xapikey", "rawkey", "fullkey", "accesskey", "keysecret", "keyhash", "hashedkey",
    "lookuphash", "keyvalue", "token", "rawtoken", "authtoken", "accesstoken", "refreshtoken", "idtoken",
    "apitoken", "sessiontoken", "tokenhash", "hashedtoken", "bearer", "pat", "jwt", "secret", "clientsecret",
    "apisecret", "secretkey", "secretaccesskey", "privatekey", "secrethash", "hashedsecret", "password",
    "passwd", "pwd", "passwordhash", "passphrase", "plaintext", "digest", "hmacdigest", "signature",
    "credential", "credentials", "authorization", "cookie",
})  # fmt: skip
"""Secret names in lower case, without underscores and hyphens."""

_UNWRAPPING = frozenset({"value", "raw", "getsecretvalue", "expose", "exposesecret", "reveal", "decode", "hex"})
"""Names of last steps that return the secret inside a wrapper object."""

_PUBLIC = frozenset({"id", "ids", "name", "names", "prefix", "type"})
"""Last words of names such as ``key_id``, which describe a credential but do not hold it."""

_LONG_NAMES = tuple(name for name in SECRET_NAMES if len(name) > 4)
"""Names that no other word ends with by chance, as ``monkey`` ends with ``key``."""

_PHRASE_SIZES = (1, 2, 3)
"""Numbers of words in a secret name, as in ``secret access key``."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def is_secret(name: str) -> bool:
    """Return whether a member of that name holds a secret."""
    return _bare(name) in SECRET_NAMES


def unwraps(name: str) -> bool:
    """Return whether a member or method of that name returns the content of its object."""
    return _bare(name) in _UNWRAPPING


def holds_credential(name: str) -> bool:
    """Return whether a parameter, header, cookie or query parameter of that name holds a credential.

    Its words are compared, so that ``x-shop-api-key`` and ``apiToken`` do, and ``monkey`` and ``key_id`` do not. A word
    that ends with a long secret name counts, too, as in ``SHOPAPIKEY``.
    """
    if is_secret(name):
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _PUBLIC:
        return False
    words[-1] = words[-1].removesuffix("s")  # as in x-api-keys
    phrases = ("".join(words[start : start + size]) for start in range(len(words)) for size in _PHRASE_SIZES)
    return any(phrase.removeprefix("x") in SECRET_NAMES or phrase.endswith(_LONG_NAMES) for phrase in phrases)
