"""An observed call is the application's own: it runs once with the same arguments, result and exception."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from types import CoroutineType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.calls import shapes, traces
from support.calls.observers import observed
from support.calls.shapes import FORMS, KINDS, Shape
from support.environment.effort import examples

errors = st.sampled_from([KeyError("key"), ValueError("value"), StopIteration(1), GeneratorExit()])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([None, None, 1, "stubborn", "return", "raise"])),
        st.tuples(st.just("throw"), errors),
        st.tuples(st.just("close"), st.none()),
    ),
    max_size=6,
)
ALL = [(form, kind) for form in FORMS for kind in KINDS]
ONE = shapes.Parameters(0, 1, 0, False, (), False)


def traced(shape: Shape, arguments: Any, steps: Any, *, fails: bool) -> list[Any]:
    """Return the outcome and steps of a call, and the arguments that the function received."""
    shape.module.LOG.clear()
    getattr(shape.reach(), "cache_clear", bool)()
    steps = [*steps, ("close", None)]
    shape.module.ERROR[:] = [LookupError("no")] * fails
    return [traces.call(shape.reach(), arguments[0], arguments[1], steps), list(shape.module.LOG)]


def description(function: Any) -> list[Any]:
    """Return what introspection reports about a callable."""
    tests: list[Callable[[Any], object]] = [
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ]
    if sys.version_info < (3, 14):  # deprecated since
        tests.append(asyncio.iscoroutinefunction)
    names = [getattr(function, name, None) for name in ("__name__", "__qualname__", "__module__", "__doc__")]
    return [[test(function) for test in tests], str(inspect.signature(function)), names]


def check(form: str, kind: str, of: shapes.Parameters, arguments: Any, steps: Any, *, fails: bool, how: str) -> None:
    """Compare a call of a function with the same call of the same function, which is observed or passes through."""
    plain, other = Shape(form, kind, of), Shape(form, kind, of)
    expected = traced(plain, arguments, steps, fails=fails)
    with observed(other.module, other.name, lasts=how == "lasts", passes=how == "passes") as observer:
        assert traced(other, arguments, steps, fails=fails) == expected
        assert description(other.reach()) == description(plain.reach())
        assert all(call.depth == 0 for call in observer.calls)
    assert traced(other, arguments, steps, fails=fails) == expected


@pytest.mark.parametrize(("form", "kind"), ALL)
def test_no_difference_for_any_signature(form: str, kind: str) -> None:
    """Calls of any signature, kind and binding, right or wrong, behave as without the library."""

    @settings(max_examples=examples(1_000, quick=25), deadline=None)
    @given(shapes.parameters, shapes.arguments, steps, st.booleans(), st.sampled_from(["first", "lasts", "passes"]))
    def compare(of: Any, arguments: Any, steps: Any, fails: bool, how: str) -> None:
        check(form, kind, of, arguments, steps, fails=fails, how=how)

    with few_objects():
        compare()


@contextmanager
def few_objects() -> Iterator[None]:
    """Hide the objects of the test run from searches through all objects."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("form", "kind"),
    # the result of a decorator without ``__wrapped__`` is a result like any other, even a generator
    [(form, kind) for form in FORMS for kind in KINDS if form != "decorated" or "generator" not in kind],
)
def test_every_call_is_seen_once(form: str, kind: str) -> None:
    """Each kind of call is observed once, with its argument and the identical result."""
    shape = Shape(form, kind, ONE)
    module = shape.module
    with observed(module, shape.name) as observer:
        first = _first(shape.reach()("create"))
    (call,) = observer.calls
    assert first is module.RESULT
    assert call.results == [module.RESULT]
    assert "create" in (*call.positional, *call.keywords.values())
    assert module.LOG[0] == ["create"]
    assert module.LOG.count(["create"]) == 1


@pytest.mark.parametrize("kind", ["sync", "coroutine"])
@pytest.mark.parametrize("form", FORMS)
def test_an_exception_is_the_very_one(form: str, kind: str) -> None:
    """The exception passes through as the same object with the same context, and is observed."""
    shape = Shape(form, kind, ONE)
    error = LookupError("no")
    shape.module.ERROR.append(error)
    with observed(shape.module, shape.name) as observer, pytest.raises(LookupError) as caught:
        _first(shape.reach()("create"))
    assert caught.value is error
    assert error.__context__ is None
    assert observer.calls[0].errors == [error]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
@pytest.mark.parametrize("kind", ["sync", "generator"])
def test_base_exceptions_go_through(kind: str, error: BaseException) -> None:
    """Exits, interrupts and cancellations pass through."""
    shape = Shape("function", kind, ONE)
    shape.module.ERROR.append(error)

    def work() -> None:
        result = shape.reach()("create")
        next(result)
        result.send("raise")

    with observed(shape.module, "f"), pytest.raises(type(error)) as caught:
        work()
    assert caught.value is error


def _first(result: Any) -> Any:
    """Return the result of a call or its first value."""
    if isinstance(result, CoroutineType):
        return asyncio.run(result)
    if inspect.isgenerator(result):
        return next(result)
    return asyncio.run(_first_of(result)) if inspect.isasyncgen(result) else result


async def _first_of(generator: AsyncGenerator[Any, Any]) -> Any:
    first = await anext(generator)
    await generator.aclose()
    return first
