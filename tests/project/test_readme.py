"""What the README shows is true: its code runs, its JSON is JSON, its rows have the members that rows have."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import otel_keyaudit
from otel_keyaudit import ApiKey, AuditTarget, AuthTarget, environment_variables, names
from otel_keyaudit.settings import Settings
from otel_keyaudit.targets.filters import _FILTERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
QUICKSTART = ROOT / "examples" / "quickstart"


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(program: str, **environment: str) -> str:
    """Run a program in the folder of the quickstart and return what it printed."""
    command = [sys.executable, "-B", "-c", program]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        command, cwd=QUICKSTART, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_json_is_a_row_before_and_after() -> None:
    """The row after has the members of the row before, and one more of the documented shape."""
    before, after = (json.loads(block) for block in blocks("json"))

    member = after.pop("request_api_key")

    assert before == after
    assert list(member) == ["id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"]


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

    printed = run(
        launched, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none", **variables
    )

    assert printed.split() == ["active", "active"]


def test_names_every_option() -> None:
    """Each option and each environment variable is in the README."""
    assert [name for name in Settings.__dataclass_fields__ if f"`{name}`" not in README] == []
    for name in dir(environment_variables):
        if name.startswith("OTEL_"):
            assert f"`{name.removeprefix('OTEL_PYTHON_KEYAUDIT_')}`" in README


def test_reference_computes_the_digest() -> None:
    """The lines in the reference give the digest that the library gives."""
    (program,) = re.findall(r"^```python\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)

    assert run(program).strip() == ApiKey("k_7Qm", name="ci-bot", scopes=["template:read"]).digest


def test_reference_has_every_name() -> None:
    """Each public name, filter, field and metric is in the reference, and each attribute at least by its last part."""
    fields = [field for field in (*AuthTarget.fields, *AuditTarget.fields) if not field.startswith("subject_")]
    for name in (*otel_keyaudit.__all__, *_FILTERS, *fields):
        assert re.search(rf"`{name}\b", REFERENCE), name
    for name in vars(names).values():
        if isinstance(name, str) and name.startswith("keyaudit.") and not name.endswith("_count"):
            assert name in REFERENCE or f"`.{name.rpartition('.')[2]}`" in REFERENCE, name


def test_promises_name_tests_that_exist() -> None:
    """Each promise names a test module or folder."""
    table = README.split("## What it promises")[1].split("## ")[0]
    for name in re.findall(r"\| `(\w+)` \|$", table, re.MULTILINE):
        assert list((ROOT / "tests").rglob(f"*{name}*")), name


def test_quickstart_shows_the_variables_of_the_demo() -> None:
    """The variables in the quickstart's README are those that the demo uses."""
    shown = (QUICKSTART / "README.md").read_text(encoding="utf-8")
    program = "import demo; print(*[f'export {name}={value!r}' for name, value in demo.KEYAUDIT.items()], sep=chr(10))"

    for line in run(program).splitlines():
        assert line in shown


def test_length() -> None:
    """The README is read in one go: at most 150 lines."""
    assert len(README.splitlines()) <= 150
