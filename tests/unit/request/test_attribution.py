"""The keys of a request give one answer: a key, several, or none with a name."""

from __future__ import annotations

import time
from typing import Any

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.request.attribution import (
    ENDED,
    NO_DELEGATION,
    UNATTRIBUTED,
    UNNAMED,
    AcceptedKey,
    AcceptedKeys,
    Attribution,
    Delegation,
    OpenAuthentication,
)

ONE, OTHER = ApiKey("k_1", name="one"), ApiKey("k_2")
MAX_IDS = 3


class Authentication:
    """The call of an authentication target, inside another one."""

    def __init__(self, within: OpenAuthentication | None = None, source: object = "Key") -> None:
        self.within = within
        self.source: Any = source
        self.accepted_id: str | None = None
        self.accepted_inside: dict[AcceptedKey, None] | None = None


def accepted(*keys: ApiKey | None) -> AcceptedKeys:
    """Return the keys after one authentication for each, none inside another."""
    found = AcceptedKeys(MAX_IDS)
    for key in keys:
        accept(found, key, Authentication())
    return found


def accept(keys: AcceptedKeys, key: ApiKey | None, authentication: Authentication) -> None:
    """Accept a key as a request does."""
    keys.add(key, NO_DELEGATION, authentication)
    keys.settle(authentication)
    authentication.accepted_id = None if key is None else key.id


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), UNATTRIBUTED),
        ((None,), UNNAMED),
        ((None, None), UNNAMED),
        ((ONE,), Attribution("attributed", ONE)),
        ((ONE, ONE), Attribution("attributed", ONE)),
        ((ONE, None), Attribution("ambiguous", None, ("k_1",), 1)),
        ((None, ONE), Attribution("ambiguous", None, ("k_1",), 1)),
        ((ONE, OTHER), Attribution("ambiguous", None, ("k_1", "k_2"), 2)),
        ((OTHER, ONE, OTHER), Attribution("ambiguous", None, ("k_2", "k_1"), 2)),
    ],
)
def test_one_id_is_a_key_and_two_are_ambiguous(keys: tuple[ApiKey | None, ...], expected: Attribution) -> None:
    """A key beside one without a readable id is ambiguous, too."""
    assert accepted(*keys).attribution() == expected


def test_ids_are_bounded_and_their_number_is_exact() -> None:
    """The first ids are named, and their number is exact."""
    found = accepted(*(ApiKey(f"k_{number}") for number in range(10))).attribution()
    assert (found.ids, found.ids_count) == (("k_0", "k_1", "k_2"), 10)


def test_each_key_takes_the_same_time() -> None:
    """The time does not depend on the number of accepted keys."""

    def seconds(count: int) -> float:
        keys = accepted(*(ApiKey(f"k_{number}") for number in range(count)))
        start = time.process_time()
        for number in range(200):
            accept(keys, ApiKey(f"more_{number}"), Authentication())
            keys.attribution()
        return time.process_time() - start

    assert min(seconds(4_000) for _ in range(5)) < 5 * min(seconds(100) for _ in range(5))


def test_later_snapshot_replaces_and_keeps_the_rest() -> None:
    """An authentication that knows less of a key removes nothing."""
    later = ApiKey("k_1", scopes=["a"])
    both = ApiKey("k_1", name="one", scopes=["a"])
    assert accepted(ONE, later).attribution().key == both
    assert accepted(ONE, ApiKey("k_1", name="renamed")).attribution().key == ApiKey("k_1", name="renamed")
    keys, outer = AcceptedKeys(MAX_IDS), Authentication()
    accept(keys, ONE, Authentication(outer))
    accept(keys, later, outer)
    assert keys.attribution().key == both


def test_denial_withdraws_the_keys_inside_it() -> None:
    """Keys at any depth are withdrawn, and a key that was accepted elsewhere stays."""
    keys, outer = AcceptedKeys(MAX_IDS), Authentication()
    inner = Authentication(outer)
    accept(keys, OTHER, Authentication())
    accept(keys, ONE, Authentication(inner))
    accept(keys, ONE, inner)
    assert keys.attribution().kind == "ambiguous"
    assert keys.withdraw(outer) == ONE
    assert keys.attribution() == Attribution("attributed", OTHER)
    assert keys.withdraw(outer) is None


def test_accepted_authentication_settles_the_keys_inside_it() -> None:
    """A later denial withdraws nothing of an accepted authentication."""
    keys, outer = AcceptedKeys(MAX_IDS), Authentication()
    inner = Authentication(outer)
    accept(keys, ONE, inner)
    accept(keys, ONE, outer)
    for denied in (inner, outer):
        assert keys.withdraw(denied) is None
    assert keys.attribution().key == ONE


def test_unnamed_key_inside_a_denial_is_withdrawn() -> None:
    """A key without a readable id is withdrawn too."""
    keys, outer = AcceptedKeys(MAX_IDS), Authentication()
    accept(keys, None, Authentication(outer))
    keys.withdraw(outer)
    assert keys.attribution() is UNATTRIBUTED


def test_keys_move_outwards_with_each_authentication_that_settles() -> None:
    """A denial withdraws the keys of all settled authentications inside it, and of no other."""
    keys, top, elsewhere = AcceptedKeys(MAX_IDS), Authentication(), Authentication()
    outer = Authentication(top)
    inner = Authentication(outer)
    for key in (ONE, None):
        keys.add(key, NO_DELEGATION, Authentication(inner))
    keys.add(None, NO_DELEGATION, Authentication(elsewhere))
    for authentication in (inner, outer):
        keys.settle(authentication)
        assert authentication.accepted_inside is None
        assert keys.withdraw(authentication) is None
    assert keys.attribution() == Attribution("ambiguous", None, ("k_1",), 1)
    assert keys.withdraw(top) == ONE
    assert keys.attribution() is UNNAMED
    keys.withdraw(elsewhere)
    assert keys.attribution() is UNATTRIBUTED


def test_denial_withdraws_unreadable_ids_of_accepted_authentications_inside_it() -> None:
    """An authentication without a denial hands them to the outer one, which may still deny."""
    keys, outer = AcceptedKeys(MAX_IDS), Authentication()
    inner = Authentication(outer)
    accept(keys, None, Authentication(inner))
    keys.settle(inner)
    keys.withdraw(inner)
    assert keys.attribution() is UNNAMED
    keys.withdraw(outer)
    assert keys.attribution() is UNATTRIBUTED


def test_a_key_that_is_also_accepted_elsewhere_survives_a_denial() -> None:
    """The denied authentication is named its key, and the request keeps it."""
    keys, denied = accepted(ONE), Authentication()
    accept(keys, ApiKey("k_1", scopes=["a"]), Authentication(denied))
    assert keys.withdraw(denied) == ApiKey("k_1", name="one", scopes=["a"])
    assert keys.attribution() == Attribution("attributed", ONE)


def test_a_key_inside_an_authentication_of_the_same_id_is_the_same() -> None:
    """At any depth, and whatever its source: a look-up of an account confirms the key that is being checked."""
    keys, top = AcceptedKeys(MAX_IDS), Authentication()
    top.accepted_id = "1"
    accept(keys, ApiKey("1"), Authentication(top, "User"))
    assert keys.attribution().key == ApiKey("1")
    accept(keys, ApiKey("1"), Authentication(Authentication(top), "Team"))
    assert keys.attribution().key == ApiKey("1")
    accept(keys, ApiKey("1"), Authentication(Authentication(), "Team"))
    assert keys.attribution().kind == "ambiguous"


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ((ApiKey("1"), "Key"), (ApiKey("1"), "Key"), True),
        ((ApiKey("1"), "Key"), (ApiKey("1"), "User"), False),
        ((ApiKey("k"), "Key"), (ApiKey("k"), "User"), True),
        ((ApiKey("k", owner="a"), "Key"), (ApiKey("k", owner="b"), "Key"), False),
        ((ApiKey("k", owner="a"), "Key"), (ApiKey("k"), "Key"), True),
    ],
)
def test_identity_of_a_key(first: tuple[ApiKey, object], second: tuple[ApiKey, object], is_same: bool) -> None:
    """Ids of digits are unique within a table, and owners must not differ."""
    keys = AcceptedKeys(MAX_IDS)
    for key, source in (first, second):
        accept(keys, key, Authentication(source=source))
    assert (keys.attribution().key is not None) == is_same


def test_actor_is_put_in_front_of_the_actors() -> None:
    """The actor is the request's key while there is no other key."""
    actors = AcceptedKeys(MAX_IDS)
    accept(actors, OTHER, Authentication())
    assert AcceptedKeys(MAX_IDS).attribution(actors).key == OTHER
    keys = AcceptedKeys(MAX_IDS)
    keys.add(ONE, Delegation("user:7", ("job",), 1), Authentication())
    assert keys.attribution(actors) == Attribution("attributed", ONE, (), 0, Delegation("user:7", ("k_2", "job"), 2))


def test_request_with_actors_only_belongs_to_the_first() -> None:
    """It acts through the later actors, the current one first, and each counts once."""
    actors = AcceptedKeys(MAX_IDS)
    actors.add(ONE, Delegation("user:7", ("job",), 1), Authentication())
    for key in (OTHER, ApiKey("k_3"), OTHER):
        accept(actors, key, Authentication())
    found = AcceptedKeys(MAX_IDS).attribution(actors)
    assert found == Attribution("attributed", ONE, (), 0, Delegation("user:7", ("k_3", "k_2", "job"), 3))


@pytest.mark.parametrize(("actors", "expected"), [((), UNATTRIBUTED), ((None,), UNNAMED)])
def test_request_whose_actors_have_no_name_has_no_key(actors: tuple[None, ...], expected: Attribution) -> None:
    """An actor with an unreadable id counts as such a key; a withdrawn actor as none."""
    assert AcceptedKeys(MAX_IDS).attribution(accepted(*actors)) == expected


def test_latest_actors_come_first() -> None:
    """Their list is bounded, and their number is exact."""
    actors = accepted(*(ApiKey(f"actor_{number}") for number in range(MAX_IDS + 2)))
    found = accepted(ONE).attribution(actors).delegation
    assert found == Delegation(None, ("actor_4", "actor_3", "actor_2"), MAX_IDS + 2)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (Delegation(), Delegation("user:1", ("a",), 9)),
        (Delegation("user:2"), Delegation("user:2", ("a",), 9)),
        (Delegation(None, ("b", "c"), 2), Delegation("user:1", ("b", "c"), 2)),
        (Delegation("user:2", ("b",), 3), Delegation("user:2", ("b",), 3)),
    ],
)
def test_later_delegation_keeps_what_it_lacks(later: Delegation, expected: Delegation) -> None:
    """Actors and their number belong together."""
    assert Delegation("user:1", ("a",), 9).updated_by(later) == expected


def test_delegation_without_more_actors_is_the_same_object() -> None:
    """A request without actors pays nothing for them."""
    one = Delegation("user:1", ("a",), 1)
    assert one.through([], 0) is one


@pytest.mark.parametrize(
    ("delegation", "members"),
    [
        (Delegation(), {}),
        (Delegation("user:1"), {"on_behalf_of": "user:1"}),
        (Delegation(None, ("a", "b"), 2), {"actors": ("a", "b")}),
        (Delegation(None, ("a",), 9), {"actors": ("a",), "actors_count": 9}),
        (Delegation(None, ("a", "b", "c"), 3), {"actors": ("a", "b"), "actors_count": 3}),
    ],
)
def test_members_have_the_number_of_actors_if_it_is_greater(delegation: Delegation, members: dict[str, Any]) -> None:
    """A list can be cut where it is read, and again in the row."""
    assert delegation.members(max_items=2) == members


def test_ended_request_is_told_apart() -> None:
    """A row after the end of a request has another remedy than a row with an unreadable id."""
    assert (ENDED.kind, ENDED.has_ended, UNNAMED.has_ended) == ("failed", True, False)
