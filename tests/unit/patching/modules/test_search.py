"""A module that cannot exist is reported with the nearest name, and nothing is imported."""

from __future__ import annotations

import sys

import pytest

from otel_keyaudit.patching.modules.search import explain_missing
from support.environment.modules import Modules

BROKEN = "raise RuntimeError('imported early')"


@pytest.fixture
def depot(modules: Modules) -> str:
    """A package that cannot be imported, with two modules and a package inside."""
    for name in ("keyaudit_depot.auth", "keyaudit_depot.audit.rows"):
        modules.write(BROKEN, name)
    package = modules.folder / "keyaudit_depot"
    package.joinpath("__init__.py").write_text(BROKEN)
    return "keyaudit_depot"


@pytest.mark.parametrize("module", ["", ".auth", ".audit", ".audit.rows"])
def test_a_module_that_exists_may_be_imported_later(depot: str, module: str) -> None:
    """A module that exists is not imported."""
    assert explain_missing(depot + module) is None
    assert depot not in sys.modules


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (".atuh", "package 'keyaudit_depot' has no module 'atuh'; did you mean 'auth'?"),
        (".auth.keys", "package 'keyaudit_depot.auth' has no module 'keys'"),
        (".audit.row", "package 'keyaudit_depot.audit' has no module 'row'; did you mean 'rows'?"),
        (".adit.rows", "package 'keyaudit_depot' has no module 'adit'; did you mean 'audit'?"),
    ],
)
def test_misspelt_submodule_gets_the_nearest_name(depot: str, module: str, reason: str) -> None:
    """The nearest name is given also if a missing top-level package may still come."""
    assert explain_missing(depot + module) == explain_missing(depot + module, deferred=True) == reason
    assert depot not in sys.modules


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("", None),
        (".inner", None),
        (".inner.auth", None),
        (".iner", "package 'keyaudit_space' has no module 'iner'; did you mean 'inner'?"),
        (".inner.atuh", "package 'keyaudit_space.inner' has no module 'atuh'; did you mean 'auth'?"),
        (".inner.deep.rows", None),
        (".inner.deep.row", "package 'keyaudit_space.inner.deep' has no module 'row'; did you mean 'rows'?"),
        (".inner.data", None),
    ],
)
def test_packages_without_init_exist(modules: Modules, module: str, reason: str | None) -> None:
    """A namespace package may contain others, which Python finds only when the outer one is imported."""
    inner = modules.folder / "keyaudit_space" / "inner"
    inner.joinpath("deep").mkdir(parents=True)
    inner.joinpath("data").mkdir()
    for path in (inner / "auth.py", inner / "deep" / "rows.py"):
        path.write_text(BROKEN)
    assert explain_missing(f"keyaudit_space{module}") == reason
    assert "keyaudit_space" not in sys.modules


def test_misspelt_package_gets_the_nearest_name(depot: str) -> None:
    """The nearest name is given unless the package may become importable later."""
    assert (
        explain_missing("keyaudit_deppot.auth")
        == "there is no package 'keyaudit_deppot'; did you mean 'keyaudit_depot'?"
    )
    assert explain_missing("keyaudit_deppot.auth", deferred=True) is None


def test_an_imported_package_is_searched_where_it_says(modules: Modules) -> None:
    """The package's own ``__path__`` is searched, because its code may have changed it."""
    modules.write("x = 1", "keyaudit_far.auth")
    modules.load(f"__path__ = [{str(modules.folder / 'keyaudit_far')!r}]", "keyaudit_near")
    assert explain_missing("keyaudit_near.auth") is None
    assert explain_missing("keyaudit_near.atuh") == "package 'keyaudit_near' has no module 'atuh'; did you mean 'auth'?"


@pytest.mark.parametrize("module", ["os.path", "json", "json.decoder", "email.message", "builtins", "sys"])
def test_modules_of_the_standard_library_exist(module: str) -> None:
    """Built-in modules exist, although they have no file."""
    assert explain_missing(module) is None


def test_a_module_of_a_plain_module_does_not_exist() -> None:
    """A plain module is not a package, so it has no submodules."""
    assert explain_missing("keyword.kwlist") == "package 'keyword' has no module 'kwlist'"
