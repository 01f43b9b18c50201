"""Observers of one patch are ordered and grouped, undone in any order, and kept alive by nothing."""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import subprocess
import sys
import threading
import time
import weakref
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.patch import Patch, one_sweep, when_loaded, wrap
from otel_keyaudit.patching.resolve import NameNotLoadedError, resolve
from support.calls.observers import Observer
from support.environment.modules import Modules


def plain(action: str, extra: object = None) -> object:
    """Return its second argument."""
    return extra


class Named(Observer):
    """An observer that notes its name when a call begins and ends, and may let a call pass."""

    def __init__(self, name: str, log: list[str], *, passes: bool = False) -> None:
        super().__init__()
        self.name = name
        self.log = log
        self.passes = passes

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], original: object) -> Any:
        if self.passes:
            return None
        self.log.append(f"+{self.name}")
        seen = super().__call__(args, kwargs, original)
        name, log = self.name, self.log

        class Ending(type(seen)):  # type: ignore[misc]
            def returned(self, result: Any) -> Any:
                log.append(f"-{name}")
                return super().returned(result)

        seen.__class__ = Ending
        return seen


def test_ranks_order_the_observers_of_a_call() -> None:
    """The observer with the lowest rank is outermost, whatever the order of adding."""
    for order in itertools.permutations([1, 2, 3]):
        log: list[str] = []
        patches = [wrap(resolve(SimpleNamespace(f=plain), "f"), Named(str(rank), log), rank=rank) for rank in order]
        assert plain("create", "!") == "!"
        for patch in patches:
            patch.undo()
        assert log == ["+1", "+2", "+3", "-3", "-2", "-1"]


def test_the_first_of_a_group_that_observes_a_call_has_it() -> None:
    """Other observers of the group are not asked, and other groups observe the call too."""
    log: list[str] = []
    module = SimpleNamespace(f=plain)
    observers = [("a", True), ("b", False), ("c", False)]
    patches = [
        wrap(resolve(module, "f"), Named(name, log, passes=passes), group="auth", rank=rank)
        for rank, (name, passes) in enumerate(observers)
    ]
    patches.append(wrap(resolve(module, "f"), Named("d", log), group="authz", rank=-1))
    plain("create")
    patches[1].undo()
    plain("create")
    for patch in (patches[0], *patches[2:]):
        patch.undo()
    assert log == ["+d", "+b", "-b", "-d", "+d", "+c", "-c", "-d"]


def test_an_observer_gets_the_arguments_that_an_outer_one_has_changed() -> None:
    """The function receives the arguments of the innermost observer."""

    class Changing(Observer):
        def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], original: object) -> Any:
            seen = super().__call__(args, kwargs, original)
            assert seen is not None
            seen.positional = (args[0], f"{args[1]}!")
            return seen

    module = SimpleNamespace(f=plain)
    patches = [wrap(resolve(module, "f"), Changing(), rank=rank) for rank in (0, 1)]
    assert plain("create", "x") == "x!!"
    for patch in patches:
        patch.undo()


def test_a_raising_call_is_seen_by_all_observers() -> None:
    """Each observer gets the identical exception and is left."""

    def function() -> None:
        raise LookupError

    module = SimpleNamespace(f=function)
    observers = [Observer(), Observer()]
    patches = [wrap(resolve(module, "f"), observer) for observer in observers]
    with pytest.raises(LookupError) as caught:
        function()
    for patch in patches:
        patch.undo()
    assert [(observer.calls[0].errors, observer.calls[0].depth) for observer in observers] == [([caught.value], 0)] * 2


def test_the_value_of_a_generator_concludes_those_that_do_not_last() -> None:
    """Other observers are concluded at the generator's end."""

    def function() -> Any:
        yield from (1, 2)
        return "end"

    module = SimpleNamespace(f=function)
    lasting, first = Observer(lasts=True), Observer()
    patches = [wrap(resolve(module, "f"), observer) for observer in (lasting, first)]
    assert list(module.f()) == [1, 2]
    for patch in patches:
        patch.undo()
    assert (lasting.calls[0].results, lasting.calls[0].pauses, lasting.calls[0].depth) == (["end"], 2, 0)
    assert (first.calls[0].results, first.calls[0].pauses, first.calls[0].depth) == ([1], 0, 0)


def test_code_that_somebody_else_exchanged_stays_theirs() -> None:
    """The patch is undone only in its own code."""

    def function() -> int:
        return 1

    def other() -> int:
        return 2

    patch = Observer().put_on(SimpleNamespace(f=function), "f")
    function.__code__ = other.__code__
    patch.undo()
    assert function() == 2


def test_one_function_has_one_identity_under_all_its_names() -> None:
    """Targets that reach one function are recognized, and two functions never have the same identity."""

    class Base:
        def check(self, key: str) -> str:
            return key

        alias = check

    class More(Base): ...

    cached = functools.lru_cache(lambda key: key)
    module = SimpleNamespace(Base=Base, More=More, f=cached, g=cached, h=plain)
    same = [resolve(module, name).identity for name in ("Base.check", "Base.alias", "More.check")]
    assert all(one is same[0] for one in same)
    assert resolve(module, "f").identity is resolve(module, "g").identity
    assert resolve(module, "h").identity is plain
    patch = Observer().put_on(module, "f")
    assert resolve(module, "f").identity is resolve(module, "g").identity is patch.identity
    patch.undo()


def test_functions_of_a_reloaded_module_can_be_collected(modules: Modules) -> None:
    """An old function that nobody holds is freed without a collection."""
    module = modules.load("def verify(key):\n    return key\n")
    patches: list[Patch] = []
    references: list[weakref.ref[Any]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            patches.append(Observer().put_on(module, "verify"))
            references.append(weakref.ref(module.verify))
            importlib.reload(module)
        assert [reference() for reference in references] == [None, None, None]
    finally:
        gc.enable()
    for patch in patches:
        patch.undo()


@pytest.mark.parametrize("name", ["verify", "cached", "made"])
def test_a_dropped_module_can_be_collected(name: str) -> None:
    """A patched function does not keep its module alive."""
    module = ModuleType("shop")
    source = """
    import functools
    class Mark: pass
    mark = Mark()
    def verify(key): return key
    @functools.lru_cache
    def cached(key): return key
    def make():
        def made(key): return made and key
        return made
    made = make()
    """
    exec(source.replace("\n    ", "\n"), vars(module))  # noqa: S102 - the source above
    patch = Observer().put_on(module, name)
    reference = weakref.ref(module.mark)
    assert vars(module)[name]("k_1") == "k_1"
    del module
    gc.collect()
    assert reference() is None
    patch.undo()


class Hammer:
    """Calls a function and a cached function in threads until it is stopped.

    Args:
        module: Has both, as ``f`` and ``g``.
    """

    def __init__(self, module: Any) -> None:
        self.wrong: list[int] = []
        self._module = module
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(2)]

    def _call(self) -> None:
        for number in itertools.count():
            if self._module.f(number, more=1) != number + 1 or self._module.g(number % 100) != number % 100:
                self.wrong.append(number)
            if self._stop.is_set():
                return

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_patches_come_and_go_beside_running_calls() -> None:
    """Each call runs exactly once with its own arguments, and the function is restored at the end."""

    def function(number: int, *, more: int = 0) -> int:
        return number + more

    module = SimpleNamespace(f=function, g=functools.lru_cache(maxsize=None)(lambda number: number))
    code, cached, hammer = function.__code__, module.g, Hammer(module)

    def patch() -> None:
        for _ in range(20):
            patches = [Observer().put_on(module, name) for name in "fg"]
            for one in patches:
                one.undo()

    patchers = [threading.Thread(target=patch) for _ in range(2)]
    with hammer:
        for thread in patchers:
            thread.start()
        for thread in patchers:
            thread.join()
    assert hammer.wrong == []
    assert function.__code__ is code
    assert module.g is cached


FROZEN = """
import functools, gc
from types import SimpleNamespace
class Tokens:
    @functools.lru_cache
    def get(self, name): return name
    @staticmethod
    @functools.lru_cache
    def static(name): return name
module = SimpleNamespace(Tokens=Tokens, f=functools.lru_cache(lambda key: key))
def make():
    def made(key): return key
    return made
module.make, early = make, make()
held = [module.f]
gc.freeze()
from otel_keyaudit.patching.patch import wrap
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.wrappers import Observation
calls = []
class Seen(Observation):
    def __init__(self, args, kwargs, original):
        self.positional, self.keywords = args, kwargs
        calls.append(args[-1])
names = ["Tokens.get", "Tokens.static", "f", "make.<locals>.made"]
before = [vars(Tokens)["get"], vars(Tokens)["static"], module.f, make.__code__]
patches = [wrap(resolve(module, name), Seen) for name in names]
Tokens().get("a"), Tokens.static("b"), module.f("c"), make()("d")
print(calls)
print([patch.limits for patch in patches] == [[
    "references older than gc.freeze() could not be searched; calls through them are not recorded"]] * 4)
for patch in patches: patch.undo()
print([vars(Tokens)["get"], vars(Tokens)["static"], module.f, make.__code__] == before)
Tokens().get("e"), Tokens.static("f"), module.f("g"), make()("h")
print(calls)
"""


def test_the_place_where_a_target_was_found_is_replaced_in_a_frozen_heap() -> None:
    """The patch names the references that could not be searched."""
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(list("abcd")), "True", "True", str(list("abcd"))]


def test_one_pass_serves_all_objects_of_a_block() -> None:
    """Fifty objects among 300,000 take far less than fifty times as long as one."""
    module = ModuleType("shop")
    for number in range(50):
        vars(module)[f"f{number}"] = functools.lru_cache(lambda key: key)
    held = list(vars(module).values())
    heap = [[number] for number in range(300_000)]
    before = dict(vars(module))
    took = {}
    for count in (1, 50):
        begin = time.process_time()
        with one_sweep():
            patches = [Observer().put_on(module, f"f{number}") for number in range(count)]
        assert all(value is vars(module)[f"f{number}"] for number, value in enumerate(held[-50:]))
        with one_sweep():
            for patch in patches:
                patch.undo()
        took[count] = time.process_time() - begin
        assert vars(module) == before
        assert held[-50:] == [before[f"f{number}"] for number in range(50)]
        assert {patch.unreached for patch in patches} == {0}
    assert took[50] < 20 * took[1]
    assert len(heap) == 300_000


LAZY = """
LOADED = []
def __getattr__(name):
    if name in ("verify", "Keys"):
        LOADED.append(name)
        import {implementation} as implementation
        return getattr(implementation, name)
    raise AttributeError(name)
"""
IMPLEMENTATION = """
def verify(key): return key
class Keys:
    def verify(self, key): return key
"""


@pytest.mark.parametrize(("name", "use"), [("verify", "verify('k_1')"), ("Keys.verify", "Keys().verify('k_1')")])
@pytest.mark.parametrize("as_class", [False, True])
def test_a_lazily_loaded_name_is_patched_when_it_is_loaded(
    modules: Modules, name: str, use: str, as_class: bool
) -> None:
    """Nothing is loaded early, and the first call is observed."""
    implementation = modules.write(IMPLEMENTATION)
    source = LAZY.format(implementation=implementation)
    if as_class:
        method = source.replace("\n", "\n    ").replace("__getattr__(name)", "__getattr__(self, name)")
        source = f"import sys, types\nLOADED = []\nclass Lazy(types.ModuleType):{method}\n"
        source += "sys.modules[__name__].__class__ = Lazy\n"
    module = modules.load(source)
    observer, patches = Observer(), list[Patch]()
    with pytest.raises(NameNotLoadedError, match=f"has not loaded '{name.split('.', maxsplit=1)[0]}' so far"):
        resolve(module, name)
    waiting = when_loaded(
        module, name, lambda value: patches.append(wrap(resolve(module, name, first=value), observer))
    )
    assert implementation not in sys.modules
    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018 - what is tested
    assert eval(f"module.{use}") == "k_1"  # noqa: S307 - the parameters above
    assert [call.positional[-1] for call in observer.calls] == ["k_1"]
    for patch in (*patches, waiting):
        patch.undo()
