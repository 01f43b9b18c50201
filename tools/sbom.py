"""The bill of materials of the wheel and of what comes with it, taken from an environment that holds nothing else."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from dist import EPOCH
from environments import BUILD, ROOT, StepError, environment, python_in, run, say

FOLDER = BUILD / "sbom"
SBOM = FOLDER / "otel-keyaudit.cdx.json"
ALONE = """
import sys
import otel_keyaudit, otel_keyaudit.testing
sys.exit("pytest is there, too" if "pytest" in sys.modules else None)
"""


def sbom(folder: Path) -> None:
    """Install a folder's wheel beside its locked dependencies alone, use it there, and write down what is there."""
    tools = environment("supply_chain", "supply_chain")
    shutil.rmtree(FOLDER, ignore_errors=True)
    run(tools, "-m", "venv", "--without-pip", FOLDER / "environment", failure="no virtualenv could be made")
    python = python_in(FOLDER / "environment")
    pip = partial(run, tools, "-m", "pip", "--python", python)
    locked = ("--quiet", "--require-hashes", "-r", ROOT / "requirements/runtime.txt")
    pip("install", *locked, failure="the dependencies could not be installed (see above)")
    wheel = (
        "--quiet",
        "--no-deps",
        "--no-index",
        "--find-links",
        folder,
        "otel-keyaudit",
    )  # no path gets into the SBOM
    pip("install", *wheel, failure="the wheel could not be installed (see above)")
    pip("check", failure="requirements/runtime.txt is outside of the ranges in pyproject.toml (see above)")
    run(python, "-c", ALONE, failure="the wheel does not work with its dependencies alone (see above)")
    command = ("-m", "cyclonedx_py", "environment", "--output-reproducible", "--output-file", SBOM, python)
    run(tools, *command, failure="the SBOM could not be written (see above)", env=EPOCH)
    say(str(SBOM.relative_to(ROOT)))
    say_components()


def say_components() -> None:
    """Print the components with their licences; each must have one, and the package must be among them."""
    components = json.loads(SBOM.read_text(encoding="utf-8"))["components"]
    for component in components:
        print(f"{component['name']} {component['version']}  {licence(component)}")
    if "otel-keyaudit" not in {component["name"] for component in components}:
        message = "the SBOM does not name the package"
        raise StepError(message)
    if unknown := [component["name"] for component in components if not licence(component)]:
        message = f"no licence is declared by {', '.join(unknown)}"
        raise StepError(message)


def licence(component: dict[str, Any]) -> str:
    """Return the declared licence of a component."""
    found = component.get("licenses", [])
    return ", ".join(one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in found)
