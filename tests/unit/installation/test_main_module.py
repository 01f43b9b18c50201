"""The module that is started is ``__main__``: nobody imports it, and its functions are observed all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_keyaudit.patching.modules import runs_as_main

MAIN = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from otel_keyaudit import KeyAuditInstrumentor

{before}

ROWS = []

def verify(key):
    return {{"id": key}}

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

captured = [verify]
{after}

if __name__ == "__main__":
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        captured[0]("k_1")
        record("create")
    states = [status.state for status in KeyAuditInstrumentor().status()]
    print(json.dumps({{"rows": [row and row["request_api_key"]["id"] for row in ROWS], "states": states}}))
"""
EARLY = """
from otel_keyaudit import KeyAuditInstrumentor
KeyAuditInstrumentor().instrument(skip_dep_check=True)
"""
CALL = "KeyAuditInstrumentor().instrument(auth_targets=['{module}:verify'], audit_targets=['{module}:record'])"


WORKER = """
import json
from otel_keyaudit import ApiKey, KeyAuditInstrumentor, use_key

ROWS = []

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

with use_key(ApiKey("k_1")):
    record("create")
states = [status.state for status in KeyAuditInstrumentor().status()]
print(json.dumps({"rows": [row and row["request_api_key"]["id"] for row in ROWS], "states": states}))
"""


def run(folder: Path, arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run Python in a folder and return what it prints."""
    paths = [str(folder), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join(paths), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def write(folder: Path, path: str, source: str) -> None:
    """Write a module into packages."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    for parent in file.parents:
        if parent == folder:
            break
        (parent / "__init__.py").touch()


@pytest.mark.parametrize("how", ["early", "before", "after"])
@pytest.mark.parametrize(
    ("path", "arguments", "module"),
    [
        ("main.py", ["main.py"], "main"),
        ("main.py", ["main.py"], "__main__"),
        ("shop/main.py", ["shop/main.py"], "shop.main"),
        ("shop/main.py", ["-m", "shop.main"], "shop.main"),
        ("shop/__main__.py", ["-m", "shop"], "shop.__main__"),
    ],
)
def test_the_module_that_is_started(tmp_path: Path, how: str, path: str, arguments: list[str], module: str) -> None:
    """Put on before it runs as ``opentelemetry-instrument`` does, at its top, or at its end: its rows name the key."""
    call = CALL.format(module=module)
    write(tmp_path, path, MAIN.format(**{"before": "", "after": "", how: call}))
    environment = {}
    if how == "early":
        write(tmp_path, "sitecustomize.py", EARLY)
        environment = {
            "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": f"{module}:verify",
            "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": f"{module}:record",
        }
    assert run(tmp_path, arguments, environment) == {"rows": ["k_1"], "states": ["active", "active"]}


def test_a_module_that_is_started_and_imported(tmp_path: Path) -> None:
    """Both of its copies are observed: the one that was started, and the one that another module imports."""
    source = MAIN.format(before="", after="if __name__ == '__main__': import other\n")
    write(tmp_path, "main.py", source)
    write(tmp_path, "other.py", "import main\nassert main.__name__ == 'main'\n")
    write(tmp_path, "sitecustomize.py", EARLY)
    environment = {
        "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": "main:verify",
        "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "main:record",
    }
    assert run(tmp_path, ["main.py"], environment) == {"rows": ["k_1"], "states": ["active", "active"]}


def test_a_script_without_requests(tmp_path: Path) -> None:
    """A script that is started and only sets a key by hand has its targets on in time: no request ever comes."""
    write(tmp_path, "worker.py", WORKER)
    write(tmp_path, "sitecustomize.py", EARLY)
    environment = {"OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "worker:record"}
    assert run(tmp_path, ["worker.py"], environment) == {"rows": ["k_1"], "states": ["active"]}


@pytest.mark.parametrize(
    ("file", "spec", "names", "others"),
    [
        ("/srv/shop/main.py", None, ["main", "shop.main", "srv.shop.main", "__main__"], ["shop", "op.main", "main.py"]),
        ("/srv/shop/main.py", "shop.main", ["shop.main", "__main__"], ["main"]),
        (None, None, ["__main__"], ["main"]),
    ],
)
def test_which_module_was_started(file: str | None, spec: str | None, names: list[str], others: list[str]) -> None:
    """By its spec, where Python was given a module; else by its file."""
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(spec, None) if spec else None
    main.__dict__.update({"__file__": file} if file else {})
    assert [name for name in [*names, *others] if runs_as_main(main, name)] == names
