"""The command ``otel-keyaudit``: its commands, wrong use, and the missing extra."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from otel_keyaudit.cli.group import group
from otel_keyaudit.version import __version__


def commands() -> list[str]:
    """Return the names of all commands."""
    return group.list_commands(click.Context(group))


def test_without_a_command_the_help_is_printed() -> None:
    """The help lists every command in one line, and the exit statuses."""
    result = CliRunner().invoke(group, [])
    assert result.exit_code == 0
    assert "Exit status: 0, 1 for findings, or 2 for wrong use." in result.output
    assert [name for name in commands() if f"\n  {name} " not in result.output] == []


@pytest.mark.parametrize("name", commands())
def test_every_command_has_an_example(name: str) -> None:
    """The help of every command has an example to copy."""
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    assert f"Example: otel-keyaudit {name}" in result.output


def test_the_version_is_printed() -> None:
    """The version is that of the package."""
    assert __version__ in CliRunner().invoke(group, ["--version"]).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explian"], "keyaudit: there is no command 'explian'; allowed are "),
        (["x" * 300], f"keyaudit: there is no command '{'x' * 200}'…; allowed are "),
        (["presets", "a", "b"], "keyaudit: Got unexpected extra argument (b). Try: otel-keyaudit presets --help"),
        (["--jsn"], "keyaudit: No such option '--jsn'. Try: otel-keyaudit --help"),
        (["explain", "rows.jsonl"], "keyaudit: Got unexpected extra argument (rows.jsonl). The rows come"),
        (["presets", "pyjtw"], "keyaudit: there is no preset 'pyjtw'; known are "),
        (["presets", "--jason"], "keyaudit: No such option"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str) -> None:
    """One line on standard error names the nearest command, and the exit status is 2."""
    result = CliRunner().invoke(group, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert ("did you mean 'explain'?" in result.stderr) == (arguments == ["explian"])


@pytest.mark.parametrize(("missing", "other"), [("click", "rich"), ("rich", "click")])
def test_a_missing_extra_is_named(missing: str, other: str, tmp_path: Path) -> None:
    """One line says which package is missing and how to install it."""
    program = f"import sys; sys.modules[{missing!r}] = None; import otel_keyaudit.__main__ as main; main.main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f'keyaudit: the command line needs {missing}, which is not installed; run: pip install "otel-keyaudit[cli]"\n'
    )
    assert other not in done.stderr


def test_the_package_runs_as_a_module() -> None:
    """``python -m otel_keyaudit`` is the command; output into a pipe has no colors."""
    command = [sys.executable, "-m", "otel_keyaudit", "presets"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "starlette" in done.stdout
    assert "\x1b" not in done.stdout


def redirected(arguments: str, redirection: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell with a redirection."""
    program = ["sh", "-c", f'"$0" -m otel_keyaudit {arguments} {redirection}', sys.executable]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60, **more)


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["presets", "presets --json", "explain", "report -", "report --format json -"])
def test_a_closed_stream_is_empty(command: str, stream: str) -> None:
    """A daemon may start the command without standard streams."""
    done = redirected(command, stream, input="")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("command", ["presets", "presets --json", "--help", "--version", "explain --json"])
def test_output_that_cannot_be_written_is_one_line(command: str) -> None:
    """The message has the reason, and the exit status is 2."""
    done = redirected(command, ">/dev/full", input="")
    assert (done.returncode, done.stderr) == (2, "keyaudit: cannot write the output: No space left on device\n")


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    """Rows are UTF-8, whatever the encoding of the terminal is."""
    row = '{"action": "é", "additional_fields": {"request_api_key": {"id": "kß"}}}\n'
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "otel_keyaudit", "explain"], input=row.encode(), capture_output=True, env=env, check=True
    )
    assert done.stdout.startswith(b"row 1: \\xe9\n  key: k\\xdf,")
    assert done.stderr == b""
