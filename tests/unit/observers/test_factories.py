"""The reason of a target that is a factory names a target that can be used."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules

SHOP = """
from types import SimpleNamespace

def check(key): return SimpleNamespace(id=key, name="ci", scopes=[], allow_list=[])
check_later = lambda key: check(key)
of_lambda = lambda scope: lambda key: check(key)
of_plain = lambda scope: check
of_named_lambda = lambda scope: check_later
def of_nested(scope): return of_lambda(scope)
def nested(scope):
    def decorate(function):
        return lambda key: check(key)
    return decorate
class Guard:
    require = lambda self, scope: lambda key: check(key)
guard = Guard()
"""


@pytest.mark.parametrize(
    ("factory", "remedy"),
    [
        ("of_lambda", "of_lambda.<locals>.<lambda>"),
        ("of_plain", "check"),
        ("of_named_lambda", "check_later"),
        ("nested", "nested.<locals>.decorate"),
        ("nested.<locals>.decorate", "nested.<locals>.decorate.<locals>.<lambda>"),
        ("Guard.require", "Guard.require.<locals>.<lambda>"),
        ("guard.require", "guard.require.<locals>.<lambda>"),
    ],
)
def test_the_remedy_can_be_used(recorder: Recorder, modules: Modules, factory: str, remedy: str) -> None:
    """A lambda is named by the variable or the attribute that holds it."""
    app: Any = modules.load(SHOP)
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:{factory}"])
    _use(app)
    (status,) = recorder.status().values()
    assert status.state == "wrong"
    assert status.reason == f"it returns a function and checks nothing itself; use {name}:{remedy}"
    recorder.uninstrument()
    recorder.instrument(auth_targets=[f"{name}:{remedy}"])
    with recorder.request():
        _use(app)
    assert recorder.status()[f"{name}:{remedy}"].calls > 0


def _use(app: Any) -> None:
    app.of_lambda("a")("k_1")
    app.of_plain("a")("k_1")
    app.of_named_lambda("a")("k_1")
    app.nested("a")(len)("k_1")
    app.guard.require("a")("k_1")


def test_a_function_that_cannot_be_named_has_no_remedy(recorder: Recorder, modules: Modules) -> None:
    """No variable tells which lambda made the function."""
    app: Any = modules.load(SHOP)
    recorder.instrument(auth_targets=[f"{app.__name__}:of_nested"])
    app.of_nested("a")
    (status,) = recorder.status().values()
    assert (status.state, status.reason) == ("wrong", "it returns a function and checks nothing itself")


def test_the_remedy_of_a_reexported_factory_is_in_the_named_module(recorder: Recorder, modules: Modules) -> None:
    """The target of the user names the module that the user knows."""
    shop = modules.write(SHOP)
    facade: Any = importlib.import_module(modules.write(f"from {shop} import of_lambda as require"))
    recorder.instrument(auth_targets=[f"{facade.__name__}:require"])
    facade.require("a")
    (status,) = recorder.status().values()
    assert status.reason.endswith(f"; use {facade.__name__}:require.<locals>.<lambda>")
