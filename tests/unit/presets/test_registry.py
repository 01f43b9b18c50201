"""The option ``presets``: tests that need none of the libraries."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuditTarget
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

KNOWN = presets.presets()
TESTS = Path(__file__).parents[2] / "presets"
RECORD = "def record(additional_fields=None): return additional_fields"


@pytest.fixture
def other_preset(monkeypatch: pytest.MonkeyPatch) -> list[Preset]:
    """Replace the preset ``knox`` by the last one in the returned list."""
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
def test_unknown_preset_gets_all_names_and_the_nearest(wrong: str, meant: str, recorder: Recorder) -> None:
    """A typing error and the name of the library lead to the preset."""
    with pytest.raises(ConfigurationError) as raised:
        recorder.instrument(presets=["drf", wrong])

    assert str(raised.value) == (
        f"option 'presets': there is no preset {wrong!r}; known are {', '.join(KNOWN)}; did you mean {meant!r}?"
    )


def test_alias_is_the_same_preset() -> None:
    """An alias is the former name of a preset that is now part of another one."""
    assert presets.preset("postgresql-audit-flask") is KNOWN["postgresql-audit"]
    assert "postgresql-audit-flask" not in KNOWN


def test_name_without_a_near_one_gets_no_suggestion(recorder: Recorder) -> None:
    """The message lists the known names only."""
    with pytest.raises(ConfigurationError, match=r"there is no preset 'xyzzy'; known are [a-z, -]+$"):
        recorder.instrument(presets="xyzzy")


def test_fastapi_gets_advice(recorder: Recorder) -> None:
    """There is no preset for FastAPI, and the nearest name would mislead."""
    with pytest.raises(ConfigurationError, match=r"there is no preset 'FastAPI'; known are .*'auth_targets'$"):
        recorder.instrument(presets="FastAPI")


def test_missing_library_is_one_warning_and_other_targets_work(
    recorder: Recorder, other_preset: list[Preset], caplog: pytest.LogCaptureFixture, load_module: LoadModule
) -> None:
    """The warning names the library and the release that the preset needs."""
    other_preset.append(preset_for("no-such-library", "2.0"))
    module = load_module(RECORD)

    recorder.instrument(presets="knox", audit_targets=[f"{module.__name__}:record"])

    assert [status.state for status in recorder.status().values()] == ["active"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == "keyaudit: preset knox is off: it needs no-such-library 2.0 or newer, which is not installed"


def test_old_library_is_reported_with_its_version(
    recorder: Recorder, other_preset: list[Preset], caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the needed and the installed release."""
    other_preset.append(preset_for("pytest", "999"))

    recorder.instrument(presets="knox")

    found = version("pytest")
    assert caplog.messages[0] == f"keyaudit: preset knox is off: it needs pytest 999 or newer; found is {found}"


def test_strict_missing_library_is_an_error(recorder: Recorder, other_preset: list[Preset]) -> None:
    """The error names the preset and the library."""
    other_preset.append(preset_for("no-such-library", "2.0"))

    with pytest.raises(ConfigurationError, match=r"preset 'knox' can never work: it needs no-such-library 2.0"):
        recorder.instrument(presets="knox", strict=True)


def test_every_preset_has_a_test_against_its_library() -> None:
    """Each name occurs in a test of `tests/presets`."""
    tests = "".join(path.read_text() for path in TESTS.glob("test_*.py"))

    assert [name for name in KNOWN if f'"{name}"' not in tests] == []


def test_every_preset_documents_its_values() -> None:
    """The page of presets is generated from them."""
    for name, preset in KNOWN.items():
        assert preset.records, name
        assert preset.never, name
        assert "|" not in preset.records + preset.never, name
        assert re.fullmatch(r"\d+(\.\d+)*", preset.oldest), name


def test_audit_targets_of_presets_name_the_place_of_their_fields() -> None:
    """The default parameter is a convention of this library, not of others."""
    for preset in KNOWN.values():
        for target in preset.targets:
            assert not (isinstance(target, AuditTarget) and target.has_fields) or "fields" in target.places
