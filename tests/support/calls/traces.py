"""Records the steps of a call, so that two calls can be compared."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

Step = tuple[str, Any]
"""``send``, ``throw`` or ``close``, with the argument."""


def call(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], steps: Sequence[Step]) -> list[Any]:
    """Return the result or exception of a call, and the steps of its coroutine or generator."""
    outcome, result = _outcome(lambda: function(*args, **kwargs))
    if isinstance(result, CoroutineType):
        return [outcome[0], asyncio.run(_awaited(lambda: result))]
    if isinstance(result, GeneratorType):
        return [outcome[0], [_outcome(_step(result, step))[0] for step in steps], inspect.getgeneratorstate(result)]
    if isinstance(result, AsyncGeneratorType):
        return [outcome[0], asyncio.run(_async_steps(result, steps))]
    return [outcome]


async def _async_steps(generator: AsyncGeneratorType[Any, Any], steps: Sequence[Step]) -> list[Any]:
    return [await _awaited(_async_step(generator, step)) for step in steps]


def _step(generator: GeneratorType[Any, Any, Any], step: Step) -> Callable[[], Any]:
    name, value = step
    return generator.close if name == "close" else lambda: getattr(generator, name)(value)


def _async_step(generator: AsyncGeneratorType[Any, Any], step: Step) -> Callable[[], Awaitable[Any]]:
    name, value = step
    return generator.aclose if name == "close" else lambda: getattr(generator, f"a{name}")(value)


def _outcome(work: Callable[[], Any]) -> tuple[Any, Any]:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - any of them is an outcome
        return _raised(error), None
    return ("returned", _comparable(result)), result


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return "returned", _comparable(await work())
    except BaseException as error:  # noqa: BLE001 - any of them is an outcome
        return _raised(error)


def _raised(error: BaseException) -> tuple[Any, ...]:
    return "raised", type(error), _text(error), type(error.__cause__), type(error.__context__)


def _text(error: BaseException) -> str:
    return str(error).replace("f() ", "C.f() ")  # the first name differs with a decorator


def _comparable(value: Any) -> Any:
    return value if isinstance(value, (str, int, list, tuple, type(None))) else type(value)
