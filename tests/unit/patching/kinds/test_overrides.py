"""Methods that only their overrides implement are no targets, and overrides that do not call a target are found."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.kinds.overrides import methods_that_assign, overrides_without_call
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


def around(function: Any) -> Any:
    """A decorator."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def around_silently(function: Any) -> Any:
    """A decorator that does not tell which function it wraps."""

    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Base:
    """A base class whose methods do something."""

    def write(self, action: str) -> str:
        """Return the argument."""
        return action

    @staticmethod
    def write_static(action: str) -> str:
        """Return the argument."""
        return action


class ByItself(Base):
    """Its overrides call nothing."""

    def write(self, action: str) -> str:
        """Return the argument."""
        return action.upper()

    @staticmethod
    def write_static(action: str) -> str:
        """Return the argument."""
        return action.upper()


class Below(ByItself):
    """Its override does not call its base class either."""

    @around
    def write(self, action: str) -> str:
        """Return the argument."""
        return action.lower()


class BySuper(Base):
    """Calls the base class."""

    def write(self, action: str) -> str:
        """Return the argument."""
        return super().write(action)

    @staticmethod
    def write_static(action: str) -> str:
        """Return the argument."""
        return Base.write_static(action)


class InsideAFunction(Base):
    """Calls the base class inside a generator expression."""

    def write(self, action: str) -> str:
        """Return the argument."""
        return max(super(InsideAFunction, self).write(one) for one in [action])


class Decorated(Base):
    """Calls the base class inside decorators."""

    @around
    @around_silently
    def write(self, action: str) -> str:
        """Return the argument."""
        return Base.write(self, action)


class Assigned(Base):
    """Has an object in place of the method, which may call anything."""

    write = functools.lru_cache(ByItself.write)


def test_overrides_that_call_no_base_class_are_found() -> None:
    """They are recognized by the names in their code and in the functions that their decorators wrap."""
    found = [*overrides_without_call(Base, "write")]
    assert found == [(ByItself, ByItself.write), (Below, Below.write)]
    assert [*overrides_without_call(Base, "write_static")] == [(ByItself, ByItself.write_static)]
    assert [*overrides_without_call(Below, "write")] == []


class Quiet:
    """A base class whose method does nothing."""

    def record(self, action: str) -> Any: ...


class Loud(Quiet):
    """Does not call it."""

    def record(self, action: str) -> Any:
        """Return the argument."""
        return action


class Cooperative(Quiet):
    """Calls it."""

    def record(self, action: str) -> Any:
        """Return the argument."""
        return super().record(action)


def test_an_empty_method_is_a_target_if_any_override_calls_it() -> None:
    """The first override does not call it, but another one does."""
    with observed(SimpleNamespace(Quiet=Quiet), "Quiet.record") as observer:
        Loud().record("create")
        Cooperative().record("create")
    assert len(observer.calls) == 1


class Backend:
    """Has methods that its instances replace."""

    def authenticate(self, credential: str) -> str:
        """Return the argument."""
        return credential

    def verify(self, credential: str) -> str:
        """Return the argument."""
        return credential

    def retried(self, credential: str) -> str:
        """Return the argument."""
        return credential

    def counted(self, credential: str) -> str:
        """Return the argument."""
        return credential

    def __init__(self, authenticate: Callable[[str], str], count: int) -> None:
        self.counter = SimpleNamespace()
        self.authenticate = authenticate  # type: ignore[method-assign, assignment]
        self.verify = functools.lru_cache(count)(self.verify)  # type: ignore[method-assign]
        self.retried = around(self.retried)  # type: ignore[method-assign]
        self.counter.counted = count


class Switched(Backend):
    """Has a method that replaces another, in a closure."""

    def switch(self) -> Callable[[], str]:
        """Replace a method."""
        self.counted = lambda credential: credential  # type: ignore[method-assign]
        return lambda: self.counted("")


def test_methods_that_replace_others_on_instances_are_found() -> None:
    """A cache calls the method only once, so it is found; a wrapper calls it each time."""
    by_init = [(Backend, Backend.__init__)]
    assert [*methods_that_assign(Backend, "authenticate")] == by_init
    assert [*methods_that_assign(Switched, "authenticate")] == by_init
    assert [*methods_that_assign(Backend, "verify")] == by_init
    assert [*methods_that_assign(Backend, "counted")] == [(Switched, Switched.switch)]
    assert [*methods_that_assign(Backend, "missing")] == []


def test_wrapped_method_is_not_replaced() -> None:
    """Its calls reach the method."""

    class Retrying:
        def retried(self) -> None: ...

        def __init__(self) -> None:
            self.retried = around(self.retried)  # type: ignore[method-assign]

    assert [*methods_that_assign(Retrying, "retried")] == []
