"""The code that takes the place of a function's own: what others see of the function stays the same."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from collections.abc import Callable
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.patch import Exchange
from support.observers import observed


class Base:
    def whoami(self) -> str:
        return "base"


class Secretive(Base):
    def whoami(self) -> str:
        return "secretive"

    def method(self, __hidden: int, *, __other: int = 2) -> Any:
        """Have mangled names, a cell of its own and that of the class."""
        inner = [lambda: __hidden]
        return inner[0](), __other, super().whoami(), __class__.__name__  # type: ignore[name-defined]


def make(first: str, _keyaudit_0: str) -> Callable[..., Any]:
    """Return a function with free variables."""

    def closure(value: Any = None, *rest: Any, only: int = 1, **more: Any) -> Any:
        """Say what it got."""
        return first, _keyaudit_0, value, rest, only, more, sorted(locals())

    return closure


def plain(action: str, extra: object = None) -> object:
    """Return what it got, or raise."""
    if extra is None:
        raise LookupError(action)
    return extra


def test_methods_keep_mangled_names_super_and_class() -> None:
    """A method's private parameters, ``super()`` and ``__class__`` work as before."""
    before = Secretive().method(1)
    with observed(SimpleNamespace(S=Secretive), "S.method") as observer:
        assert Secretive().method(1) == before == (1, 2, "base", "Secretive")
        assert Secretive().method(1, _Secretive__other=5)[1] == 5  # type: ignore[call-arg]
    assert observer.calls[1].keywords == {"_Secretive__other": 5}


def test_closures_keep_their_cells() -> None:
    """Free variables are those of the function, also where one has the name we would choose."""
    function = make("cell", "other")
    before = function(3, 4, only=5, more=6)
    with observed(SimpleNamespace(f=function), "f"):
        assert function(3, 4, only=5, more=6) == before
        assert function.__closure__ is not None
        assert [cell.cell_contents for cell in function.__closure__] == ["other", "cell"]


def test_defaults_that_change_later_count() -> None:
    """Defaults are those the function has when it is called."""

    def function(value: int = 1, *, only: int = 2) -> tuple[int, int]:
        return value, only

    with observed(SimpleNamespace(f=function), "f"):
        function.__defaults__, function.__kwdefaults__ = (10,), {"only": 20}
        assert function() == (10, 20)


def test_source_signature_and_names_stay() -> None:
    """What ``inspect`` says of a function is what it said before."""
    told: list[Callable[[Any], Any]] = [
        inspect.getsource,
        inspect.getsourcefile,
        inspect.signature,
        inspect.getfullargspec,
        inspect.getdoc,
        lambda function: function.__code__.co_varnames[: function.__code__.co_argcount],
        lambda function: function.__code__.co_firstlineno,
        lambda function: function.__code__.co_name,
        lambda function: getattr(function.__code__, "co_qualname", None),
        lambda function: function.__annotations__,
    ]
    before = [tell(plain) for tell in told]
    with observed(SimpleNamespace(f=plain), "f"):
        assert [tell(plain) for tell in told] == before


def test_a_traceback_shows_the_function_at_its_beginning() -> None:
    """Between the caller and the function is one more frame, at the function's own first line."""
    with observed(SimpleNamespace(f=plain), "f"), pytest.raises(LookupError) as caught:
        plain("create")
    shown = traceback.extract_tb(caught.value.__traceback__)
    names = [frame.name for frame in shown]
    assert names == ["test_a_traceback_shows_the_function_at_its_beginning", "plain", "plain"]
    assert (shown[1].lineno, shown[1].filename) == (plain.__code__.co_firstlineno, __file__)
    assert shown[1].line == "def plain(action: str, extra: object = None) -> object:"
    assert shown[2].line == "raise LookupError(action)"


def test_wrong_arguments_are_refused_by_the_function() -> None:
    """A call that does not fit is the ``TypeError`` it always was, and nobody sees a call."""
    with observed(SimpleNamespace(f=plain), "f") as observer, pytest.raises(TypeError) as caught:
        plain()  # type: ignore[call-arg]
    assert str(caught.value) == "plain() missing 1 required positional argument: 'action'"
    assert observer.calls == []


def test_pickle_copy_and_identity_stay() -> None:
    """A function is pickled by its name and is its own copy, exchanged code or not."""
    with observed(SimpleNamespace(f=plain), "f") as observer:
        again = pickle.loads(pickle.dumps(plain))  # noqa: S301 - made here
        assert again is copy.copy(plain) is copy.deepcopy([plain])[0] is plain
        assert pickle.loads(pickle.dumps(partial(plain, "create")))(1) == 1  # noqa: S301 - made here
    assert len(observer.calls) == 1


def test_recursion_is_seen_at_every_level() -> None:
    """A function that calls itself by name is called through us each time."""
    module = SimpleNamespace()

    def down(depth: int) -> int:
        return 0 if depth == 0 else 1 + module.f(depth - 1)

    module.f = down
    with observed(module, "f") as observer:
        assert down(5) == 5
    assert [call.positional for call in observer.calls] == [(5,), (4,), (3,), (2,), (1,), (0,)]


def _exchanges(count: int) -> list[Exchange]:
    def handler(number: int, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda args, kwargs: f"{number}{original(*args, **kwargs)}"

    assert isinstance(plain, FunctionType)
    return [Exchange(plain, partial(handler, number)) for number in range(count)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
def test_exchanges_come_off_in_any_order(order: tuple[int, ...]) -> None:
    """Each of several exchanges goes without the others; at the end the very code of the beginning is there."""
    code = plain.__code__
    exchanges = _exchanges(3)
    assert plain("create", "!") == "210!"
    left = "210"
    for number in order:
        exchanges[number].undo()
        left = left.replace(str(number), "")
        assert plain("create", "!") == f"{left}!"
    assert plain.__code__ is code


def test_code_that_somebody_else_exchanged_stays_theirs() -> None:
    """Where another tool has put code of its own on top, that is not taken away."""

    def function() -> int:
        return 1

    def other() -> int:
        return 2

    assert isinstance(function, FunctionType)
    exchange = Exchange(function, lambda original: lambda args, kwargs: original(*args, **kwargs))
    function.__code__ = other.__code__
    exchange.undo()
    assert function() == 2
