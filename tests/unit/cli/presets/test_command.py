"""``otel-keyaudit presets`` lists the ready-made targets, and those that fit the installed libraries."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from otel_keyaudit.cli.group import group
from otel_keyaudit.presets import _registry


def run(*arguments: str) -> Any:
    """Run the command."""
    return CliRunner().invoke(group, ["presets", *arguments])


def test_all_presets_are_listed() -> None:
    """Each preset has a line with its library, and presets that fit come first."""
    result = run()
    assert result.exit_code == 0
    head, *lines = result.output.splitlines()
    assert head.split() == ["preset", "library", "since", "fits"]
    assert sorted(line.split()[0] for line in lines) == sorted(_registry.names())
    fits = [line.split()[-1] for line in lines]
    assert fits == sorted(fits, reverse=True)
    assert dict(zip([line.split()[0] for line in lines], fits, strict=True))["threads"] == "yes"
    assert max(map(len, lines)) <= 80


def test_one_preset_is_shown() -> None:
    """The output has the library, the fields, the targets and the line to copy."""
    result = run("starlette")
    assert result.exit_code == 0
    assert "export OTEL_PYTHON_KEYAUDIT_PRESETS=starlette" in result.output
    for target in _registry.preset("starlette").targets:
        assert f"{target.kind}  {target.target_string}" in result.output


def test_a_preset_that_does_not_fit_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the library and the release that it needs."""
    name = next(name for name, preset in _registry.presets().items() if preset.missing_requirement() is not None)
    assert f"does not fit: {_registry.preset(name).missing_requirement()}" in " ".join(run(name).output.split())


def test_an_unknown_preset_is_wrong_use() -> None:
    """The line names the nearest preset."""
    result = run("pyjtw")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean 'pyjwt'?" in result.stderr


def test_json_has_every_preset() -> None:
    """The document has one object for each preset, with its targets."""
    document = json.loads(run("--json").stdout)
    assert document["format"] == "keyaudit-presets/1"
    assert [one["name"] for one in document["presets"]] == list(_registry.names())
    one = next(one for one in document["presets"] if one["name"] == "starlette")
    assert one["fits"] is True
    assert one["reason"] is None
    assert {target["kind"] for target in one["targets"]} <= {"auth", "audit", "authz", "subject"}
    assert json.loads(run("starlette", "--json").stdout)["presets"] == [one]
