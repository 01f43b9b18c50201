"""Bounded caches: entries are made once, and a full cache forgets the oldest."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey
from otel_keyaudit.key.cache import MAX_CHARACTERS, MAX_ENTRIES, Cache, Memo
from otel_keyaudit.key.snapshot import Snapshots
from support.environment.concurrency import in_each_collection


def test_a_value_is_made_once() -> None:
    """An equal content finds the value that was made for it."""
    made: list[str] = []

    def make(content: str) -> str:
        made.append(content)
        return content * 2

    memo = Memo(make, len)
    assert [memo["a"], memo["a"], memo["b"]] == ["aa", "aa", "bb"]
    assert made == ["a", "b"]


def test_the_oldest_entries_are_forgotten() -> None:
    """The newest 8,192 entries are kept at any time, and at most an eighth more."""
    memo: Memo[int, list[int]] = Memo(lambda number: [number], len)
    kept = [memo[number] for number in range(3 * MAX_ENTRIES)]
    assert MAX_ENTRIES >= 8_192
    assert MAX_ENTRIES <= len(memo) <= MAX_ENTRIES * 9 // 8
    assert list(memo) == list(range(3 * MAX_ENTRIES))[-len(memo) :]
    assert all(memo[number] is kept[number] for number in range(2 * MAX_ENTRIES, 3 * MAX_ENTRIES))
    assert memo[0] is not kept[0]


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 8), st.integers(8, 60))
def test_limits_hold_after_every_step(lengths: list[int], entries: int, characters: int) -> None:
    """The newest entry is always there; both limits hold beside it; the entries are the last ones without a gap."""
    cache: Cache[int, str] = Cache(len, entries=entries, characters=characters)
    for number, length in enumerate(lengths):
        cache.keep(number, "x" * length)
        assert number in cache
        assert len(cache) <= max(1, entries + entries // 8)
        assert len(cache) == 1 or sum(map(len, cache.values())) <= characters
        assert all(later == earlier + 1 for earlier, later in pairwise(cache))


@pytest.mark.parametrize(
    ("length", "count", "kept"),
    [
        (1, 18, range(18)),
        (1, 19, range(3, 19)),
        (10, 8, range(8)),
        (10, 9, range(2, 9)),
        (9, 9, range(9)[-7:]),
    ],
)
def test_an_eighth_more_than_necessary_is_forgotten(length: int, count: int, kept: range) -> None:
    """One entry more than the limits allow leaves 16 entries, or 70 characters."""
    cache: Cache[int, str] = Cache(len, entries=16, characters=80)
    for number in range(count):
        cache.keep(number, "x" * length)
    assert list(cache) == list(kept)


def test_length_of_forgotten_entries_does_not_count() -> None:
    """After an entry that is too long, later entries are kept again."""
    memo: Memo[int, str] = Memo(lambda length: "x" * length, len, characters=80)
    for length in (81, 40, 39, 1):
        memo[length]
    assert list(memo) == [40, 39, 1]


def test_content_of_any_length_is_made_once() -> None:
    """Content that is longer than all cached content may be is kept until the next entry needs the room."""
    memo: Memo[int, str] = Memo(lambda length: "x" * length, len)
    huge = memo[MAX_CHARACTERS + 1]
    assert memo[MAX_CHARACTERS + 1] is huge
    assert memo[1] == "x"
    assert list(memo) == [1]


def test_an_entry_that_is_kept_again_replaces_the_first() -> None:
    """Threads can make the same value at the same time; the total length is corrected when entries are forgotten."""
    cache: Cache[str, str] = Cache(len, entries=4, characters=100)
    for _ in range(100):
        cache.keep("a", "x" * 20)
    assert cache == {"a": "x" * 20}
    for number in range(3):
        cache.keep(str(number), "y")
    assert len(cache) == 4


def test_threads_share_a_cache() -> None:
    """Threads that add and evict at the same time get their own values, and the limits hold afterwards."""
    memo: Memo[int, str] = Memo(str, len, entries=64)

    def work(start: int) -> bool:
        return all(memo[number % 1_000] == str(number % 1_000) for number in range(start, start + 20_000))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(0, 800, 100)))
    memo[-1]
    assert 1 <= len(memo) <= 64 + 8 + 8


def test_a_key_of_10000_scopes_is_encoded_once() -> None:
    """Content that is longer than 16,384 characters is cached like any other."""
    snapshots = Snapshots(None, 128)
    scopes = [f"workspace:{number}" for number in range(10_000)]
    first = snapshots.of(ApiKey("k_1", scopes=scopes))
    assert snapshots.of(ApiKey("k_1", scopes=scopes)) is first


def test_entries_that_are_added_during_an_eviction_are_kept() -> None:
    """A collection may run code that adds entries while the oldest are looked for."""
    cache: Cache[int, str] = Cache(len, entries=1_000)
    numbers = itertools.count(10_000)
    for number in range(1_125):
        cache.keep(number, "")

    def add() -> None:
        cache[next(numbers)] = ""

    with in_each_collection(add):
        cache.keep(-1, "")
    assert {-1, *range(10_000, next(numbers))} <= cache.keys()
    assert 0 not in cache
