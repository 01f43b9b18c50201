"""Targets can name definitions inside a function, and every function that is made from them is observed."""

from __future__ import annotations

import asyncio
import gc
import inspect
import time
from operator import itemgetter
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.kinds.definitions import locals_form
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import Observer, observed

SHOP = """
import functools

def require_scope(scope):
    async def dependency(key="anonymous", *, more=1):
        "Return the key."
        return scope, key
    return dependency

def require_api_key(scope):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return scope, function(*args, **kwargs)
        return wrapper
    return decorate

@functools.lru_cache
def cached(scope):
    def dependency(key): return scope, key
    return dependency

class Factory:
    def make(self, scope):
        def dependency(key): return scope, key
        return dependency

def classes(scope):
    class Checker:
        def check(self, key): return scope, key
        class Inner:
            def check(self, key): return scope, key
    return Checker

def either(scope):
    if scope == "a":
        def dependency(key): return "a", key
    else:
        def dependency(key): return scope, key
    return dependency

def generators(scope):
    def dependency(key):
        yield scope, key
    return dependency

def lambdas(scope):
    return lambda key: (scope, key)

def comprehensions(scope):
    return [lambda key: (one, key) for one in scope][0]

def recursive(scope):
    def count(key): return 0 if not key else 1 + count(key[1:])
    return count

compiled = functools.partial(divmod)
"""


@pytest.fixture
def shop() -> ModuleType:
    """A module with factories."""
    module = ModuleType("shop")
    exec(SHOP, vars(module))  # noqa: S102 - the source above
    return module


def run(result: Any) -> Any:
    """Return the result of a coroutine, the first value of a generator, or the result itself."""
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return next(result) if hasattr(result, "send") else result


MAKE: dict[str, Any] = {
    "require_scope.<locals>.dependency": lambda shop, scope: shop.require_scope(scope),
    "require_api_key.<locals>.decorate.<locals>.wrapper": lambda shop, scope: shop.require_api_key(scope)(
        lambda key: key
    ),
    "cached.<locals>.dependency": lambda shop, scope: shop.cached(scope),
    "Factory.make.<locals>.dependency": lambda shop, scope: shop.Factory().make(scope),
    "classes.<locals>.Checker.check": lambda shop, scope: shop.classes(scope)().check,
    "classes.<locals>.Checker.Inner.check": lambda shop, scope: shop.classes(scope).Inner().check,
    "either.<locals>.dependency": lambda shop, scope: shop.either(scope),
    "lambdas.<locals>.<lambda>": lambda shop, scope: shop.lambdas(scope),
    "comprehensions.<locals>.<lambda>": lambda shop, scope: shop.comprehensions(scope),
    "generators.<locals>.dependency": lambda shop, scope: shop.generators(scope),
}


@pytest.mark.parametrize("name", MAKE)
def test_functions_made_before_and_after_are_observed(shop: ModuleType, name: str) -> None:
    """Calls are observed with their arguments and the free variables of the called function."""
    early = MAKE[name](shop, "a")
    codes = _codes(shop)
    with observed(shop, name) as observer:
        late = MAKE[name](shop, "b")
        assert [run(early("k_1")), run(late("k_2"))] == [("a", "k_1"), ("b", "k_2")]
        assert [call.positional[-1] for call in observer.calls] == ["k_1", "k_2"]
        assert [call.results for call in observer.calls] == [[("a", "k_1")], [("b", "k_2")]]
    after = MAKE[name](shop, "c")
    assert [run(one("k")) for one in (early, late, after)] == [("a", "k"), ("b", "k"), ("c", "k")]
    assert len(observer.calls) == 2
    assert _codes(shop) == codes


def _codes(shop: ModuleType) -> list[int]:
    functions = [shop.require_scope, shop.require_api_key, shop.cached.__wrapped__, shop.Factory.make, shop.classes]
    return [id(function.__code__) for function in (*functions, shop.either, shop.generators, shop.lambdas)]


def test_a_function_made_while_observed_is_described_as_before(shop: ModuleType) -> None:
    """Its name, docstring, defaults and source are as before."""
    before = shop.require_scope("a")
    told = [before.__name__, before.__qualname__, before.__doc__, before.__defaults__, before.__kwdefaults__]
    with observed(shop, "require_scope.<locals>.dependency"):
        after = shop.require_scope("a")
        assert [after.__name__, after.__qualname__, after.__doc__, after.__defaults__, after.__kwdefaults__] == told
        assert inspect.iscoroutinefunction(after)
        assert after.__code__.co_firstlineno == 5


def test_the_original_function_has_the_free_variables(shop: ModuleType) -> None:
    """An observer can read the free variables."""
    seen: list[Any] = []

    class Reading(Observer):
        def __call__(self, args: Any, kwargs: Any, original: Any) -> Any:
            cells = original.__closure__
            seen.append(dict(zip(original.__code__.co_freevars, [cell.cell_contents for cell in cells], strict=True)))
            return super().__call__(args, kwargs, original)

    name = "require_scope.<locals>.dependency"
    patch = Reading().put_on(shop, name)
    asyncio.run(shop.require_scope("b")())
    patch.undo()
    assert resolve(shop, name).free_variables == ("scope",)
    assert seen == [{"scope": "b"}]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("require_scope.<locals>.dependancy", "'require_scope' defines no 'dependancy'; did you mean 'dependency'?"),
        (
            "compiled.<locals>.wrapper",
            "'partial' has no Python code of its own, so the functions that it creates cannot be observed",
        ),
        ("require_api_key.<locals>.wrapper", "'require_api_key' defines no 'wrapper'"),
        ("require_scope.<locals>.dependency.<locals>.inner", "'require_scope' defines no 'dependency.<locals>.inner'"),
        ("classes.<locals>.Checker", "'Checker' is a class, not a function; name its method, as in Checker.method"),
        ("classes.<locals>.Checker.<locals>.check", "'classes' defines no 'Checker.<locals>.check'"),
        ("nothing.<locals>.dependency", "module 'shop' has no 'nothing'"),
    ],
)
def test_a_definition_that_does_not_exist_is_wrong(shop: ModuleType, name: str, reason: str) -> None:
    """The reason has the nearest name."""
    with pytest.raises(WrongTargetError) as caught:
        resolve(shop, name)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
def test_several_targets_of_one_factory_are_undone_in_any_order(shop: ModuleType, order: tuple[int, ...]) -> None:
    """The factory, its definitions and a function that was made before are restored in any order."""
    check = shop.require_api_key("a")(len)
    vars(shop)["check"] = check
    before = shop.require_api_key.__code__, check.__code__
    names = [
        "require_api_key",
        "require_api_key.<locals>.decorate",
        "require_api_key.<locals>.decorate.<locals>.wrapper",
        "check",
    ]
    observers = [Observer() for _ in names]
    patches = [observer.put_on(shop, name) for observer, name in zip(observers, names, strict=True)]
    on = {0, 1, 2, 3}
    for number in (None, *order):
        if number is not None:
            patches[number].undo()
            on.remove(number)
        for observer in observers:
            observer.calls.clear()
        assert shop.require_api_key("b")(len)("key") == ("b", 3)
        assert check("key") == ("a", 3)
        counts = [len(observer.calls) for observer in observers]
        assert counts == [0 in on, 1 in on, 2 * (2 in on), 3 in on]
    assert (shop.require_api_key.__code__, check.__code__) == before
    assert shop.require_api_key.__code__ is before[0]
    assert check.__code__ is before[1]


def test_a_function_that_calls_itself_can_be_collected(shop: ModuleType) -> None:
    """Neither its code nor the trampoline keeps the function alive."""
    import weakref  # noqa: PLC0415

    function = shop.recursive("a")
    with observed(shop, "recursive.<locals>.count") as observer:
        assert function("abc") == 3
        assert len(observer.calls) == 4
        reference = weakref.ref(function)
        observer.calls.clear()
        del function
        gc.collect()
        assert reference() is None


def test_three_hundred_functions_are_found_in_one_pass(shop: ModuleType) -> None:
    """In a heap of 300,000 objects, 300 functions cost about as much as three."""
    heap = [[number] for number in range(300_000)]
    made = [shop.require_scope(number) for number in range(3)]
    took_three = min(_found(shop, made)[0] for _ in range(3))
    made += [shop.require_scope(number) for number in range(297)]
    took_all, codes = min((_found(shop, made) for _ in range(3)), key=itemgetter(0))
    assert len(codes) == 1
    assert {one.__code__ for one in made}.isdisjoint(codes)
    assert took_all < 5 * took_three
    assert len(heap) == 300_000


def _found(shop: ModuleType, made: list[FunctionType]) -> tuple[float, set[CodeType]]:
    """Return the CPU seconds in which the functions were found, and the codes that they had then."""
    begin = time.process_time()
    patch = Observer().put_on(shop, "require_scope.<locals>.dependency")
    took = time.process_time() - begin
    codes = {one.__code__ for one in made}
    patch.undo()
    return took, codes


def test_the_form_of_a_returned_function_names_the_target(shop: ModuleType) -> None:
    """Functions, coroutine functions and classes are described, also through ``functools.wraps``."""

    def form(name: str, result: Any) -> str | None:
        return locals_form(f"shop:{name}", getattr(shop, name), result)

    shop.__dict__["__name__"] = "shop"
    decorate = shop.require_api_key("a")
    assert form("require_scope", shop.require_scope("a")) == "shop:require_scope.<locals>.dependency"
    assert form("require_api_key", decorate) == "shop:require_api_key.<locals>.decorate"
    wrapper = "shop:require_api_key.<locals>.decorate.<locals>.wrapper"
    assert form("require_api_key", decorate(len)) == wrapper
    assert form("classes", shop.classes("a")) == "shop:classes.<locals>.Checker"
    assert [form("require_scope", result) for result in (None, {"id": "k_1"}, len)] == [None, None, None]
    with observed(shop, "require_scope.<locals>.dependency"):
        assert form("require_scope", shop.require_scope("a")) == "shop:require_scope.<locals>.dependency"
