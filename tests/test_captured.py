"""Functions that were captured before we came: every reference to them is reached, or the miss is said."""

from __future__ import annotations

import copy
import functools
import gc
import logging
import pickle
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import wrapt

from otel_keyaudit import KeyAuditInstrumentor
from support.keyaudit import KeyAudit, Modules
from support.observers import observed
from support.testclient import TestClient

SERVICE = """
from typing import Any
from fastapi import APIRouter, Depends, FastAPI, Header
from functools import lru_cache, partial

class Key:
    id, scopes = "k_1", ["a:read"]

ROWS = []

def verify(x_api_key: str = Header("")) -> Any:
    return Key()

def other(x_api_key: str = Header("")) -> Any:
    yield Key()

@lru_cache
def cached(x_api_key: str = Header("")) -> Any:
    return Key()

def _checked(x_api_key: str, scope: str) -> Any:
    return Key()

class Checker:
    async def __call__(self, x_api_key: str = Header("")) -> Any:
        return Key()

    def bound(self, x_api_key: str = Header("")) -> Any:
        return Key()

checker = Checker()
bound = checker.bound

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

write = {"create": record}

def endpoint(name: str) -> dict:
    write["create"](name)
    return {}

telemetry = {"tracing": False, "metrics": False, "logs": False}
router = APIRouter(dependencies=[Depends(verify)])
router.add_api_route("/router", endpoint)
app = FastAPI(telemetry=telemetry)
app.include_router(router)
dependencies = {"/f": verify, "/yield": other, "/cached": cached, "/callable": checker, "/bound": bound}
for path, dependency in dependencies.items():
    app.add_api_route(path, endpoint, dependencies=[Depends(dependency)])
whole = FastAPI(telemetry=telemetry, dependencies=[Depends(verify)])
whole.add_api_route("/whole", endpoint)
app.mount("/mounted", whole)
"""


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/f", "verify"),
        ("/router", "verify"),
        ("/mounted/whole", "verify"),
        ("/yield", "other"),
        ("/cached", "cached"),
        ("/callable", "checker"),
        ("/callable", "Checker.__call__"),
        ("/bound", "bound"),
        ("/bound", "Checker.bound"),
    ],
)
def test_dependencies_taken_in_the_same_file(keyaudit: KeyAudit, modules: Modules, path: str, target: str) -> None:
    """``Depends(f)`` beside ``f``, in routes, routers and applications, and a table of functions: all are reached."""
    service = modules.load(SERVICE)
    schema = service.app.openapi()
    keyaudit.instrument(auth_targets=[f"{service.__name__}:{target}"], audit_targets=[f"{service.__name__}:record"])
    with TestClient(service.app) as client:
        assert client.get(path, params={"name": "create"}, headers={"x-api-key": "secret"}).status_code == 200
        service.app.openapi_schema = None
        assert client.get("/openapi.json").json() == schema
    assert [row["request_api_key"]["id"] for row in service.ROWS] == ["k_1"]
    assert {status.state for status in KeyAuditInstrumentor().status()} == {"active"}


def test_from_import_done_before(keyaudit: KeyAudit, modules: Modules) -> None:
    """``from m import f``, an alias, a decorator around it, a partial and a bound ``__call__`` all reach the target."""
    security = modules.load("def verify(key):\n    return key\n")
    user = modules.load(
        f"""
        from functools import partial, wraps
        from {security.__name__} import verify
        alias = verify
        def decorate(function):
            @wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper
        ways = (alias, decorate(verify), partial(verify), verify.__call__, lambda key: verify(key))
        """
    )
    keyaudit.instrument(auth_targets=[f"{security.__name__}:verify?id=id"])
    for way in user.ways:
        way({"id": "k_1"})
    assert keyaudit.count("keyaudit.authentications") == len(user.ways)


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


def test_what_cannot_be_reached_is_said(keyaudit: KeyAudit, modules: Modules, caplog: pytest.LogCaptureFixture) -> None:
    """References in tuples, frozen sets and partials stay as they are: ``status()`` counts them, and one warning."""
    service = modules.load(
        """
        from functools import lru_cache, partial
        @lru_cache
        def verify(key):
            return {"id": key}
        held = (verify,), frozenset([verify]), partial(verify)
        clear = verify.cache_clear
        """
    )
    target = f"{service.__name__}:verify?id=id"
    keyaudit.instrument(auth_targets=[target])
    status = keyaudit.status()[target]
    assert status.state == "active"
    assert "3 reference(s)" in status.reason
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [target in warning and "3 reference(s)" in warning for warning in warnings] == [True]
    service.held[0][0]("k_1")
    assert keyaudit.count("keyaudit.authentications") == 0
    service.verify("k_1")
    assert keyaudit.count("keyaudit.authentications") == 1


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

    module = ModuleType("module")
    original = cached_in(module)
    hostile = Hostile()
    object.__setattr__(hostile, "held", original)
    with observed(module, "f"):
        held = object.__getattribute__(hostile, "held")
        assert held is module.f
    gc.collect()
    assert object.__getattribute__(hostile, "held") is original
