"""Functions in options are resolved late, and never import the application a second time."""

import os
import subprocess
import sys
from pathlib import Path

import flask
import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.targets.function_reference import LazyFunction, LazyValue
from support.environment.modules import LoadModule, Modules


def test_found_at_first_call(modules: Modules) -> None:
    """A function's module is imported by the first call, not before."""
    name = modules.write("def double(value): return 2 * value")
    function = LazyFunction(f"{name}:double", deferred=False)
    assert name not in sys.modules
    assert [function(2), function(3)] == [4, 6]


def test_missing_function_of_a_late_module(modules: Modules) -> None:
    """A name that the module lacks is an error of the call."""
    name = modules.write("text = 'no function'")
    for missing in ("nothing", "text"):
        with pytest.raises(ConfigurationError) as caught:
            LazyFunction(f"{name}:{missing}", deferred=False)("x")
        assert str(caught.value) == f"'{name}:{missing}': module {name!r} has no function {missing!r}"


def test_rest_of_a_path_is_found_at_first_call(load_module: LoadModule) -> None:
    """Only the first name of an imported module must exist at once, because the application may set the rest later."""
    module = load_module("class Policies: pass")
    function = LazyFunction(f"{module.__name__}:Policies.current", deferred=False)
    with pytest.raises(MissingError, match="no 'current'"):
        function(4)
    module.Policies.current = abs
    assert function(-4) == 4


def test_function_of_a_module_that_still_runs(load_module: LoadModule) -> None:
    """A module may name its own function above the function's definition."""
    module = load_module(
        """
        from otel_keyaudit.targets.function_reference import LazyFunction
        later = LazyFunction(f"{__name__}:double", deferred=False)
        def double(value): return 2 * value
        """
    )
    assert module.later(2) == 4


@pytest.mark.parametrize("command", [["app.py"], ["-m", "app"], ["-m", "shop.app"]])
def test_started_module_is_not_imported_again(tmp_path: Path, command: list[str]) -> None:
    """A function of the program that was started is found in it; its code does not run a second time."""
    module = "shop.app" if "shop.app" in command else "app"
    program = f"""
from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.targets.function_reference import LazyFunction, LazyValue
print("running")
later = LazyFunction("{module}:double", deferred=False)
def double(value): return 2 * value
print(later(2))
"""
    tmp_path.joinpath("shop").mkdir()
    tmp_path.joinpath("shop", "__init__.py").touch()
    for path in (tmp_path / "app.py", tmp_path / "shop" / "app.py"):
        path.write_text(program)
    environment = {"PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["running", "4"], "")


VALUES = """
import contextvars
import functools
from types import SimpleNamespace

class Store:
    def __init__(self):
        self.key = "first"
    def __call__(self, call):
        raise AssertionError("a value is not called")
    def read(self, call):
        return ("method", call)
    def __getattr__(self, name):
        raise AttributeError(name)

class Made:
    def __init__(self, call):
        self.call = call

store = Store()
by_name = {"key": "item"}
nothing = None
shout = str.upper
bound = functools.partial(divmod, 7)
cached = functools.lru_cache(lambda call: ("cached", call))
async def later(call):
    return call
def rows(call):
    return iter([call])
ITER = iter(["a"])
current = contextvars.ContextVar("current")
"""


@pytest.fixture
def values(load_module: LoadModule) -> str:
    """The name of a module with objects of every kind."""
    return load_module(VALUES).__name__


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("store.read", ("method", "c")),
        ("shout", "C"),
        ("cached", ("cached", "c")),
        ("rows", ["c"]),
        ("store.key", "first"),
        ("by_name.key", "item"),
        ("by_name.other", None),
        ("nothing", None),
        ("nothing.key", None),
    ],
)
def test_functions_are_called_and_other_objects_are_values(values: str, path: str, expected: object) -> None:
    """Methods, built-in and cached functions are functions."""
    assert LazyValue(f"{values}:{path}", deferred=False).read("c") == expected


def test_classes_and_partials_are_called(values: str) -> None:
    """A class returns the value."""
    assert LazyValue(f"{values}:Made", deferred=False).read("c").call == "c"
    assert LazyValue(f"{values}:bound", deferred=False).read(2) == (3, 1)


def test_an_object_that_can_be_called_is_a_value(values: str) -> None:
    """A proxy such as ``flask.g`` can be called and is still a value."""
    assert LazyValue(f"{values}:store", deferred=False).read("c") is sys.modules[values].store


def test_a_value_is_looked_up_each_time(values: str) -> None:
    """The value belongs to the call."""
    value = LazyValue(f"{values}:store.key", deferred=False)
    assert value.read(None) == "first"
    sys.modules[values].store.key = "second"
    assert value.read(None) == "second"
    del sys.modules[values].store.key
    with pytest.raises(MissingError):
        value.read(None)


@pytest.mark.parametrize("path", ["current", "current.get"])
def test_a_context_variable_has_its_current_value(values: str, path: str) -> None:
    """An unset variable is ``None``, although ``get`` returns its argument."""
    value = LazyValue(f"{values}:{path}", deferred=False)
    variable = sys.modules[values].current
    assert value.read(object()) is None
    token = variable.set("k_1")
    assert value.read(object()) == "k_1"
    variable.reset(token)


def test_the_object_of_a_framework_is_read_in_its_context() -> None:
    """Outside of a context the framework raises, which is counted."""
    value = LazyValue("flask:g.api_key", deferred=False)
    with pytest.raises(RuntimeError, match="application context"):
        value.read(None)
    with flask.Flask("keyaudit").app_context():
        with pytest.raises(MissingError):
            value.read(None)
        flask.g.api_key = "k_1"
        assert value.read(None) == "k_1"


@pytest.mark.parametrize("path", ["later", "ITER"])
def test_awaitables_and_iterators_are_refused(values: str, path: str) -> None:
    """A coroutine that the library made is closed, and an iterator of the application is not consumed."""
    with pytest.raises(UnreadableError):
        LazyValue(f"{values}:{path}", deferred=False).read("c")
    assert list(sys.modules[values].ITER) == ["a"]


@pytest.mark.parametrize(("name", "nearest"), [("stor", "store"), ("by_nam.key", "by_name"), ("xyzzy", None)])
def test_a_name_that_an_imported_module_lacks_is_an_error_at_once(values: str, name: str, nearest: str | None) -> None:
    """The nearest name is given; the rest of the path is resolved later."""
    with pytest.raises(ConfigurationError, match=f"module '{values}' has no '{name.partition('.')[0]}'") as wrong:
        LazyValue(f"{values}:{name}", deferred=True)
    assert ("did you mean" in str(wrong.value)) is (nearest is not None)
    assert nearest is None or repr(nearest) in str(wrong.value)
    with pytest.raises(MissingError):
        LazyValue(f"{values}:store.nothing", deferred=True).read(None)


def test_a_missing_submodule_is_noticed_at_first_use() -> None:
    """Only a missing package is an error at once."""
    value = LazyValue("email.keyaudit_nothing:f", deferred=False)
    with pytest.raises(ModuleNotFoundError):
        value.read(None)
    with pytest.raises(ConfigurationError, match="there is no package 'keyaudit_nothing'"):
        LazyValue("keyaudit_nothing.email:f", deferred=False)
