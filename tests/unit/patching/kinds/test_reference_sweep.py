"""All references to a callable without Python code are replaced and restored."""

from __future__ import annotations

import functools
import gc
import sys
from functools import partial
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.patch import wrap
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import Observer, observed


def check(kind: str) -> str:
    """Return the argument."""
    return kind


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_static_and_class_methods_of_a_replaced_function_follow(kind: Any) -> None:
    """They hold the function itself, are replaced in their classes, and restored, also those that were made since."""
    module = ModuleType("module")
    module.f = functools.lru_cache(lambda *args: args[-1])  # type: ignore[attr-defined]
    original, method = module.f, kind(module.f)
    before = type("Before", (), {"f": method, "other": method})
    with observed(module, "f") as observer:
        since = type("Since", (), {"f": kind(module.f)})
        for function in (before.f, before().other, since.f):  # type: ignore[attr-defined]
            assert function("k_1") == "k_1"
        assert len(observer.calls) == 3
    assert vars(before)["f"] is vars(before)["other"] is method
    assert type(vars(since)["f"]) is kind
    assert vars(since)["f"].__func__ is original


@pytest.mark.parametrize("is_held", [False, True])
def test_restoring_searches_all_objects_only_if_somebody_else_holds_the_proxy(*, is_held: bool) -> None:
    """Every reference holds the original again, and a reference that the target found needs no search."""
    original = partial(check, "a")
    module = SimpleNamespace(check=original)
    patch = wrap(resolve(module, "check"), Observer())
    held = [module.check] if is_held else []
    searches = []

    def profile(_: FrameType, event: str, called: object) -> None:
        if event == "c_call" and called is gc.get_referrers:
            searches.append(called)

    sys.setprofile(profile)
    try:
        patch.undo()
    finally:
        sys.setprofile(None)
    assert {*map(id, [module.check, *held])} == {id(original)}  # a comprehension would hold it in a cell before 3.12
    assert bool(searches) is is_held
