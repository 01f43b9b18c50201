"""The supply chain: forbidden calls in the sources, dependencies, locks, and permissions of the workflows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "otel_keyaudit"
SOURCES = sorted(PACKAGE.rglob("*.py"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
in_checkout = pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="the workflows are not in the sdist")

CODE_FROM_DATA = {"eval", "exec", "__import__", "pickle", "marshal", "shelve", "subprocess", "ctypes"}
NETWORK = {"socket", "ssl", "http", "urllib.request", "urllib3", "requests", "httpx", "aiohttp"}
STARTS_PROGRAMS = {"cli"}
"""Folders that may start a program: the user's own command."""

DEPENDENCIES = ["opentelemetry-api", "opentelemetry-instrumentation-asgi", "opentelemetry-sdk", "orjson", "wrapt"]


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield every node of every source, with the path of its file."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            yield str(path.relative_to(PACKAGE)), node


def imported(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports, and the packages around them."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        names = []
    return [".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)]


def test_there_are_sources() -> None:
    """The checks below have sources to look at."""
    assert "guard.py" in {path.name for path in SOURCES}


def test_no_code_from_data() -> None:
    """No data is ever run as code, and only the command line starts a program."""
    called = [(file, ast.unparse(node.func)) for file, node in nodes() if isinstance(node, ast.Call)]
    found = [(file, name) for file, node in nodes() for name in imported(node)] + called

    forbidden = [(file, name) for file, name in found if name in CODE_FROM_DATA]
    assert [one for one in forbidden if not (one[0].split("/")[0] in STARTS_PROGRAMS and one[1] == "subprocess")] == []


def test_no_network() -> None:
    """The package sends nothing itself; the application's SDK exports."""
    assert [(file, name) for file, node in nodes() for name in imported(node) if name in NETWORK] == []


def test_only_the_guard_catches_everything() -> None:
    """One module catches every ``Exception``; nothing catches ``BaseException`` or has a bare ``except``."""
    handlers = [(file, node.type) for file, node in nodes() if isinstance(node, ast.ExceptHandler)]
    caught = [(file, ast.unparse(kind) if kind else "everything") for file, kind in handlers]
    suppressed = [
        (file, ast.unparse(argument))
        for file, node in nodes()
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        for argument in node.args
    ]
    broad = re.compile(r"\b(Exception|BaseException|everything)\b")

    assert {(file, kind) for file, kind in caught + suppressed if broad.search(kind)} == {
        ("guard/guard.py", "Exception")
    }


def test_dependencies() -> None:
    """The package depends on these five; the only extra is the command line's."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)

    assert re.findall(r'"([\w-]+)>=', listed) == DEPENDENCIES
    (extras,) = re.findall(r"^\[project.optional-dependencies\]\n(.*?)\n\n", project, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(\w+) =", extras, re.MULTILINE) == ["cli"]


def test_locks() -> None:
    """Every requirement that a session installs is pinned with hashes, and no lock names a host."""
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert locks
    for path in locks:
        lines = path.read_text(encoding="utf-8").splitlines()
        requirements = [number for number, line in enumerate(lines) if re.match(r"[\w-]", line)]
        assert requirements
        assert "://" not in path.read_text(encoding="utf-8"), path
        assert all("==" in lines[number] and "--hash=sha256:" in lines[number + 1] for number in requirements), path


@in_checkout
def test_actions_are_pinned() -> None:
    """Each action is pinned to a commit, with its version in a comment, and to the same one everywhere."""
    used = [line.strip(" -") for path in WORKFLOWS for line in path.read_text("utf-8").splitlines() if "uses:" in line]

    assert used
    assert [line for line in used if not re.fullmatch(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len(set(used)) == len({line.partition("@")[0] for line in used})


@in_checkout
def test_permissions() -> None:
    """A workflow has no permissions; only the publishing job may write attestations or identify itself."""
    workflows: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS}
    jobs = {(name, job): said for name, workflow in workflows.items() for job, said in workflow["jobs"].items()}
    writing = {place: job["permissions"] for place, job in jobs.items() if job["permissions"] != {"contents": "read"}}

    assert [name for name, workflow in workflows.items() if workflow["permissions"] != {}] == []
    assert writing == {("publish", "publish"): {"attestations": "write", "id-token": "write"}}
    assert set(jobs["publish", "publish"]["needs"]) == {"build", "test"}
    assert "secrets." not in "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
