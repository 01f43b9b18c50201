"""The option ``presets``: tests that need none of the libraries."""

import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuditTarget
from support.keyaudit import KeyAudit, LoadModule

KNOWN = presets.presets()
RECORD = "def record(additional_fields=None): return additional_fields"


@pytest.fixture
def other_preset(monkeypatch: pytest.MonkeyPatch) -> list[Preset]:
    """Presets in place of the real ``knox``: the last one that is put into the list."""
    chosen = [KNOWN["knox"]]
    monkeypatch.setattr(presets, "preset", lambda name: chosen[-1])
    return chosen


def preset_for(library: str, oldest: str) -> Preset:
    """Return a preset without targets."""
    return Preset(library=library, oldest=oldest, records="", never="", targets=())


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("drf-apikey", "drf-api-key"),
        ("audit-log", "auditlog"),
        ("django-rest-knox", "knox"),
        ("simple_history", "simple-history"),
        ("KEYSMITH", "keysmith"),
    ],
)
def test_an_unknown_name_lists_the_known_ones_and_suggests_the_nearest(
    wrong: str, meant: str, keyaudit: KeyAudit
) -> None:
    """A slip of the keyboard, and the name of the library, lead to the preset."""
    with pytest.raises(ConfigurationError) as raised:
        keyaudit.instrument(presets=["drf", wrong])

    assert str(raised.value) == (
        f"option 'presets': there is no preset {wrong!r}; known are {', '.join(KNOWN)}; did you mean {meant!r}?"
    )


def test_an_alias_is_the_same_preset() -> None:
    """The name of a preset that is now part of another one."""
    assert presets.preset("postgresql-audit-flask") is KNOWN["postgresql-audit"]
    assert "postgresql-audit-flask" not in KNOWN


def test_optional_targets_need_their_library() -> None:
    """Targets for a second library are left out if it is not installed."""
    first, second = AuditTarget("a:b", fields="none"), AuditTarget("c:d", fields="none")
    for library, targets in {"pytest": (first, second), "no-such-library": (first,)}.items():
        one = Preset("Python", "3", "", "", (first,), optional_targets={library: (second,)})
        assert one.installed_targets() == targets
        assert presets.targets({"one": one}) == [(target, "one") for target in targets]


def test_a_former_name_of_the_library_is_accepted() -> None:
    """The distribution was renamed."""
    one = Preset("no-such-library", "1", "", "", (), former_library="pytest")
    assert one.shortcoming() is None
    too_old = Preset("no-such-library", "999", "", "", (), former_library="pytest")
    assert f"found is {version('pytest')}" in str(too_old.shortcoming())


def test_a_name_that_is_like_no_other_gets_no_suggestion(keyaudit: KeyAudit) -> None:
    """A guess that helps nobody is left out."""
    with pytest.raises(ConfigurationError, match=r"there is no preset 'xyzzy'; known are [a-z, -]+$"):
        keyaudit.instrument(presets="xyzzy")


def test_a_framework_whose_own_classes_know_no_key_gets_advice(keyaudit: KeyAudit) -> None:
    """The nearest name would lead astray."""
    with pytest.raises(ConfigurationError, match=r"there is no preset 'FastAPI'; known are .*'auth_targets'$"):
        keyaudit.instrument(presets="FastAPI")


def test_a_library_that_is_not_installed_is_one_warning_and_the_rest_goes_on(
    keyaudit: KeyAudit, other_preset: list[Preset], caplog: pytest.LogCaptureFixture, load_module: LoadModule
) -> None:
    """What was expected is said; the targets that were named beside it are on."""
    other_preset.append(preset_for("no-such-library", "2.0"))
    module = load_module(RECORD)

    keyaudit.instrument(presets="knox", audit_targets=[f"{module.__name__}:record"])

    assert [status.state for status in keyaudit.status().values()] == ["active"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == "keyaudit: preset knox is off: it needs no-such-library 2.0 or newer, which is not installed"


def test_a_library_that_is_too_old_is_reported_with_what_was_found(
    keyaudit: KeyAudit, other_preset: list[Preset], caplog: pytest.LogCaptureFixture
) -> None:
    """One warning says what was expected and what is there."""
    other_preset.append(preset_for("pytest", "999"))

    keyaudit.instrument(presets="knox")

    found = version("pytest")
    assert caplog.messages[0] == f"keyaudit: preset knox is off: it needs pytest 999 or newer; found is {found}"


def test_with_strict_a_library_that_is_not_there_is_an_error(keyaudit: KeyAudit, other_preset: list[Preset]) -> None:
    """Whoever asked for strictness does not find out later."""
    other_preset.append(preset_for("no-such-library", "2.0"))

    with pytest.raises(ConfigurationError, match=r"preset 'knox' can never work: it needs no-such-library 2.0"):
        keyaudit.instrument(presets="knox", strict=True)


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
    """Ten is more than five, and a zero at the end is nothing."""
    monkeypatch.setattr("otel_keyaudit.presets._definition.version", lambda name: "2.5.0b1")

    assert (preset_for("anything", oldest).shortcoming() is None) is is_enough


def test_a_version_that_is_none_is_older_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout without one may be anything."""
    monkeypatch.setattr("otel_keyaudit.presets._definition.version", lambda name: "unknown")

    assert preset_for("anything", "1").shortcoming() == "it needs anything 1 or newer; found is unknown"


def test_a_preset_may_need_no_more_than_python() -> None:
    """Whose release is that of the interpreter."""
    assert preset_for("Python", "3.10").shortcoming() is None
    assert preset_for("Python", "99").shortcoming() == (
        f"it needs Python 99 or newer; found is {platform.python_version()}"
    )


def test_every_preset_has_a_test_against_its_library() -> None:
    """A preset that nobody ever ran is worth nothing."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__))

    assert [name for name in KNOWN if f'"{name}"' not in tests] == []


def test_every_preset_says_what_it_records_and_what_it_never_touches() -> None:
    """The page is made from the presets, so they must say it."""
    for name, preset in KNOWN.items():
        assert preset.records, name
        assert preset.never, name
        assert "|" not in preset.records + preset.never, name
        assert re.fullmatch(r"\d+(\.\d+)*", preset.oldest), name


def test_an_audit_preset_says_where_its_fields_are() -> None:
    """The default parameter is this library's own convention, not that of any other."""
    for preset in KNOWN.values():
        for target in preset.targets:
            assert not (isinstance(target, AuditTarget) and target.has_fields) or "fields" in target.places
