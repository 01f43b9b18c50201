"""The keys of one request: those that it accepted, and those of the actors through which they act.

A finalizer or a signal handler may interrupt a change and accept a key of the same request. So each assignment directly
follows the check on which it depends, and nothing runs in between.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import AcceptedKeys, Attribution, Delegation, OpenAuthentication


class RequestKeys:
    """The keys of one request. Nearly all requests accept a single key, which is kept as it is.

    Args:
        max_ids: Maximum number of ids in an ambiguous attribution.
    """

    _only: tuple[ApiKey, Delegation, Any] | None = None
    """The only key so far, its delegation and its source; no open authentication can withdraw it."""
    _accepted: AcceptedKeys | None = None
    _actors: AcceptedKeys | None = None

    def __init__(self, max_ids: int) -> None:
        self._max_ids = max_ids

    def accept(
        self, key: ApiKey | None, delegation: Delegation, authentication: OpenAuthentication, *, as_actor: bool
    ) -> Attribution:
        """Add a key that an authentication accepted, ``None`` if its id is unreadable; return the new attribution."""
        only = self._only
        if only is None and key is not None and not as_actor and self._is_first(authentication):
            first = key, delegation, authentication.source
            only = self._only
            if only is None:
                self._only = first
                return Attribution(names.ATTRIBUTED, key, (), 0, delegation)
        if only is None or only[0] is not key or only[1] is not delegation:
            keys = self._all_actors() if as_actor else self._all_accepted()
            keys.add(key, delegation, authentication)
            self.settle(authentication)
        return self.attribution()

    def settle(self, authentication: OpenAuthentication) -> None:
        """Keep the keys that were accepted inside an authentication that did not deny."""
        for keys in (self._accepted, self._actors):
            if keys is not None:
                keys.settle(authentication)

    def withdraw(self, authentication: OpenAuthentication) -> ApiKey | None:
        """Forget the keys that were accepted inside an authentication that denied, and return the last of them."""
        withdrawn = None
        for keys in (self._accepted, self._actors):
            if keys is not None:
                withdrawn = keys.withdraw(authentication) or withdrawn
        authentication.accepted_inside = None
        return withdrawn

    def attribution(self) -> Attribution:
        """Return the attribution of rows to these keys."""
        if self._only is not None and self._actors is None:
            key, delegation, _ = self._only
            return Attribution(names.ATTRIBUTED, key, (), 0, delegation)
        return self._all_accepted().attribution(self._actors)

    def _is_first(self, authentication: OpenAuthentication) -> bool:
        """Return whether no key was accepted before, and the authentication is not nested."""
        return self._accepted is None and authentication.within is None and authentication.accepted_inside is None

    def _all_accepted(self) -> AcceptedKeys:
        while self._accepted is None:
            accepted, only = AcceptedKeys(self._max_ids), self._only
            if only is not None:
                key, delegation, source = only
                accepted.add(key, delegation, _EndedAuthentication(source))
            if self._only is only and self._accepted is None:
                self._accepted, self._only = accepted, None
        return self._accepted

    def _all_actors(self) -> AcceptedKeys:
        actors = self._actors or AcceptedKeys(self._max_ids)
        if self._actors is None:
            self._actors = actors
        return self._actors


class _EndedAuthentication:
    """The authentication of a key that has ended, with the source of the key."""

    within: OpenAuthentication | None = None
    accepted_id: str | None = None
    accepted_inside: dict[Any, None] | None = None

    def __init__(self, source: Any) -> None:
        self.source = source
