"""The proxy of a callable without Python code is called, bound and copied like the original."""

from __future__ import annotations

import asyncio
import copy
import operator
import pickle
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, partialmethod
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.kinds.replacement import Replacement
from support.calls.observers import observed


class Vault:
    def check(self, kind: str, key: str = "none", **more: object) -> tuple[Any, ...]:
        """Return the arguments."""
        return self, kind, key, more


def check(kind: str, key: str = "none", **more: object) -> tuple[Any, ...]:
    """Return the arguments."""
    return kind, key, more


async def looked_up(kind: str, key: str) -> str:
    """Return at once."""
    return f"{kind} {key}"


def opened(kind: str, key: str) -> Iterator[str]:
    """Yield once."""
    yield f"{kind} {key}"


@pytest.mark.parametrize(
    "make", [lambda: partial(check, "a", more=1), lambda: partial(Vault().check, "a", more=1), lambda: max]
)
def test_proxy_passes_the_same_arguments(make: Callable[[], Any]) -> None:
    """The partial's own arguments come first, and its keywords give way to those of the call."""
    original = make()
    proxy = Replacement(original)
    calls: list[Any] = [(("b",), {}), (("b", "c"), {}), ((), {"key": "b"}), (("b",), {"more": 2, "other": 3})]
    for args, kwargs in calls:
        assert _outcome(proxy, args, kwargs) == _outcome(original, args, kwargs)


def _outcome(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        return str(error)


def test_call_of_a_partial_is_observed_as_a_call_of_its_function() -> None:
    """A partial of a method is observed with the object and all arguments; a call that does not fit is not observed."""
    vault = Vault()
    module = SimpleNamespace(check=partial(vault.check, "a"))
    with observed(module, "check") as observer:
        assert module.check(key="b", other=1) == (vault, "a", "b", {"other": 1})
        with pytest.raises(TypeError, match="positional arguments"):
            module.check("b", "c")
    (call,) = observer.calls
    assert (call.positional, call.keywords) == ((vault, "a", "b"), {"other": 1})


def test_results_of_coroutines_and_generators_are_observed() -> None:
    """A partial of a coroutine or generator function, and a cached one, are observed until their end."""
    module = SimpleNamespace(looked_up=partial(looked_up, "a"), opened=partial(opened, "a"), cached=lru_cache(opened))
    with observed(module, "looked_up") as lookups, observed(module, "opened") as openings:
        assert asyncio.run(module.looked_up("b")) == "a b"
        assert list(module.opened("b")) == ["a b"]
    with observed(module, "cached") as caches:
        assert list(module.cached("a", "b")) == ["a b"]
    calls = (*lookups.calls, *openings.calls, *caches.calls)
    assert [call.results for call in calls] == [["a b"], ["a b"], ["a b"]]


def test_proxy_becomes_a_method_if_the_original_does() -> None:
    """A method in C becomes one in its own way, and an object without descriptor stays one."""

    class Name(str):
        __slots__ = ()
        upper_case = Replacement(str.upper)
        first = Replacement(operator.itemgetter(0))

    assert Name("ann").upper_case() == "ANN"
    assert Name("ann").first("b") == "b"
    assert Name.first is vars(Name)["first"]


def test_deep_copy_shares_objects_as_the_original_does() -> None:
    """In a deep copy the partial holds the copy of the object beside it."""
    shared: Any = []
    proxy, beside = copy.deepcopy((Replacement(partial(check, shared)), shared))
    assert beside is not shared
    assert proxy.args[0] is beside


class HandsOut:
    """A descriptor that returns a function of the module."""

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., Any]:
        return check


class Log:
    """An object whose methods are callables of descriptors."""

    def write(self, kind: str, key: str = "none") -> tuple[Any, ...]:
        """Return the arguments."""
        return self, kind, key

    special = partialmethod(write, "special")
    handed_out = HandsOut()


def pickled(value: Any) -> Any:
    """Return a copy through pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("name", ["special", "handed_out"])
def test_callable_of_a_descriptor_is_copied_as_the_original(name: str, copied: Callable[[Any], Any]) -> None:
    """A configuration that holds such a callable can be copied and pickled, and the copy returns the same."""
    plain = getattr(Log(), name)
    with observed(SimpleNamespace(Log=Log), f"Log.{name}"):
        made = copied(getattr(Log(), name))
        assert type(made.__wrapped__ if hasattr(made, "__wrapped__") else made) is type(plain)
        assert made("a")[-2:] == plain("a")[-2:]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copy_of_a_method_is_observed(copied: Callable[[Any], Any]) -> None:
    """In a deep copy the observer gets the copy of the object."""
    log = Log()
    with observed(SimpleNamespace(Log=Log), "Log.special") as observer:
        special, owner = copied((log.special, log)) if copied is copy.deepcopy else (copied(log.special), log)
        assert special() == (owner, "special", "none")
    assert (owner is log) == (copied is copy.copy)
    assert [call.positional for call in observer.calls] == [(owner,)]


@pytest.mark.parametrize("name", ["special", "handed_out"])
def test_proxy_is_shown_as_the_original(name: str) -> None:
    """An application may log its callables or use the string as a name."""
    log = Log()
    before = repr(getattr(log, name))
    with observed(SimpleNamespace(Log=Log), f"Log.{name}"):
        assert repr(getattr(log, name)) == before
    original = partial(check, "a")
    assert repr(Replacement(original)) == repr(original)
