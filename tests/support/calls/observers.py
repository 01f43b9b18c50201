"""An observer that keeps the calls and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from otel_keyaudit.patching.patch import Patch, wrap
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.wrappers import Observation


class Seen(Observation):
    """One call as it was seen."""

    def __init__(self, positional: tuple[Any, ...], keywords: dict[str, Any], *, lasts: bool = False) -> None:
        self.positional = positional
        self.keywords = keywords
        self.lasts = lasts
        self.results: list[Any] = []
        self.errors: list[BaseException] = []
        self.pauses = 0
        self.depth = 0
        self.keeps = True

    def returned(self, result: Any) -> Any:
        if self.keeps:
            self.results.append(result)
        return result

    def raised(self, error: BaseException) -> None:
        if self.keeps:
            self.errors.append(error)

    def pause(self) -> None:
        self.pauses += 1

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.depth -= 1
        if error is not None:
            self.raised(error)


class Observer:
    """Sees the calls of one target."""

    def __init__(self, *, lasts: bool = False, passes: bool = False) -> None:
        self.calls: list[Seen] = []
        self.keeps = True
        self._lasts = lasts
        self._passes = passes

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], original: object) -> Seen | None:
        if self._passes:
            return None
        seen = Seen(args, kwargs, lasts=self._lasts)
        seen.keeps = self.keeps
        if self.keeps:
            self.calls.append(seen)
        return seen

    def put_on(self, module: Any, name: str) -> Patch:
        return wrap(resolve(module, name), self)


@contextmanager
def observed(module: Any, name: str, *, lasts: bool = False, passes: bool = False) -> Iterator[Observer]:
    """Observe the calls of one target during a block."""
    observer = Observer(lasts=lasts, passes=passes)
    one = observer.put_on(module, name)
    try:
        yield observer
    finally:
        one.undo()
