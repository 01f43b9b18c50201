"""The code of a function is replaced, and everything that others see of the function stays the same."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
import traceback
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.code_exchange import duplicate, kind_of
from support.calls.observers import observed


class Base:
    def whoami(self) -> str:
        return "base"


class Secretive(Base):
    def whoami(self) -> str:
        return "secretive"

    def method(self, __hidden: int, *, __other: int = 2) -> Any:
        """Use mangled names, a cell and ``__class__``."""
        inner = [lambda: __hidden]
        return inner[0](), __other, super().whoami(), __class__.__name__  # type: ignore[name-defined]


def make(first: str, _keyaudit_0: str) -> Callable[..., Any]:
    """Return a function with free variables."""

    def closure(value: Any = None, *rest: Any, only: int = 1, **more: Any) -> Any:
        """Return the arguments."""
        return first, _keyaudit_0, value, rest, only, more, sorted(locals())

    return closure


def plain(action: str, extra: object = None) -> object:
    """Return the arguments, or raise."""
    if extra is None:
        raise LookupError(action)
    return extra


def test_methods_keep_mangled_names_super_and_class() -> None:
    """Private parameters, ``super()`` and ``__class__`` of a method work as before."""
    before = Secretive().method(1)
    with observed(SimpleNamespace(S=Secretive), "S.method") as observer:
        assert Secretive().method(1) == before == (1, 2, "base", "Secretive")
        assert Secretive().method(1, _Secretive__other=5)[1] == 5  # type: ignore[call-arg]
    assert observer.calls[1].keywords == {"_Secretive__other": 5}


def test_closures_keep_their_cells() -> None:
    """Free variables stay those of the function, also if one has the name that the library uses."""
    function = make("cell", "other")
    before = function(3, 4, only=5, more=6)
    with observed(SimpleNamespace(f=function), "f"):
        assert function(3, 4, only=5, more=6) == before
        assert function.__closure__ is not None
        assert [cell.cell_contents for cell in function.__closure__] == ["other", "cell"]


def test_defaults_that_change_later_count() -> None:
    """The defaults at the time of the call count."""

    def function(value: int = 1, *, only: int = 2) -> tuple[int, int]:
        return value, only

    with observed(SimpleNamespace(f=function), "f"):
        function.__defaults__, function.__kwdefaults__ = (10,), {"only": 20}
        assert function() == (10, 20)


def test_source_signature_and_names_stay() -> None:
    """``inspect`` reports the same source, signature and names."""
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
    """Between the caller and the function is one more frame, at the function's first line."""
    with observed(SimpleNamespace(f=plain), "f"), pytest.raises(LookupError) as caught:
        plain("create")
    shown = traceback.extract_tb(caught.value.__traceback__)
    names = [frame.name for frame in shown]
    assert names == ["test_a_traceback_shows_the_function_at_its_beginning", "plain", "plain"]
    assert (shown[1].lineno, shown[1].filename) == (plain.__code__.co_firstlineno, __file__)
    assert shown[1].line == "def plain(action: str, extra: object = None) -> object:"
    assert shown[2].line == "raise LookupError(action)"


def test_wrong_arguments_are_refused_by_the_function() -> None:
    """A call that does not fit raises the same ``TypeError`` and is not observed."""
    with observed(SimpleNamespace(f=plain), "f") as observer, pytest.raises(TypeError) as caught:
        plain()  # type: ignore[call-arg]
    assert str(caught.value) == "plain() missing 1 required positional argument: 'action'"
    assert observer.calls == []


def test_pickle_copy_and_identity_stay() -> None:
    """A function is pickled by its name and is its own copy, with and without the exchanged code."""
    with observed(SimpleNamespace(f=plain), "f") as observer:
        again = pickle.loads(pickle.dumps(plain))  # noqa: S301 - made here
        assert again is copy.copy(plain) is copy.deepcopy([plain])[0] is plain
        assert pickle.loads(pickle.dumps(partial(plain, "create")))(1) == 1  # noqa: S301 - made here
    assert len(observer.calls) == 1


def test_recursion_is_seen_at_every_level() -> None:
    """Each level of the recursion is observed."""
    module = SimpleNamespace()

    def down(depth: int) -> int:
        return 0 if depth == 0 else 1 + module.f(depth - 1)

    module.f = down
    with observed(module, "f") as observer:
        assert down(5) == 5
    assert [call.positional for call in observer.calls] == [(5,), (4,), (3,), (2,), (1,), (0,)]


def by_position(first: Any, second: Any = 2, /, third: Any = 3) -> Any:
    """Take positional-only parameters and one that may be named."""
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
    """Positional-only and keyword-only parameters and surplus arguments are handled as before."""
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
    """The line at the function's beginning has no markers and no empty line below it."""
    with observed(SimpleNamespace(f=failing), "f"), pytest.raises(LookupError) as caught:
        failing("create")
    shown = traceback.format_list(traceback.extract_tb(caught.value.__traceback__)[1:2])[0]
    line = failing.__code__.co_firstlineno
    assert shown == f'  File "{__file__}", line {line}, in failing\n    def failing(action: str) -> None:\n'


def test_a_duplicate_is_the_function_once_more() -> None:
    """The duplicate has everything that the function has, and later changes of one do not reach the other."""

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
    """The flags of the code give the kind of a function."""
    assert kind_of(function) == function.__name__


@pytest.mark.parametrize("function", [sync, coroutine, generator, async_generator])
def test_kind_of_other_callables(function: FunctionType) -> None:
    """A partial and a compiled function declare their kind themselves."""
    assert kind_of(functools.partial(function)) == function.__name__


def frames() -> list[str]:
    """Return the names of the frames between the test and its function, innermost first."""
    frame, names = sys._getframe(1), list[str]()
    while frame.f_code.co_name not in ("called", "<module>"):
        names.append(f"{frame.f_code.co_name} of {Path(frame.f_code.co_filename).name}")
        if frame.f_back is None:
            break
        frame = frame.f_back
    return names


def tell() -> list[str]:
    """Return who called."""
    return frames()


async def tell_later() -> list[str]:
    """Return who called."""
    return frames()


def tell_next() -> Iterator[list[str]]:
    """Yield who called."""
    yield frames()


async def tell_next_later() -> AsyncIterator[list[str]]:
    """Yield who called."""
    yield frames()


tell_cached = functools.lru_cache(maxsize=0)(tell)


@pytest.mark.parametrize("name", ["tell", "tell_later", "tell_next", "tell_next_later", "tell_cached"])
def test_one_frame_of_ours_is_named_and_placed_like_the_function(name: str) -> None:
    """Only one frame is added to a call; an observed generator has more."""

    def called() -> Any:
        result: Any = getattr(module, name)()
        if inspect.isasyncgen(result):
            result = anext(result).__await__()
        if inspect.iscoroutine(result) or name == "tell_next_later":
            with pytest.raises(StopIteration) as stopped:
                result.send(None)
            return stopped.value.value
        return next(result) if inspect.isgenerator(result) else result

    module = SimpleNamespace(**globals())
    one = f"{name.removesuffix('_cached')} of {Path(__file__).name}"
    assert called() == [one]
    with observed(module, name, passes=True):
        assert called() == [one, one]
    if "next" not in name:
        with observed(module, name):
            assert called() == [one, one]


def test_a_recursion_reaches_half_its_depth() -> None:
    """Each call adds one frame, not two."""

    def down(depth: int) -> int:
        return depth and 1 + down(depth - 1)

    limit = sys.getrecursionlimit()
    with observed(SimpleNamespace(f=down), "f", passes=True):
        assert down(int(limit * 0.4)) == int(limit * 0.4)


def enclosed(first: str) -> Callable[..., Any]:
    """Return a function with a free variable."""

    def function(action: str, extra: str = "") -> Any:
        return first, action, extra

    return function


def by_value(function: Any) -> Any:
    """Return a copy of a function with its code, each constant pickled, as Dask, Ray and Spark do."""
    constants = [
        constant if isinstance(constant, CodeType) else pickle.loads(pickle.dumps(constant))  # noqa: S301 - made here
        for constant in function.__code__.co_consts
    ]
    code = function.__code__.replace(co_consts=tuple(constants))
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)


@pytest.mark.parametrize("function", [plain, tell, tell_later, tell_next, tell_next_later, enclosed("a")])
def test_a_function_pickled_by_value_is_the_original(function: Any) -> None:
    """No constant holds an object of the library, and a call of the copy passes through."""
    with observed(SimpleNamespace(f=function), "f") as observer:
        data = [pickle.dumps(one) for one in function.__code__.co_consts if not isinstance(one, CodeType)]
        assert not any(b"keyaudit" in one for one in data)
        copied = by_value(function)
        assert kind_of(copied) == kind_of(function)

    def called() -> Any:
        result = copied(*["create", "!"][: function.__code__.co_argcount])
        if inspect.isasyncgen(result):
            return asyncio.run(_all_of(result))
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    assert called() is not None
    if kind_of(function) == "generator":
        assert len(list(called())) == 1
    assert observer.calls == []


async def _all_of(generator: AsyncIterator[Any]) -> list[Any]:
    return [value async for value in generator]
