"""What the keys that a request showed come to: one, several, or none that can be named."""

from __future__ import annotations

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.request.attribution import (
    ENDED,
    NOTHING,
    UNNAMED,
    Acceptance,
    Attribution,
    attribution_of,
    with_one_more,
)

ONE, OTHER = ApiKey("k_1", name="one"), ApiKey("k_2")


class Authentication:
    """A call of an authentication, inside another one."""

    def __init__(self, within: Authentication | None = None) -> None:
        self.within = within


OUTERMOST = Authentication()


def accepted(*keys: ApiKey | None) -> list[Acceptance]:
    """Return what has been accepted after one authentication for each key, none inside another."""
    acceptances: list[Acceptance] = []
    for key in keys:
        acceptances = with_one_more(acceptances, key, OUTERMOST)
    return acceptances


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), NOTHING),
        ((None,), UNNAMED),
        ((None, None), UNNAMED),
        ((ONE,), Attribution("attributed", ONE, ("k_1",))),
        ((ONE, ONE), Attribution("attributed", ONE, ("k_1",))),
        ((ONE, None), Attribution("ambiguous", None, ("k_1",))),
        ((None, ONE), Attribution("ambiguous", None, ("k_1",))),
        ((ONE, OTHER), Attribution("ambiguous", None, ("k_1", "k_2"))),
        ((OTHER, ONE, OTHER), Attribution("ambiguous", None, ("k_2", "k_1"))),
    ],
)
def test_what_keys_come_to(keys: tuple[ApiKey | None, ...], expected: Attribution) -> None:
    """One id is a key, two are ambiguous, and so is a key beside one that cannot be named."""
    found = attribution_of(accepted(*keys))
    assert found == expected
    assert found.is_ambiguous == (expected.kind == "ambiguous")


def test_the_same_id_later_replaces_what_it_knows_and_keeps_the_rest() -> None:
    """An authentication that knows less of a key takes nothing away, whether it stands beside the first or inside."""
    later = ApiKey("k_1", scopes=["a"])
    both = ApiKey("k_1", name="one", scopes=["a"])
    assert attribution_of(accepted(ONE, later)) == Attribution("attributed", both, ("k_1",))
    outer = Authentication()
    inside = with_one_more([], ONE, Authentication(outer))
    assert attribution_of(with_one_more(inside, later, outer)) == Attribution("attributed", both, ("k_1",))
    apart = [Acceptance(ONE, Authentication()), Acceptance(later, Authentication())]
    assert attribution_of(apart) == Attribution("attributed", both, ("k_1",))


def test_another_snapshot_of_a_key_wins() -> None:
    """What both know is as the later one has it."""
    renamed = ApiKey("k_1", name="renamed")
    assert attribution_of(accepted(ONE, renamed)).key == renamed
    assert attribution_of([Acceptance(ONE, Authentication()), Acceptance(renamed, None)]).key == renamed


def test_what_is_found_inside_an_authentication_may_still_be_denied() -> None:
    """It belongs to the calls around it, however deep, until they have accepted."""
    outer = Authentication()
    inner = Authentication(outer)
    (found,) = with_one_more([], ONE, Authentication(inner))
    assert found.within is inner
    assert [found.is_within(one) for one in (inner, outer, Authentication())] == [True, True, False]
    (settled,) = with_one_more([found], ONE, inner)
    assert settled.within is outer
    assert [settled.is_within(one) for one in (inner, outer)] == [False, True]
    (final,) = with_one_more([settled], ONE, outer)
    assert final.within is None
    assert not final.is_within(outer)


def test_what_was_found_elsewhere_stays_where_it_was() -> None:
    """An authentication that accepts settles what was found inside it, and nothing else."""
    first, second = Authentication(), Authentication()
    found = with_one_more([], ONE, Authentication(first))
    both = with_one_more(found, OTHER, Authentication(second))
    assert [one.within for one in both] == [first, second]
    settled = with_one_more(both, OTHER, second)
    assert [(one.key, one.within) for one in settled] == [(ONE, first), (OTHER, None)]


def test_a_key_without_a_name_is_one_however_often_it_comes() -> None:
    """And it is not taken for one that has a name."""
    assert accepted(None, None) == [Acceptance(None, None)]
    assert accepted(ONE, None, ONE, None) == [Acceptance(ONE, None), Acceptance(None, None)]


def test_a_row_that_could_not_be_given_its_key_has_failed() -> None:
    """Unless there was none to give."""
    assert NOTHING.failed() is NOTHING
    for one in (Attribution("attributed", ONE, ("k_1",)), Attribution("ambiguous", None, ("k_1", "k_2")), ENDED):
        assert one.failed() == one._replace(kind="failed")
    assert ENDED.has_ended
    assert not UNNAMED.has_ended
