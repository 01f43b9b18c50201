"""References to an object are found and replaced, and references that cannot be replaced are counted."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import CellType, ModuleType, SimpleNamespace
from typing import Any

import pytest
import wrapt

from otel_keyaudit.patching.kinds.references import Reference, references_to
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import Observer, observed


class Slotted:
    __slots__ = ("function",)


class Holder:
    pass


def make(original: Any) -> Any:
    """Hold a callable in a closure."""

    def call(key: Any) -> Any:
        return original(key)

    return call


def with_default(original: Any) -> Any:
    """Hold a callable in the default of a parameter, as injection without a framework does."""

    def call(key: Any, prefix: str = "", look_up: Any = original, *, suffix: str = "") -> Any:
        return f"{prefix}{look_up(key)}{suffix}"

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
        self.default = with_default(original)
        self.data_class = dataclasses.make_dataclass("Config", [("f", Any, original)])

    def ways(self) -> Iterator[Any]:
        """Yield the object in each place."""
        yield from (self.dict["f"], self.list[1], self.deque[0], next(iter(self.set)), self.cell)

        yield from (self.instance.f, self.slotted.function, self.foreign, self.decorated)  # type: ignore[attr-defined]
        yield self.cls.g  # type: ignore[attr-defined]
        yield self.cls.f  # type: ignore[attr-defined]
        yield self.default
        yield vars(self.data_class())["f"]


def cached_in(module: Any) -> Any:
    """Put a cached function into a module, with no other reference to it."""
    module.f = functools.lru_cache(lambda key: f"key {key}")
    return module.f


def test_object_without_code_is_replaced_in_every_place() -> None:
    """References in containers, cells, slots, instances, classes and foreign wrappers are replaced and restored."""
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


def test_cached_method_is_replaced_in_its_class() -> None:
    """The class forgets its cached look-up, and instances and subclasses follow."""

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


def test_proxies_pickle_and_copy_like_their_originals() -> None:
    """A cached function is pickled by its name and is its own copy; a partial is pickled by its parts."""
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


def test_hostile_instances_do_no_harm() -> None:
    """The search for references runs no code of the application."""

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


def test_hidden_class_is_not_changed() -> None:
    """After ``gc.freeze()`` a class may be hidden while its dict is not; changing the dict would leave stale caches."""

    def function() -> None: ...

    hidden = {"__module__": "shop", "call": function}
    assert [place.holder for place in references_to([function])[0].changeable if place.holder is hidden] == []
    wrapping = {**hidden, "__wrapped__": function}
    places = [place for place in references_to([function])[0].changeable if place.holder is wrapping]
    assert [place.key for place in places] == ["call", "__wrapped__"]


class SlottedHolder:
    __slots__ = ("function",)


class Sealed(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wraps for good."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def make_cached() -> Any:
    """Return an object without Python code."""
    return lru_cache(lambda key: f"key {key}")


def unreached(wanted: Any, besides: tuple[object, ...] = ()) -> int:
    """Return how many holders cannot be changed."""
    return references_to([wanted], besides=besides)[0].fixed


def slotted(value: object) -> SlottedHolder:
    """Return an instance that holds something in a slot."""
    one = SlottedHolder()
    one.function = value  # type: ignore[attr-defined]
    return one


@pytest.mark.parametrize(
    ("kind", "holder", "key", "read"),
    [
        ("item", lambda value: {"f": value}, "f", lambda one: one.get("f")),
        ("item", lambda value: [0, value], 1, lambda one: one[1]),
        ("item", lambda value: deque([value]), 0, lambda one: one[0]),
        ("element", lambda value: {value}, None, lambda one: next(iter(one))),
        ("cell", CellType, None, lambda one: one.cell_contents),
        ("slot", slotted, "function", lambda one: one.function),
        ("class", lambda value: type("One", (), {"f": value}), "f", lambda one: one.f),
        ("default", with_default, 1, lambda one: one.__defaults__[1]),
        ("proxy", wrapt.ObjectProxy, None, lambda one: one.__wrapped__),
    ],
)
def test_place_is_changed_only_if_it_still_holds_the_object(
    kind: str, holder: Callable[[object], Any], key: object, read: Callable[[Any], object]
) -> None:
    """A value that somebody else has put there in between stays."""
    wanted, other, stand_in = make_cached(), make_cached(), make_cached()
    untouched, changed = holder(other), holder(wanted)
    for one in (untouched, changed):
        assert Reference(kind, one, key).put(stand_in, expected=wanted) is True
    assert (read(untouched), read(changed)) == (other, stand_in)


@pytest.mark.parametrize("holder", [{}, [], deque()])
def test_place_that_is_gone_is_not_created(holder: Any) -> None:
    """A container that has become shorter is not extended."""
    assert Reference("item", holder, 0).put(make_cached(), expected=make_cached())
    assert len(holder) == 0


@pytest.mark.parametrize("defaults", [None, (1,)])
def test_default_that_is_gone_is_not_created(defaults: Any) -> None:
    """A function whose defaults were replaced by fewer ones keeps these."""
    function = with_default(make_cached())
    function.__defaults__ = defaults
    assert Reference("default", function, 1).put(make_cached(), expected=make_cached())
    assert function.__defaults__ == defaults


@pytest.mark.parametrize("holder", [dict.fromkeys(range(5000)), deque([None] * 5_000)])
def test_holder_that_changes_meanwhile_is_read_again(holder: Any) -> None:
    """A garbage collection runs finalizers, and another thread may change a dict or a deque in that time.

    Before Python 3.12, a collection may start while a dict is read, because that creates tuples.
    """
    wanted = make_cached()
    add = holder.append if isinstance(holder, deque) else lambda value: holder.update({len(holder): value})
    add(wanted)
    thresholds, changes = gc.get_threshold(), iter(range(3))

    def change(phase: str, _: object) -> None:
        frame = sys._getframe(1)
        is_reading = frame.f_code.co_name == "_places" and frame.f_locals["holder"] is holder
        if phase == "start" and is_reading and next(changes, None) is not None:
            add(None)

    gc.callbacks.append(change)
    gc.set_threshold(1)
    try:
        (references,) = references_to([wanted])
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(change)
    assert [place.key for place in references.changeable if place.holder is holder] == [5_000]


def test_holder_that_cannot_be_read_is_counted() -> None:
    """A wrapper whose wrapped object cannot be read holds the object out of reach."""
    wanted = make_cached()

    class Unreadable(wrapt.ObjectProxy):  # type: ignore[type-arg]
        @property
        def __wrapped__(self) -> object:
            raise ValueError

    before = unreached(wanted)
    held = Unreadable(wanted)
    assert unreached(wanted) == before + 1
    assert held is not None


def test_unchangeable_references_are_counted() -> None:
    """Each tuple, frozen set, partial and compiled wrapper that holds the object is counted."""
    wanted = make_cached()
    before = unreached(wanted)
    kept: list[object] = [(wanted,), (wanted, wanted)]
    assert unreached(wanted) == before + 2
    kept += [frozenset([wanted]), partial(wanted), wrapt.FunctionWrapper(len, wanted)]
    assert unreached(wanted) == before + 5
    assert [place for place in references_to([wanted])[0].changeable if place.kind == "proxy"] == []


def test_harmless_references_are_not_counted() -> None:
    """A dict key equals its replacement, and a method of the object and a frame call nothing."""

    def frame_of(one: Any) -> Any:
        return one and sys._getframe()

    wanted = make_cached()
    before = unreached(wanted)
    kept = [{wanted: 1}, wanted.cache_clear, frame_of(wanted)]
    assert unreached(wanted) == before
    assert unreached(wanted, besides=(wanted,)) == before
    kept.append((wanted.cache_clear, wanted))
    assert unreached(wanted) == before + 1
    kept.clear()


def test_an_instance_that_does_not_count() -> None:
    """Neither the instance nor its attributes are counted."""
    wanted = make_cached()
    instance, other = SimpleNamespace(f=wanted), SimpleNamespace(f=wanted)
    everywhere, but_one = (len(references_to([wanted], besides=one)[0].changeable) for one in ((), (instance,)))
    assert everywhere - but_one == 1
    held = {id(place.holder) for place in references_to([wanted], besides=(instance,))[0].changeable}
    assert id(vars(instance)) not in held
    assert id(vars(other)) in held


def test_references_are_counted_for_the_wrapped_object() -> None:
    """References to the function inside a static method count beside those to the static method."""

    class Tokens:
        get = staticmethod(make_cached())

    module = SimpleNamespace(Tokens=Tokens, plain=make_cached())
    quiet = Observer().put_on(module, "plain")
    count = quiet.unreached
    quiet.undo()
    kept = (Tokens.get,), Sealed(Tokens.get), (vars(Tokens)["get"],)
    one = Observer().put_on(module, "Tokens.get")
    try:
        assert one.unreached - 2 * count == 3
        assert resolve(module, "Tokens.get").function is not kept[0][0]
    finally:
        one.undo()
    assert Tokens.get is kept[0][0]
