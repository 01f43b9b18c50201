"""``uninstrument()`` restores everything, whatever others have wrapped meanwhile."""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import wrapt

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules

SERVICE = """
import functools

class Base:
    def inherited(self, key):
        return {"id": key}

class Checker(Base):
    def method(self, key):
        return {"id": key}

    @staticmethod
    def static(key):
        return {"id": key}

    @classmethod
    def of_class(cls, key):
        return {"id": key}

    @functools.lru_cache
    def cached_method(self, key):
        return {"id": key}

    @staticmethod
    @functools.lru_cache
    def cached_static(key):
        return {"id": key}

    async def __call__(self, key):
        return {"id": key}

def function(key):
    return {"id": key}

def generator(key):
    yield {"id": key}

@functools.lru_cache
def cached(key):
    return {"id": key}

partial = functools.partial(function)
checker = Checker()
bound = checker.method
"""
NAMES = (
    "function", "generator", "cached", "partial", "bound", "checker", "Checker.method", "Checker.static",
    "Checker.of_class", "Checker.inherited", "Checker.cached_method", "Checker.cached_static",
)  # fmt: skip


def state(module: Any) -> dict[str, Any]:
    """Return everything that could have been exchanged: names, class attributes, code."""
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    held = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    held |= {f"{name}.{key}": value for name, cls in classes.items() for key, value in vars(cls).items()}
    inner = {name: getattr(value, "__func__", value) for name, value in held.items()}
    code = {f"{name} code": value.__code__ for name, value in inner.items() if hasattr(value, "__code__")}
    return {name: (id(value), type(value)) for name, value in (held | code).items()}


def test_fifty_sessions_restore_everything(recorder: Recorder, modules: Modules) -> None:
    """After fifty sessions every name leads to the identical object and code, and no import hook is left."""
    module = modules.load(SERVICE)
    targets = [f"{module.__name__}:{name}?id=id" for name in NAMES]
    before, finders = state(module), list(sys.meta_path)
    boundary = recorder.tracer_provider.get_tracer("x").start_span.__func__.__code__  # type: ignore[attr-defined]
    for number in range(50):
        recorder.instrument(auth_targets=targets if number % 10 == 0 else targets[:2] + targets[4:10])
        assert {status.state for status in KeyAuditInstrumentor().status()} == {"active"}
        recorder.uninstrument()
        assert state(module) == before
    assert list(sys.meta_path) == finders
    assert recorder.tracer_provider.get_tracer("x").start_span.__func__.__code__ is boundary  # type: ignore[attr-defined]


def foreign(calls: list[str], name: str) -> Callable[[Any], Any]:
    """Return another instrumentation's way to wrap."""

    def wrapped(function: Any) -> Any:
        def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            calls.append(name)
            return wrapped(*args, **kwargs)

        return wrapt.FunctionWrapper(function, wrapper)

    def closed(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return function(*args, **kwargs)

        return wrapper

    return wrapped if name.startswith("wrapt") else closed


@pytest.mark.parametrize("below", ["wrapt below", "closure below", None])
@pytest.mark.parametrize("above", ["wrapt above", "closure above", None])
@pytest.mark.parametrize("target", ["function", "cached", "Checker.method", "Checker.cached_method"])
def test_foreign_wrappers_stay(
    recorder: Recorder, modules: Modules, target: str, below: str | None, above: str | None
) -> None:
    """Wrappers of others around or inside the library's are called and stay."""
    module = modules.load(SERVICE)
    owner: Any = module.Checker if "." in target else module
    name = target.rpartition(".")[2]
    calls: list[str] = []

    def call(key: str) -> None:
        calls.clear()
        assert getattr(module.Checker() if "." in target else module, name)(key) == {"id": key}
        assert calls == [one for one in (above, below) if one]

    if below:
        setattr(owner, name, foreign(calls, below)(vars(owner)[name]))
    written = f"{module.__name__}:{target}?id=id"
    for number in range(3):
        recorder.instrument(auth_targets=[written])
        if above and number == 0:
            setattr(owner, name, foreign(calls, above)(vars(owner)[name]))
        top = vars(owner)[name]
        call(f"k_{number}")
        recorder.uninstrument()
        call(f"off {number}")
        assert vars(owner)[name] is top or not above
    assert recorder.count("keyaudit.authentications") == 3


def test_pending_targets_are_quiet_afterwards(recorder: Recorder, modules: Modules) -> None:
    """A module that is imported after ``uninstrument()`` is imported as without the library."""
    name = modules.write(SERVICE)
    recorder.instrument(auth_targets=[f"{name}:function?id=id"])
    recorder.uninstrument()
    module = importlib.import_module(name)
    before = state(module)
    module.function("k_1")
    recorder.instrument(auth_targets=[f"{name}:cached?id=id"])
    recorder.uninstrument()
    assert state(importlib.reload(module)).keys() == before.keys()
    assert recorder.count("keyaudit.authentications") == 0


def test_a_module_that_is_being_imported_when_we_go(recorder: Recorder, modules: Modules) -> None:
    """The import that is under way ends without calling the library."""
    name = modules.write(
        """
        from otel_keyaudit import KeyAuditInstrumentor
        KeyAuditInstrumentor().uninstrument()
        def verify(key):
            return {"id": key}
        """
    )
    recorder.instrument(auth_targets=[f"{name}:verify?id=id"])
    importlib.import_module(name).verify("k_1")
    assert recorder.count("keyaudit.authentications") == 0


def test_references_that_could_not_be_reached_pass_through(recorder: Recorder, modules: Modules) -> None:
    """References to a proxy pass calls through, unobserved."""
    module = modules.load(SERVICE)
    recorder.instrument(auth_targets=[f"{module.__name__}:cached?id=id"])
    held = (module.cached,)
    recorder.uninstrument()
    assert held[0]("k_1") == {"id": "k_1"}
    assert held[0] is not module.cached
    assert recorder.count("keyaudit.authentications") == 0


def test_observed_functions_can_be_collected(recorder: Recorder, modules: Modules) -> None:
    """Functions that were observed can be garbage-collected."""
    module = modules.load(SERVICE)
    recorder.instrument(auth_targets=[f"{module.__name__}:function?id=id", f"{module.__name__}:cached?id=id"])
    recorder.uninstrument()
    references = [weakref.ref(module.function), weakref.ref(module.cached)]
    modules.forget()
    del module
    gc.collect()
    gc.collect()  # the collector sees the contents of a code object only after its end
    assert [reference() for reference in references] == [None, None]


def test_sessions_come_and_go_while_calls_run(recorder: Recorder, modules: Modules) -> None:
    """Calls that run while the library comes and goes return the same results."""
    module = modules.load(SERVICE)
    targets = [f"{module.__name__}:{name}?id=id" for name in ("function", "generator", "Checker.static")]
    stop = threading.Event()
    wrong: list[Any] = []

    def work() -> None:
        while not stop.is_set():
            results = [module.function("a"), *module.generator("a"), module.Checker.static("a")]
            if results != [{"id": "a"}] * 3:
                wrong.append(results)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    suspended = module.generator("b")
    next(suspended)
    for _ in range(20):
        recorder.instrument(auth_targets=targets)
        recorder.uninstrument()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert list(suspended) == wrong == []
