"""The README is true: its code runs, its row has the right members and the right digest, its promises have tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from otel_keyaudit import ApiKey

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROMISES = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")
QUICKSTART = ROOT / "examples" / "quickstart"


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(program: str, **environment: str) -> str:
    """Run a program in the folder of the quickstart and return its output."""
    command = [sys.executable, "-B", "-c", program]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        command, cwd=QUICKSTART, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_row_after_has_one_more_member_and_the_right_digest() -> None:
    """The row after has the members of the row before, and one more, whose digest is that of the shown key."""
    before, after = (json.loads(block) for block in blocks("json"))

    member = after.pop("request_api_key")

    assert before == after
    assert list(member) == ["id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"]
    fields = {name: member[name] for name in ("id", "name", "scopes", "allow_list")}
    assert member["digest"] == ApiKey(**fields).digest
    assert f"keyaudit.key.digest={member['digest']}" in blocks("diff")[0]


def test_instrument_from_code() -> None:
    """The call in the README makes both targets of the quickstart's service active, once they are imported."""
    (program,) = [block for block in blocks("python") if "status()" in block]

    printed = run("import shop.main\n" + program)

    assert [line.split()[0] for line in printed.splitlines()] == ["active", "active"]


def test_use_key() -> None:
    """The key set by hand is the current one."""
    (program,) = [block for block in blocks("python") if "use_key" in block]

    assert run(program).startswith("ApiKey('k_7Qm'")


def test_variables_under_opentelemetry_instrument() -> None:
    """The variables in the README make both targets active under opentelemetry-instrument."""
    (script,) = [block for block in blocks("sh") if "opentelemetry-instrument uvicorn" in block]
    exports = [word for line in script.splitlines() if line.startswith("export ") for word in shlex.split(line)[1:]]
    variables = dict(export.split("=", 1) for export in exports)
    program = (
        "import shop.main; from otel_keyaudit import KeyAuditInstrumentor as K; print(*[s.state for s in K().status()])"
    )
    launched = (
        "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; "
        f"sys.argv = ['run', sys.executable, '-c', {program!r}]; run()"
    )

    assert run(launched, **variables).split() == ["active", "active"]


@pytest.mark.parametrize("page", [README, PROMISES], ids=["README", "promises"])
def test_promises_name_tests_that_exist(page: str) -> None:
    """Each name in the last column of the promises is that of a test module or folder."""
    table = page[page.index("| NAMES |") :].split("\n\n", maxsplit=1)[0]
    found = re.findall(r"\| `([\w ]+)` \|$", table, re.MULTILINE)

    assert len(found) == len(table.splitlines()) - 2
    for name in {word for names in found for word in names.split(" or ")}:
        assert list((ROOT / "tests").rglob(f"test_*{name}*.py")) or (ROOT / "tests" / name).is_dir(), name


def test_quickstart_shows_the_variables_of_the_demo() -> None:
    """The variables in the quickstart's README are those that the demo uses."""
    shown = (QUICKSTART / "README.md").read_text(encoding="utf-8")
    program = "import demo; print(*[f'export {name}={value!r}' for name, value in demo.KEYAUDIT.items()], sep=chr(10))"

    for line in run(program).splitlines():
        assert line in shown


def test_length() -> None:
    """The README has fewer than 150 lines."""
    assert len(README.splitlines()) < 150
