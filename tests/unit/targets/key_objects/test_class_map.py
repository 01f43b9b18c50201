"""A map from classes to values compares classes by identity and does not keep them alive."""

from __future__ import annotations

import gc
import weakref

from otel_keyaudit.targets.key_objects.class_map import ClassMap


class Equal(type):
    """A metaclass whose classes are all equal and have no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        return True


def test_classes_are_compared_by_identity() -> None:
    """Metaclasses may define equality without a hash."""
    first, second = Equal("First", (), {}), Equal("Second", (), {})
    values: ClassMap[str] = ClassMap()
    values.keep(first, "first")
    assert values.get(first) == "first"
    assert values.get(second) is None
    values.keep(second, "second")
    assert (values.get(first), values.get(second)) == ("first", "second")


def test_the_value_of_a_class_is_replaced() -> None:
    """The last value of a class counts."""
    values: ClassMap[int] = ClassMap()
    for number in (1, 2):
        values.keep(Equal, number)
    assert values.get(Equal) == 2


def test_classes_are_not_kept_alive() -> None:
    """The classes of a reloaded module, with all their functions, can be collected."""
    values: ClassMap[str] = ClassMap()
    kind = type("Key", (), {})
    values.keep(kind, "key")
    is_alive = weakref.ref(kind)
    del kind
    gc.collect()
    assert is_alive() is None


def test_another_class_at_the_same_address_has_no_value() -> None:
    """The id of a collected class can be used again."""
    values: ClassMap[str] = ClassMap()
    for number in range(200):
        kind = type("Key", (), {})
        assert values.get(kind) is None, number
        values.keep(kind, "key")
        del kind
        gc.collect(0)


def test_the_number_of_classes_is_bounded() -> None:
    """The oldest classes are forgotten."""
    kinds = [type("Key", (), {}) for _ in range(40)]
    values: ClassMap[int] = ClassMap(8)
    for number, kind in enumerate(kinds):
        values.keep(kind, number)
    assert sum(values.get(kind) is not None for kind in kinds) <= 9
    assert values.get(kinds[-1]) == 39
