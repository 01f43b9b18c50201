"""Methods that only their overrides implement are no targets."""

from __future__ import annotations

import abc
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import observed


class Sink(abc.ABC):
    """Something to implement."""

    @abc.abstractmethod
    def record(self, action: str) -> None:
        """Record."""

    @classmethod
    @abc.abstractmethod
    def open(cls) -> None:
        """Open."""

    def close(self) -> None:
        """Close."""
        raise NotImplementedError("close")


class DbSink(Sink):
    """An implementation."""

    def record(self, action: str) -> None:
        """Record."""

    @classmethod
    def open(cls) -> None:
        """Open."""

    def close(self) -> None:
        """Close."""


class Recorder(Protocol):
    """Something of that form."""

    def record(self, action: str) -> None:
        """Record."""


@pytest.mark.parametrize("name", ["Sink.record", "Sink.open", "Sink.close", "Recorder.record"])
def test_an_abstract_method_is_wrong(name: str) -> None:
    """Implementations do not call the abstract method, so the reason names one of them."""
    with pytest.raises(WrongTargetError) as caught:
        resolve(SimpleNamespace(Sink=Sink, Recorder=Recorder), name)
    example = f", as in {__name__}:DbSink.{name.split('.')[1]}" if name.startswith("Sink") else ""
    assert str(caught.value) == f"{name} is abstract; name the method that implements it{example}"


class Empty:
    """A base class whose methods do nothing."""

    def record(self, action: str) -> Any: ...

    def documented(self, action: str) -> Any:
        """Do nothing."""

    async def later(self, action: str) -> Any:
        """Do nothing."""

    def cooperative(self, action: str) -> Any:
        """Do nothing."""

    def kept(self, action: str) -> Any:
        """Do nothing."""


class Full(Empty):
    """Overrides most methods."""

    def record(self, action: str) -> Any:
        """Return the argument."""
        return action

    def documented(self, action: str) -> Any:
        """Return the argument."""
        return action

    async def later(self, action: str) -> Any:
        """Return the argument."""
        return action

    def cooperative(self, action: str) -> Any:
        """Call the base class, too."""
        return super().cooperative(action)


MODULE = SimpleNamespace(Empty=Empty, Full=Full)


@pytest.mark.parametrize("name", ["record", "documented", "later"])
def test_an_empty_method_that_is_overridden_is_wrong(name: str) -> None:
    """The override does not call it, so no call would be observed."""
    with pytest.raises(WrongTargetError, match=f"Empty.{name} is abstract; .*, as in {__name__}:Full.{name}"):
        resolve(MODULE, f"Empty.{name}")
    assert resolve(MODULE, f"Full.{name}").has_self


@pytest.mark.parametrize("name", ["cooperative", "kept"])
def test_an_empty_method_that_is_called_is_a_target(name: str) -> None:
    """An override may call the method of its base class."""
    with observed(MODULE, f"Empty.{name}") as observer:
        getattr(Full(), name)("create")
    assert len(observer.calls) == 1
