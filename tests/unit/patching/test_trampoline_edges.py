"""Code in place of a function's own, at the edges: parameters of every kind, tracebacks as text, what is duplicated."""

from __future__ import annotations

import functools
import inspect
import traceback
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.code_exchange import duplicate, kind_of
from support.observers import observed


def by_position(first: Any, second: Any = 2, /, third: Any = 3) -> Any:
    """Have parameters by position only, and one that may be named."""
    return first, second, third


def by_name(first: Any, *, only: Any, other: Any = "other") -> Any:
    """Have parameters by name only, and no further ones."""
    return first, only, other


def failing(action: str) -> None:
    """Raise."""
    raise LookupError(action)


@pytest.mark.parametrize(
    ("function", "fitting", "others"),
    [
        (by_position, [((1,), {}), ((1, 4, 5), {}), ((1,), {"third": 6})], [((), {"first": 1}), ((1,), {"second": 2})]),
        (
            by_name,
            [((1,), {"only": 2}), ((), {"first": 1, "only": 2, "other": 3})],
            [((1, 2), {"only": 3}), ((1,), {})],
        ),
    ],
)
def test_calls_fit_as_before(function: Callable[..., Any], fitting: list[Any], others: list[Any]) -> None:
    """What may be given by position only, or by name only, and what is too much, stays so."""
    before = inspect.signature(function), [function(*args, **kwargs) for args, kwargs in fitting]
    errors = [_refused(function, *call) for call in others]
    with observed(SimpleNamespace(f=function), "f") as observer:
        assert (inspect.signature(function), [function(*args, **kwargs) for args, kwargs in fitting]) == before
        assert [_refused(function, *call) for call in others] == errors
    assert len(observer.calls) == len(fitting)


def _refused(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    with pytest.raises(TypeError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_a_traceback_shows_one_more_line_and_its_source() -> None:
    """Nothing is marked in the line of the function's beginning, nor is there an empty line below it."""
    with observed(SimpleNamespace(f=failing), "f"), pytest.raises(LookupError) as caught:
        failing("create")
    shown = traceback.format_list(traceback.extract_tb(caught.value.__traceback__)[1:2])[0]
    line = failing.__code__.co_firstlineno
    assert shown == f'  File "{__file__}", line {line}, in failing\n    def failing(action: str) -> None:\n'


def test_a_duplicate_is_the_function_once_more() -> None:
    """With everything it has at that moment; what is given to one later is not the other's."""

    def function(value: int = 1, *, only: int = 2) -> tuple[int, int]:
        return value, only

    assert isinstance(function, FunctionType)
    function.__name__, function.__qualname__, function.__module__ = "named", "Other.named", "elsewhere"
    function.mark = "mark"  # type: ignore[attr-defined]
    other = duplicate(function)
    told = ("__name__", "__qualname__", "__module__", "__defaults__", "__kwdefaults__", "__closure__", "__dict__")
    assert [getattr(other, name) for name in told] == [getattr(function, name) for name in told]
    assert other() == (1, 2)
    other.mark = "changed"  # type: ignore[attr-defined]
    other.__defaults__ = (3,)
    assert (function.mark, function()) == ("mark", (1, 2))  # type: ignore[attr-defined]


def sync() -> None:
    """Return."""


async def coroutine() -> None:
    """Return."""


def generator() -> Iterator[None]:
    """Pause once."""
    yield


async def async_generator() -> AsyncIterator[None]:
    """Pause once."""
    yield


@types.coroutine
def generator_coroutine() -> Generator[None, None, None]:
    """Pause once."""
    yield


@pytest.mark.parametrize("function", [sync, coroutine, generator, async_generator, generator_coroutine])
def test_the_kind_of_a_function(function: FunctionType) -> None:
    """It is what its code is."""
    assert kind_of(function) == function.__name__


@pytest.mark.parametrize("function", [sync, coroutine, generator, async_generator])
def test_the_kind_of_what_is_no_python_function(function: FunctionType) -> None:
    """It is what it says of itself, as a partial and a compiled function do."""
    assert kind_of(functools.partial(function)) == function.__name__
