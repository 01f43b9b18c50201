"""Observe one call of a function, which the trampoline calls exactly once, outside of any guard.

The trampoline (``code_exchange``) has the sequence: begin the observation, enter it, call the original with the
observation's arguments, conclude it. The folder ``results`` follows a call that continues after the function returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType, TracebackType
from typing import Any

from otel_keyaudit.patching.results.awaitables import ends_later, follow
from otel_keyaudit.patching.results.generators import AsyncRelay, Relay


class Observation:
    """One observed call: a context manager that is entered around the call, and again each time that the call resumes.

    Attributes:
        positional: Positional arguments with which the original is called.
        keywords: Keyword arguments with which the original is called.
        lasts: The call lasts until its generator is exhausted. Otherwise the first yielded value concludes it.
        may_exclude: The condition of the observer is known only at the end, and may exclude the call then.
    """

    positional: tuple[Any, ...]
    keywords: dict[str, Any]
    lasts: bool = False
    may_exclude: bool = False

    def add_alternative(self, other: Observation) -> None:
        """Have another observer of the group observe the call if the condition of this one excludes it."""

    def called(self, result: Any, original: Callable[..., Any] | None = None) -> Any:
        """Conclude the call of a plain function, or follow its result until it ends.

        Args:
            result: The value that the function returned.
            original: The function.

        Returns:
            The result for the caller.
        """
        kind = type(result)  # compared by identity, because a metaclass may define equality
        if result is None or kind is str or kind is dict:
            return self.returned(result)
        return follow(self, result, original) if ends_later(kind) else self.returned(result)

    def returned(self, result: Any) -> Any:
        """Conclude the call; return the result for the caller."""
        return result

    def resolved(self, result: Any) -> Any:
        """Conclude the call with the result of the Future that its caller has."""
        return self.returned(result)

    def raised(self, error: BaseException) -> None:
        """Conclude the call with the exception of the Future that its caller has."""

    def pause(self) -> None:
        """Leave the call without concluding it, because it resumes later."""

    def yielded(self, value: Any) -> Any:
        """Conclude the call with the first yielded value, or pause until it resumes."""
        if not self.lasts:
            return self.returned(value)
        self.pause()
        return value

    def generator(self, generator: Any) -> Relay:
        """Return the iteration of a generator."""
        return Relay(generator, self)

    def async_generator(self, generator: Any) -> AsyncRelay:
        """Return the iteration of an asynchronous generator."""
        return AsyncRelay(generator, self)

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


Observe = Callable[[tuple[Any, ...], dict[str, Any], FunctionType], "Observation | None"]
"""Begins the observation of a call. It gets the positional arguments, the keyword arguments and the original function,
whose ``__closure__`` can be read. If it returns ``None``, the call passes through."""


class CombinedObservation(Observation):
    """The observations of one call by several observers, outermost first."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self._observations = observations
        self._entered: list[Observation] = []
        self.positional, self.keywords = observations[-1].positional, observations[-1].keywords
        self.lasts = any(one.lasts for one in observations)

    def returned(self, result: Any) -> Any:
        """Conclude the call, innermost observation first."""
        for one in reversed(self._observations):
            result = one.returned(result)
        return result

    def yielded(self, value: Any) -> Any:
        """Conclude the observations that do not last."""
        for one in reversed(self._observations):
            value = one.yielded(value)
        self._observations = [one for one in self._observations if one.lasts]
        return value

    def resolved(self, result: Any) -> Any:
        """Conclude the call with the result of a Future, innermost observation first."""
        for one in reversed(self._observations):
            result = one.resolved(result)
        return result

    def raised(self, error: BaseException) -> None:
        """Conclude the call with an exception, innermost observation first."""
        for one in reversed(self._observations):
            one.raised(error)

    def pause(self) -> None:
        """Leave the call without concluding it."""
        for one in self._observations:
            one.pause()

    def __enter__(self) -> None:
        entered: list[Observation] = []
        try:
            for one in self._observations:
                one.__enter__()
                entered.append(one)
            self._entered, entered = entered, []
        finally:
            _leave(entered, None, None, None)  # if an interrupt kept a later one from being entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _leave(self._entered, kind, error, traceback)


def _leave(
    entered: list[Observation],
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Leave observations, innermost first. If an interrupt ends one of these steps, the others still run.

    An ``ExitStack`` would read and set attributes of the application's exception, whose class may forbid that.
    """
    if entered:
        try:
            entered.pop().__exit__(kind, error, traceback)
        finally:
            _leave(entered, kind, error, traceback)
