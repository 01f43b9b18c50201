"""Presets in real processes under ``opentelemetry-instrument``: wrong names, and libraries that are not right."""

from pathlib import Path

import pytest

from support.programs import Program

TARGETS = {"auth_targets": "shop.security:verify", "audit_targets": "shop.audit:record"}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """An application that says itself which functions authenticate and write."""
    return Program(tmp_path)


def test_a_wrong_name_is_one_logged_error(program: Program) -> None:
    """It lists the known ones and suggests the nearest; the application runs on."""
    ended = program.run({**TARGETS, "presets": "auditlog,drf-apikey"})
    (line,) = ended.log
    assert "there is no preset 'drf-apikey'; known are apikeyauth, auditlog, " in line
    assert "did you mean 'drf-api-key'?" in line
    assert ended.key_ids == [None, None]
    assert "neighbour is on" in ended.others


@pytest.mark.parametrize("strict", ["false", "true"])
def test_a_library_that_is_missing_or_too_old_is_reported(program: Program, strict: str) -> None:
    """What was expected is said, and what was found; without ``strict`` everything else goes on."""
    library = program.site / "Flask_HTTPAuth-4.7.0.dist-info"
    program.write(f"site/{library.name}/METADATA", "Metadata-Version: 2.1\nName: Flask-HTTPAuth\nVersion: 4.7.0\n")
    ended = program.run({**TARGETS, "presets": "flask-httpauth,unkey", "strict": strict})

    old = "it needs Flask-HTTPAuth 4.8 or newer; found is 4.7.0"
    if strict == "true":
        assert [old in line for line in ended.log] == [True]
        assert ended.key_ids == [None, None]
    else:
        missing = "preset unkey is off: it needs unkey-py 3.2 or newer, which is not installed"
        assert [f"preset flask-httpauth is off: {old}" in ended.log[0], missing in ended.log[1]] == [True] * 2
        assert len(ended.log) == 2
        assert ended.key_ids == ["k_1", "k_1"]
