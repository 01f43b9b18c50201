"""Read the delegation of a key: the party on whose behalf it acts, and its actors."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.key import canonical
from otel_keyaudit.observers.observed_call import CompiledTarget, ObservedCall
from otel_keyaudit.request.attribution import Delegation
from otel_keyaudit.targets.call import Reader
from otel_keyaudit.targets.presented_credential import Credentials, check


class DelegationReader:
    """Reads ``on_behalf_of`` and ``actors`` of an authentication target.

    Args:
        on_behalf_of: Reads the party on whose behalf the key acts; ``None`` without this field.
        actors: Reads the actors; ``None`` without this field.
        max_items: Maximum number of actors.
    """

    def __init__(self, on_behalf_of: Reader | None, actors: Reader | None, max_items: int) -> None:
        self._on_behalf_of = on_behalf_of
        self._actors = actors
        self._max_items = max_items

    @classmethod
    def of(cls, target: CompiledTarget) -> DelegationReader | None:
        """Return the reader for a target, ``None`` if it has neither field."""
        on_behalf_of, actors = (target.reader(target.source(name)) for name in ("on_behalf_of", "actors"))
        if on_behalf_of is None and actors is None:
            return None
        return cls(on_behalf_of, actors, target.components.settings.max_items)

    def read(self, call: ObservedCall, key: Any, credentials: Credentials) -> Delegation:
        """Return the delegation of a key. A field that is unreadable or holds a credential is absent, and counted.

        Args:
            call: The call that returned the key.
            key: The key object.
            credentials: The credentials that the request has presented.
        """
        on_behalf_of = actors = None
        if self._on_behalf_of is not None:
            on_behalf_of = call.guarded("on_behalf_of", _string, self._on_behalf_of, call, key, credentials)
        if self._actors is not None:
            actors = call.guarded("actors", _list, self._actors, call, key, credentials)
        names, count = actors or ((), 0)
        return Delegation(on_behalf_of, names[: self._max_items], count)


def _string(read: Reader, call: ObservedCall, key: Any, credentials: Credentials) -> str | None:
    value = read(call, key)
    if value is None:
        return None
    string = canonical.as_string(value)
    check(string, credentials)
    return string


def _list(read: Reader, call: ObservedCall, key: Any, credentials: Credentials) -> tuple[tuple[str, ...], int] | None:
    value = read(call, key)
    if value is None:
        return None
    names = canonical.as_strings(value)
    check("\n".join(names), credentials)
    return names, getattr(value, "total", len(names))
