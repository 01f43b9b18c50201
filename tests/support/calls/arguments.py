"""Functions with parameters of every kind, decorated and not, and the arguments of their calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Given:
    """The arguments of a recorded call."""

    positional: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


def given(*args: Any, **kwargs: Any) -> Given:
    """Return arguments."""
    return Given(args, kwargs)


def record(action: str, additional_fields: Any = None, *rest: Any, outcome: str = "ok", **more: Any) -> None:
    """Have every kind of parameter."""


def passing_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function without ``__wrapped__``."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def saying_so(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate properly."""
    return functools.wraps(function)(passing_on(function))


def write(action: str, additional_fields: Any = None, *, outcome: str = "ok") -> tuple[Any, ...]:
    """Return the written row."""
    return action, additional_fields, outcome
