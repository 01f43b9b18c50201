"""Handlers replace a function's code, and are undone in any order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, cast

import pytest

from otel_keyaudit.patching.handlers import HandlerPatch
from support.calls.observers import Observer


def plain(action: str, extra: object = None) -> object:
    """Return the second argument, or raise."""
    if extra is None:
        raise LookupError(action)
    return extra


def _patched(count: int) -> list[HandlerPatch]:
    def handler(number: int, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda args, kwargs: f"{number}{original(*args, **kwargs)}"

    assert isinstance(plain, FunctionType)
    return [HandlerPatch(plain, partial(handler, number)) for number in range(count)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_handlers_are_undone_in_any_order(order: tuple[int, ...]) -> None:
    """Each handler is removed without the others, and the identical code is there at the end."""
    code = plain.__code__
    patches = _patched(3)
    assert plain("create", "!") == "210!"
    left = "210"
    for number in order:
        patches[number].undo()
        left = left.replace(str(number), "")
        assert plain("create", "!") == f"{left}!"
    assert plain.__code__ is code


def test_code_that_somebody_else_exchanged_stays_theirs() -> None:
    """Code that another tool has put on top stays."""

    def function() -> int:
        return 1

    def other() -> int:
        return 2

    assert isinstance(function, FunctionType)
    patch = HandlerPatch(function, lambda original: lambda args, kwargs: original(*args, **kwargs))
    function.__code__ = other.__code__
    patch.undo()
    assert function() == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_handlers_and_observers_are_undone_in_any_order(order: tuple[int, ...]) -> None:
    """At the end the function has its identical code again."""
    function = cast("FunctionType", plain)
    code = function.__code__
    observers = [Observer(), Observer()]

    def handler(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda args, kwargs: f"{name}{original(*args, **kwargs)}"

    module = SimpleNamespace(f=plain)
    undo: list[Callable[[], None]] = [
        HandlerPatch(function, partial(handler, "a")).undo,
        observers[0].put_on(module, "f").undo,
        HandlerPatch(function, partial(handler, "b")).undo,
        observers[1].put_on(module, "f").undo,
    ]
    on = set(range(4))
    for number in (None, *order):
        if number is not None:
            undo[number]()
            on.remove(number)
        assert plain("create", "!") == "b" * (2 in on) + "a" * (0 in on) + "!"
        assert [len(observer.calls) for observer in observers] == [1 in on, 3 in on]
        for observer in observers:
            observer.calls.clear()
    assert function.__code__ is code
