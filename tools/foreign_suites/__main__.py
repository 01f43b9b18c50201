"""Run other projects' own tests without and with the library, and print the difference: `make foreign-suites`.

The sdists come from the package registry, in the versions of requirements/foreign-suites.txt and checked against its
hashes; they are kept in the user's cache folder. Arguments choose projects. The exit status is 1 if a test has another
outcome with the library, or if the library observed no call.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree

from tools.foreign_suites.projects import PROJECTS, Project

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "foreign-suites.txt"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-keyaudit" / "sdists"

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tools.foreign_suites.plugin", "--tb=short")
SECONDS = 1200

Outcomes = dict[str, str]
"""The outcome of each test by its id."""


class Target(NamedTuple):
    """A target of the library as its `status()` showed it after the tests."""

    target: str
    state: str
    reason: str
    calls: int


def main() -> int:
    """Run the chosen suites and return the exit status."""
    names = [project.name for project in PROJECTS]
    if unknown := [name for name in sys.argv[1:] if name not in names]:
        print(f"foreign-suites: no project {', '.join(unknown)} (there are {', '.join(names)})", file=sys.stderr)
        return 2
    chosen = [project for project in PROJECTS if project.name in (sys.argv[1:] or names)]
    return 0 if all([compare(project) for project in chosen]) else 1  # noqa: C419 - every project runs


def compare(project: Project) -> bool:
    """Run a suite twice, print differing outcomes, and return whether all outcomes are equal."""
    with TemporaryDirectory(prefix="keyaudit-foreign-") as name:
        folder = unpack(sdist(project.name), Path(name))
        without, _ = run(project, folder, "without")
        with_it, targets = run(project, folder, "with")
    calls = sum(target.calls for target in targets)
    different = {test for test in without | with_it if without.get(test) != with_it.get(test)}
    summary = ", ".join(f"{list(without.values()).count(kind)} {kind}" for kind in sorted({*without.values()}))
    print(f"{folder.name}: {summary}; {calls} calls observed; {len(different)} tests with another outcome", flush=True)
    wrong = [target for target in targets if target.state == "wrong"]
    for target in wrong:
        print(f"  {target.target} is wrong: {target.reason}")
    if not with_it:
        print("  the suite did not run with the library")
        return False
    for test in sorted(different):
        print(f"  {test}: {without.get(test, 'missing')} without, {with_it.get(test, 'missing')} with the library")
    if list(without.values()).count("passed") < len(without) / 2:
        print("  most tests fail without the library, so they cannot tell")
        return False
    return bool(calls) and not different and not wrong


def sdist(name: str) -> Path:
    """Return the sdist of a project, downloaded once for each locked version."""
    lock = LOCK.read_text(encoding="utf-8")
    if not (locked := re.search(rf"^{name}==(\S+)[^\n]*\n(?:    --hash=\S+(?: \\)?\n)+", lock, re.MULTILINE)):
        raise LookupError(f"{LOCK} does not lock {name}")
    folder = CACHE / f"{name}-{locked[1]}"
    if not list(folder.glob("*.tar.gz")):
        folder.mkdir(parents=True, exist_ok=True)
        requirement = folder / "requirement.txt"
        requirement.write_text(locked[0], encoding="utf-8")
        options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
        command = (sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(folder))
        subprocess.run(command, check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an sdist and return its folder."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def run(project: Project, folder: Path, form: str) -> tuple[Outcomes, list[Target]]:
    """Run the suite and return the outcome of each test, and the library's targets with their states and calls."""
    report, status = folder.parent / f"{form}.xml", folder.parent / f"{form}.json"
    path = os.pathsep.join([str(ROOT), str(folder)])
    environment = os.environ | project.environment | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    if form == "with":
        environment |= {"FOREIGN_SUITE_OPTIONS": json.dumps(project.options), "FOREIGN_SUITE_STATUS": str(status)}
    command = [sys.executable, *PYTEST, f"--junitxml={report}", *project.arguments]
    done = subprocess.run(
        command,
        cwd=folder / project.folder,
        env=environment,
        timeout=SECONDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"{folder.name} {form} the library: {done.stdout.strip().splitlines()[-1]}", flush=True)
    if not report.exists():
        print(done.stdout[-3000:], flush=True)
        return {}, []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
    outcomes = {f"{case.get('classname')}::{case.get('name')}": outcome(case) for case in cases}
    targets = json.loads(status.read_text(encoding="utf-8")) if status.exists() else []
    return outcomes, [Target(*target) for target in targets]


def outcome(case: ElementTree.Element) -> str:
    """Return passed, failure, error or skipped."""
    kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
    return min(kinds) if kinds else "passed"


if __name__ == "__main__":
    sys.exit(main())
