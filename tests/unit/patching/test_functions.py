"""Functions named in options: found late, and never by importing the application a second time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.targets.function_reference import LazyFunction
from support.keyaudit import LoadModule, Modules


def test_found_at_first_call(modules: Modules) -> None:
    """A function's module is imported by the first call, not before."""
    name = modules.write("def double(value): return 2 * value")
    function = LazyFunction(f"{name}:double", deferred=False)
    assert name not in sys.modules
    assert [function(2), function(3)] == [4, 6]


def test_missing_function_of_a_late_module(modules: Modules) -> None:
    """What a late module turns out not to have is an error of the call."""
    name = modules.write("text = 'no function'")
    for missing in ("nothing", "text", "text.nothing"):
        with pytest.raises(ConfigurationError, match="has no function"):
            LazyFunction(f"{name}:{missing}", deferred=False)("x")


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
from otel_keyaudit.targets.function_reference import LazyFunction
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
