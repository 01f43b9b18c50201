"""Presets as data: their libraries, versions and optional targets."""

import platform
from importlib.metadata import version

import pytest

from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuditTarget


def preset_for(library: str, oldest: str) -> Preset:
    """Return a preset without targets."""
    return Preset(library=library, oldest=oldest, records="", never="", targets=())


def test_optional_targets_need_their_library() -> None:
    """Targets for a second library, a newer or an older release are left out if it is not installed."""
    first, second = AuditTarget("a:b", fields="none"), AuditTarget("c:d", fields="none")
    both, newest = (first, second), version("pytest")
    for requirement, targets in {
        "pytest": both, f"pytest {newest}": both, "pytest 1000": (first,), "no-such-library": (first,),
        "no-such-library 1": (first,), "pytest <1000": both, f"pytest <{newest}": (first,), "pytest <1": (first,),
        "no-such-library <1": (first,),
    }.items():  # fmt: skip
        one = Preset("Python", "3", "", "", (first,), optional_targets={requirement: (second,)})
        assert one.installed_targets() == targets
        assert presets.targets({"one": one}) == [(target, "one") for target in targets]


def test_former_name_of_the_library_is_accepted() -> None:
    """The preset accepts the former name of a renamed distribution."""
    one = Preset("no-such-library", "1", "", "", (), former_library="pytest")
    assert one.missing_requirement() is None
    too_old = Preset("no-such-library", "999", "", "", (), former_library="pytest")
    assert f"found is {version('pytest')}" in str(too_old.missing_requirement())


@pytest.mark.parametrize(
    ("oldest", "is_enough"),
    [
        ("1", True),
        ("2.4.9", True),
        ("2.5", True),
        ("2.5.0", True),
        ("2.5.0.0", True),
        ("2.5.1", False),
        ("2.10", False),
    ],
)
def test_versions_are_compared_as_numbers(oldest: str, is_enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 is more than 5, and trailing zeros do not count."""
    monkeypatch.setattr("otel_keyaudit.presets._definition.version", lambda name: "2.5.0b1")

    assert (preset_for("anything", oldest).missing_requirement() is None) is is_enough


def test_unreadable_version_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout without a version may have any content."""
    monkeypatch.setattr("otel_keyaudit.presets._definition.version", lambda name: "unknown")

    assert preset_for("anything", "1").missing_requirement() == "it needs anything 1 or newer; found is unknown"


def test_preset_for_the_standard_library_needs_a_python_version() -> None:
    """The release of the standard library is the version of Python."""
    assert preset_for("Python", "3.10").missing_requirement() is None
    assert preset_for("Python", "99").missing_requirement() == (
        f"it needs Python 99 or newer; found is {platform.python_version()}"
    )
