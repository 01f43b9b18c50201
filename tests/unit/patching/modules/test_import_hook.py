"""The import hook works beside other finders and loaders, and during imports that are under way."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_keyaudit.patching.modules.import_hook import ModuleWatch
from support.environment.modules import Modules, import_lazily


@pytest.fixture
def watch() -> Iterator[ModuleWatch]:
    """A watch that is on."""
    made = ModuleWatch()
    made.start()
    yield made
    made.stop()


class Finder:
    """A finder of somebody else's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Sequence[str] | None, ModuleType | None]] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        self.asked.append((name, path, target))
        return self.answer(name)

    def answer(self, name: str) -> ModuleSpec | None:
        return None


def behind(watch: ModuleWatch, finder: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Insert a finder directly after the import hook."""
    monkeypatch.setattr(sys, "meta_path", [watch, finder, *sys.meta_path[1:]])


def test_hook_is_asked_first_and_leaves_no_trace(watch: ModuleWatch) -> None:
    """No other finder hides a module from the hook."""
    assert sys.meta_path[0] is watch
    watch.stop()
    assert watch not in sys.meta_path


def test_other_finders_receive_the_same_arguments(
    watch: ModuleWatch, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other finders receive the path of the package and the module that is reloaded."""
    name = modules.write("", "keyaudit_package_of_imports.inside")
    finder = Finder()
    behind(watch, finder, monkeypatch)
    told: list[ModuleType] = []
    watch.add(name, told.append)
    module = importlib.import_module(name)
    package = sys.modules["keyaudit_package_of_imports"]
    assert importlib.reload(module) is module
    assert [asked for asked in finder.asked if asked[0] == name] == [
        (name, package.__path__, None),
        (name, package.__path__, module),
    ]
    assert told == [module, module]


def test_a_finder_that_asks_all_finders_is_no_second_import(
    watch: ModuleWatch, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook does not answer inside its own search, so it reports a module once."""
    name = modules.write("")

    class Asking(Finder):
        def answer(self, name: str) -> ModuleSpec | None:
            return None if len(self.asked) > 1 else importlib.util.find_spec(name)

    behind(watch, Asking(), monkeypatch)
    told: list[ModuleType] = []
    watch.add(name, told.append)
    module = importlib.import_module(name)
    assert told == [module]


def test_a_finder_that_imports_is_watched_too(
    watch: ModuleWatch, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import during the search for another module is reported too."""
    outer, inner = modules.write(""), modules.write("")

    class Importing(Finder):
        def answer(self, name: str) -> ModuleSpec | None:
            if name == outer:
                importlib.import_module(inner)
            return None

    behind(watch, Importing(), monkeypatch)
    told: list[str] = []
    for name in (outer, inner):
        watch.add(name, lambda module: told.append(module.__name__))
    importlib.import_module(outer)
    assert told == [inner, outer]


def test_object_that_is_no_finder_is_skipped(
    watch: ModuleWatch, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python skips an object that is not a finder, and the hook does too."""
    name = modules.write("")
    behind(watch, object(), monkeypatch)
    told: list[ModuleType] = []
    watch.add(name, told.append)
    assert importlib.import_module(name) in told


def test_a_watched_module_that_does_not_exist_is_not_found(watch: ModuleWatch) -> None:
    """The error is Python's own."""
    watch.add("keyaudit_no_such_module", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="keyaudit_no_such_module"):
        importlib.import_module("keyaudit_no_such_module")


def test_old_loader_stays_as_it_is(watch: ModuleWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader without ``exec_module`` cannot report the end of an import."""
    loader = object()

    class Old(Finder):
        def answer(self, name: str) -> ModuleSpec | None:
            return ModuleSpec(name, loader)  # type: ignore[arg-type]

    behind(watch, Old(), monkeypatch)
    watch.add("keyaudit_old", lambda module: None)
    spec = watch.find_spec("keyaudit_old", None)
    assert spec is not None
    assert spec.loader is loader


def test_hook_removed_during_an_import_reports_nothing(watch: ModuleWatch, modules: Modules) -> None:
    """The import continues without a report."""
    inner = modules.write("")
    outer = modules.write(f"import {inner}\nDONE = True\n")
    told: list[Any] = []
    watch.add(inner, lambda module: watch.stop())
    watch.add(outer, told.append)
    assert importlib.import_module(outer).DONE
    assert told == []


def test_a_module_made_by_hand_is_executed_as_any(watch: ModuleWatch, modules: Modules) -> None:
    """A tool may have a loader execute a bare module without loader and spec."""
    name = modules.write("DONE = True\n")
    told: list[ModuleType] = []
    watch.add(name, told.append)
    spec = watch.find_spec(name, None)
    assert spec is not None
    assert spec.loader is not None
    module = ModuleType(name)
    del module.__loader__
    spec.loader.exec_module(module)
    assert module.DONE
    assert told == [module]


def test_imported_module_is_reported_at_once_and_incomplete_one_at_its_end(
    watch: ModuleWatch, modules: Modules
) -> None:
    """A module that is still being imported may lack the name, so it is reported when it is complete."""
    inner = modules.write("DONE = True\n")
    outer = modules.write(f"import {inner}\nDONE = True\n")
    told: list[tuple[str, bool]] = []

    def tell(module: ModuleType) -> None:
        told.append((module.__name__, hasattr(module, "DONE")))

    watch.add(outer, lambda module: None)
    watch.add(inner, lambda module: watch.tell(outer, tell))
    watch.tell("keyaudit_no_such_module", tell)
    importlib.import_module(outer)
    watch.tell(inner, tell)
    assert told == [(outer, True), (inner, True)]


@pytest.mark.parametrize("is_earlier", [True, False])
def test_a_module_that_is_executed_on_first_use_is_reported_then(
    watch: ModuleWatch, modules: Modules, is_earlier: bool
) -> None:
    """Watching a module does not execute it, whether it was imported before or afterwards."""
    name = modules.write("DONE = True\n")
    told: list[bool] = []
    module = import_lazily(name) if is_earlier else None
    for _ in range(2):
        watch.tell(name, lambda module: told.append("DONE" in module.__dict__))
    module = module or import_lazily(name)
    assert type(module) is not ModuleType
    assert told == []
    assert module.DONE
    assert told == [True, True]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"  # type: ignore[union-attr]
    assert type(module) is ModuleType


@pytest.mark.unmutated  # mutmut has frames of its own, which ``stacklevel`` counts
@pytest.mark.parametrize("is_watched", [True, False])
def test_a_warning_of_a_module_names_the_code_that_imports_it(
    watch: ModuleWatch, modules: Modules, is_watched: bool
) -> None:
    """A deprecated module warns with ``stacklevel=2``; filters compare the module that imports it."""
    old = modules.write("import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n")
    user = modules.write(f"import {old}\n")
    if is_watched:
        watch.add(old, lambda module: None)
    with pytest.warns(DeprecationWarning, match="old") as caught:
        importlib.import_module(user)
    assert [Path(one.filename).stem for one in caught] == [user]
