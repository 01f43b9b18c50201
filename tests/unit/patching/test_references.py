"""Objects without Python code: a proxy takes their place wherever they are held, and behaves like them."""

from __future__ import annotations

import copy
import functools
import pickle
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import wrapt

from otel_keyaudit.patching.kinds.references import references_to
from support.observers import observed


class Slotted:
    __slots__ = ("function",)


class Holder:
    pass


def make(original: Any) -> Any:
    """Hold a callable in a closure."""

    def call(key: Any) -> Any:
        return original(key)

    return call


class Places:
    """An object in every place that can hold one."""

    def __init__(self, original: Any) -> None:
        self.dict = {"f": original, original: "key"}
        self.list = [None, original]
        self.deque = deque([original])
        self.set = {original}
        self.cell = make(original)
        self.instance, self.slotted = Holder(), Slotted()
        self.instance.f, self.slotted.function = original, original  # type: ignore[attr-defined]
        self.cls = type("Namespace", (), {"f": staticmethod(original), "g": original})
        self.foreign = wrapt.FunctionWrapper(original, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))
        self.decorated = functools.wraps(original)(make(original))

    def ways(self) -> Iterator[Any]:
        """Yield what each place holds."""
        yield from (self.dict["f"], self.list[1], self.deque[0], next(iter(self.set)), self.cell)

        yield from (self.instance.f, self.slotted.function, self.foreign, self.decorated)  # type: ignore[attr-defined]
        yield self.cls.g  # type: ignore[attr-defined]


def cached_in(module: Any) -> Any:
    """Put a function with a cache into a module; nothing else holds it."""
    module.f = functools.lru_cache(lambda key: f"key {key}")
    return module.f


def test_an_object_without_code_is_exchanged_wherever_it_is_held() -> None:
    """A cached function in containers, cells, slots, instances, classes and foreign wrappers is reached, and back."""
    module = ModuleType("module")
    places = Places(cached_in(module))
    original = module.f
    before = [way if way is original else None for way in places.ways()]
    with observed(module, "f") as observer:
        for number, way in enumerate(places.ways()):
            assert way(number) == f"key {number}"
        assert len(observer.calls) == len(before)
        assert places.dict[module.f] == places.dict[original] == "key"
        captured_since = [module.f]
        assert module.f.cache_info().misses == len(before)
        assert module.f == original
    assert module.f is captured_since[0] is original
    assert [way if way is original else None for way in places.ways()] == before
    assert vars(places.cls)["g"] is original


def test_a_cached_method_is_exchanged_in_its_class() -> None:
    """The class takes note, also where it has looked the method up before; instances and subclasses follow."""

    class Tokens:
        @functools.lru_cache  # noqa: B019 - what is tested
        def get(self, name: str) -> str:
            return f"token {name}"

        @staticmethod
        @functools.lru_cache
        def static(name: str) -> str:
            return f"token {name}"

        @classmethod
        @functools.lru_cache
        def of_class(cls, name: str) -> str:
            return f"token {cls.__name__} {name}"

    class More(Tokens): ...

    module = ModuleType("module")
    module.Tokens = Tokens  # type: ignore[attr-defined]
    raw = dict(vars(Tokens))
    for name, expected in {"get": "token a", "static": "token a", "of_class": "token More a"}.items():
        more = More()
        getattr(more, name)("a")
        with observed(module, f"Tokens.{name}") as observer:
            assert getattr(more, name)("a") == expected
            assert getattr(more, name).cache_info().hits >= 1
        assert len(observer.calls) == 1
        assert vars(Tokens)[name] is raw[name]
        getattr(more, name)("a")
        assert len(observer.calls) == 1


def verify_cached(key: str) -> str:
    """Stand for a function that a module caches."""
    return f"key {key}"


cached = functools.lru_cache(verify_cached)
cached.__qualname__ = "cached"
bound_partial = functools.partial(verify_cached, "k_1")


def test_proxies_pickle_and_copy_like_what_they_stand_for() -> None:
    """A cached function goes by its name and is its own copy; a partial goes by its parts."""
    module = ModuleType("module")
    module.__dict__.update(globals())
    original = cached
    with observed(module, "cached") as observer, observed(module, "bound_partial"):
        proxy, partial = globals()["cached"], globals()["bound_partial"]
        assert proxy is not original
        assert pickle.loads(pickle.dumps(proxy)) is proxy  # noqa: S301 - made here
        assert copy.copy(proxy) is copy.deepcopy([proxy])[0] is proxy
        for again in (pickle.loads(pickle.dumps(partial)), copy.copy(partial), copy.deepcopy(partial)):  # noqa: S301
            assert type(again) is functools.partial
            assert again() == "key k_1"
        assert isinstance(partial, functools.partial)
    assert observer.calls == []
    assert globals()["cached"] is original


def test_instances_that_cannot_say_what_they_hold_do_no_harm() -> None:
    """Looking for references runs no code of the application."""

    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("code of the application ran")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("code of the application ran")

        __hash__ = object.__hash__

    class HostileDict(dict[str, Any]):
        __getitem__ = __setitem__ = get = items = Hostile.__getattribute__  # type: ignore[assignment]

    class HostileList(list[Any]):
        __getitem__ = __setitem__ = __iter__ = __len__ = Hostile.__getattribute__  # type: ignore[assignment]

    module = ModuleType("module")
    original = cached_in(module)
    makers: list[Any] = [Hostile, HostileDict, HostileList]
    hostile, mapping, elements = makers[0](), makers[1](f=original), makers[2]((original,))
    object.__setattr__(hostile, "held", original)
    holders: list[Any] = [
        lambda: object.__getattribute__(hostile, "held"),
        lambda: dict.__getitem__(mapping, "f"),
        lambda: list.__getitem__(elements, 0),
    ]
    with observed(module, "f"):
        assert all(held() is module.f for held in holders)
    assert all(held() is original for held in holders)


def test_a_class_that_is_not_shown_is_left_alone() -> None:
    """After ``gc.freeze()`` a class may be hidden while its dict is not: changed there, its caches would not know."""

    def function() -> None: ...

    hidden = {"__module__": "shop", "call": function}
    assert [place.holder for place in references_to([function])[0].places if place.holder is hidden] == []
    wrapping = {**hidden, "__wrapped__": function}
    places = [place for place in references_to([function])[0].places if place.holder is wrapping]
    assert [place.key for place in places] == ["call", "__wrapped__"]
