"""Members of classes are looked up without their metaclasses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_keyaudit.patching.results.class_members import defines, has_method


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError("nobody asks")


class Base:
    attribute = 1

    def method(self) -> None: ...

    def removed(self) -> None: ...


class Child(Base):
    removed = None  # type: ignore[assignment]


def closed() -> type:
    """Return a class that cannot be asked for its members."""
    return type.__new__(Meta, "Closed", (Child,), {})


@pytest.mark.parametrize("make", [lambda: Child, closed], ids=["ordinary", "closed"])
@pytest.mark.parametrize(("name", "is_method"), [("attribute", False), ("method", True), ("removed", False)])
def test_members_are_found_in_the_class_and_its_bases(make: Callable[[], type], name: str, is_method: bool) -> None:
    """A method that a class replaces by ``None`` is absent."""
    assert defines(make(), name)
    assert has_method(make(), name) is is_method


@pytest.mark.parametrize("make", [lambda: Child, closed], ids=["ordinary", "closed"])
def test_absent_members_are_not_found(make: Callable[[], type]) -> None:
    """The metaclass is not asked for an absent member."""
    assert not defines(make(), "absent")
    assert not has_method(make(), "absent")
