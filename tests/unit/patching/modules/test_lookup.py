"""Functions are resolved by name in modules, in the started module and in incomplete ones."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.patching.modules.lookup import (
    MISSING,
    is_initializing,
    lookup,
    runs_as_main,
    unregistered,
)
from otel_keyaudit.targets.function_reference import LazyFunction
from support.environment.modules import Modules

DOUBLE = "def double(value): return 2 * value\n"


def test_dotted_name_is_resolved_step_by_step() -> None:
    """Resolution stops at the first name that is missing."""
    owner = SimpleNamespace(tools=SimpleNamespace(double=len))
    assert lookup(owner, "tools.double") is len
    for name in ("double", "nothing.double", "tools.nothing", "nothing.__class__"):
        assert lookup(owner, name) is MISSING


def test_a_function_of_a_class_may_be_named(modules: Modules) -> None:
    """The name may lead through a class, as in a target."""
    name = modules.write("class Tools:\n    @staticmethod\n    def double(value): return 2 * value\n")
    assert LazyFunction(f"{name}:Tools.double", deferred=False)(2) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("json:nothing", "'json:nothing': module 'json' has no function 'nothing'"),
        ("json:a:b", "'json:a:b': module 'json' has no function 'a:b'"),
        ("keyaudit_no.such.ids:f", "'keyaudit_no.such.ids:f': there is no package 'keyaudit_no'"),
        (".ids:f", "'.ids:f': there is no package ''"),
    ],
)
def test_missing_function_is_reported(text: str, reason: str) -> None:
    """The reason has the name as given and the part that is missing."""
    with pytest.raises(ConfigurationError) as caught:
        LazyFunction(text, deferred=False)
    assert str(caught.value).partition("; did you mean")[0] == reason


def test_a_module_that_only_its_functions_keep_is_found() -> None:
    """It is not in ``sys.modules``; a name that is set in it is seen by its functions."""
    names: dict[str, Any] = {"__name__": "keyaudit_unregistered"}
    exec("def double(value): return FACTOR * value", names)  # noqa: S102 - the source is here
    found = unregistered(["keyaudit_unregistered", "keyaudit_no_such", "json"])
    assert {name: len(modules) for name, modules in found.items()} == {
        "keyaudit_unregistered": 1,
        "keyaudit_no_such": 0,
    }
    (module,) = found["keyaudit_unregistered"]
    setattr(module, "FACTOR", 3)  # noqa: B010 - the name is not declared
    assert lookup(module, "double")(2) == 6


@pytest.mark.parametrize(
    "module", [object(), SimpleNamespace(__spec__=None), SimpleNamespace(__spec__=object()), ModuleType("made")]
)
def test_module_without_a_spec_is_complete(module: object) -> None:
    """A module that was made by hand, or another object in its place, counts as complete."""
    assert not is_initializing(module)


def test_embedded_interpreter_has_no_started_module() -> None:
    """An embedded interpreter starts no module."""
    assert not runs_as_main(None, "app")


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A started program whose file has not run yet."""
    module = ModuleType("__main__")
    module.__file__ = str(tmp_path / "keyaudit_shop" / "worker.py")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


@pytest.mark.parametrize("name", ["keyaudit_shop.worker", "worker", "__main__"])
def test_a_function_of_the_started_module(main: ModuleType, name: str) -> None:
    """The function is missing until its line has run, and is found when it is called."""
    function = LazyFunction(f"{name}:double", deferred=True)
    exec(DOUBLE, vars(main))  # noqa: S102 - the source above
    assert function(2) == 4


def test_a_module_that_was_imported_goes_before_the_started_one(main: ModuleType, modules: Modules) -> None:
    """The imported module is found under its own name."""
    modules.load(DOUBLE.replace("2", "3"), "keyaudit_shop.worker")
    exec(DOUBLE, vars(main))  # noqa: S102 - the source above
    assert LazyFunction("keyaudit_shop.worker:double", deferred=True)(2) == 6


@pytest.mark.parametrize(
    ("file", "spec", "names", "others"),
    [
        ("/srv/shop/main.py", None, ["main", "shop.main", "srv.shop.main", "__main__"], ["shop", "op.main", "main.py"]),
        ("/srv/shop/main.py", "shop.main", ["shop.main", "__main__"], ["main"]),
        (None, None, ["__main__"], ["main"]),
    ],
)
def test_which_module_was_started(file: str | None, spec: str | None, names: list[str], others: list[str]) -> None:
    """The spec names the module if Python was started with ``-m``, and the file does otherwise."""
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(spec, None) if spec else None
    main.__dict__.update({"__file__": file} if file else {})
    assert [name for name in [*names, *others] if runs_as_main(main, name)] == names
