"""What is worked out once and remembered: so many things, and none of them long."""

from otel_keyaudit.key.cache import LONGEST_CONTENT, MOST_REMEMBERED, Memory


def test_the_same_is_worked_out_once() -> None:
    """An equal content finds what was made of it."""
    made: list[str] = []

    def make(content: str) -> str:
        made.append(content)
        return content * 2

    memory = Memory(make, len)
    assert [memory["a"], memory["a"], memory["b"]] == ["aa", "aa", "bb"]
    assert made == ["a", "b"]


def test_only_so_many_are_kept() -> None:
    """One more than that, and it begins anew; what is asked for again is worked out again."""
    memory: Memory[int, list[int]] = Memory(lambda content: [content], len)
    kept = [memory[number] for number in range(MOST_REMEMBERED)]
    assert len(memory) == MOST_REMEMBERED
    assert memory[0] is kept[0]
    memory[MOST_REMEMBERED]
    assert list(memory) == [MOST_REMEMBERED]
    assert memory[0] == kept[0]
    assert memory[0] is not kept[0]


def test_what_is_long_is_not_kept() -> None:
    """It is worked out each time, and nothing else is forgotten for it."""
    memory: Memory[int, str] = Memory(lambda content: "x" * content, len)
    for length in (1, LONGEST_CONTENT, LONGEST_CONTENT + 1):
        assert len(memory[length]) == length
    assert list(memory) == [1, LONGEST_CONTENT]
