"""The least privilege that would be enough."""

from __future__ import annotations

import itertools
import random

import pytest

from otel_keyaudit.cli.report.model import ScopeUse
from otel_keyaudit.cli.report.proposal import propose


def scope(name: str, used: str = "", unused: str = "", hidden: str = "") -> ScopeUse:
    """Return a scope with permissions in three lists, separated by spaces."""
    return ScopeUse(name, tuple(used.split()), tuple(unused.split()), tuple(hidden.split()), None)


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([], []),
        ([scope("a:x", "a:x")], ["a:x"]),
        ([scope("a:x", "", "a:x")], []),
        ([scope("a:x", "", "", "a:x")], ["a:x"]),
        ([scope("a:*", "a:x", "a:y", "a:z")], ["a:x", "a:z"]),
        ([scope("a:*", "a:x a:y"), scope("a:x", "a:x"), scope("a:y", "a:y")], ["a:*"]),
        ([scope("a:*", "a:x", "a:y"), scope("a:x", "a:x")], ["a:x"]),
        ([scope("1", "p q"), scope("2", "q r"), scope("3", "r s"), scope("4", "s")], ["1", "3"]),
        ([scope("all", "a:* a:x", "b:x")], ["a:*"]),
        ([scope("a:*")], ["a:*"]),
        ([scope("b", "p"), scope("a", "p")], ["a"]),
    ],
)  # fmt: skip
def test_fewest_scopes_and_single_permissions(scopes: list[ScopeUse], expected: list[str]) -> None:
    """Whole scopes are proposed if nothing in them is unused, and single permissions otherwise."""
    assert propose(tuple(scopes)) == tuple(expected)


@pytest.mark.parametrize("seed", range(40))
def test_proposal_is_enough_and_never_more(seed: int) -> None:
    """It has each permission that is used or not observable, no unused one, and as few scopes as possible."""
    chance = random.Random(seed)
    names = [f"r:{number}" for number in range(8)]
    states = {name: chance.choice(["used", "used", "unused", "hidden"]) for name in names}
    scopes = []
    for number in range(chance.randrange(1, 8)):
        members = chance.sample(names, chance.randrange(1, 5))
        lists = [" ".join(name for name in members if states[name] == state) for state in ("used", "unused", "hidden")]
        scopes.append(scope(f"s{number}", *lists))
    members_of = {one.scope: {*one.used, *one.unused, *one.not_observable} for one in scopes}
    needed = {name for members in members_of.values() for name in members if states[name] != "unused"}
    proposal = propose(tuple(scopes))
    assert set().union(*(members_of.get(entry, {entry}) for entry in proposal)) == needed
    whole = {name: members for name, members in members_of.items() if members <= needed}
    wanted = set().union(*whole.values())
    chosen = [entry for entry in proposal if entry in members_of]
    assert set().union(*(whole[entry] for entry in chosen)) == wanted
    assert not any(
        wanted == set().union(*(whole[name] for name in fewer))
        for fewer in itertools.combinations(whole, max(len(chosen) - 1, 0))
        if chosen
    )


def test_many_scopes_are_still_covered() -> None:
    """The proposal covers every permission, although there are too many combinations to compare."""
    scopes = tuple(scope(f"s{number:02}", f"p{number} p{number + 1} x{number}") for number in range(30))
    assert len(propose(scopes)) == 30


def test_fewest_of_many_scopes() -> None:
    """A scope that alone has a permission is needed, so that only the few others are combined."""
    needed = [scope(f"own{number}", f"p{number} p{number + 1} q{number}") for number in range(30)]
    overlapping = [scope("1", "p q"), scope("2", "q r"), scope("3", "r s"), scope("4", "s p0"), scope("5", "p5 p6")]
    assert propose((*needed, *overlapping)) == tuple(sorted([*(one.scope for one in needed), "1", "3"]))
