"""Virtualenvs under .venv/, made from the locks in requirements/ and kept until a lock or the Python changes.

Standard library only: this runs before anything is installed. It needs Python 3.10 or newer, which the Makefile finds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
PIP_INSTALL = ("-m", "pip", "install", "--quiet")


class StepError(Exception):
    """A step failed; the message says in one line which, and what to do."""


def main(step: str, function: Callable[[], None]) -> int:
    """Run a tool's function, and turn a failure into one line and an exit code."""
    try:
        function()
    except StepError as error:
        print(f"{step}: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def say(text: str) -> None:
    """Tell the person what happens now, before the output of the step itself."""
    print(f"==> {text}", flush=True)


def run(*command: str | Path, failure: str, env: dict[str, str] | None = None, minutes: float | None = None) -> None:
    """Run a command in the checkout with its output shown; `failure` is the one line when it fails."""
    seconds = None if minutes is None else minutes * 60
    try:
        done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environ(env), timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        message = f"it did not end within {minutes} minutes"
        raise StepError(message) from None
    if done.returncode:
        raise StepError(failure)


def environ(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child: nothing of the caller's own Python set-up leaks in."""
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MAKEFLAGS"}}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | (extra or {})


def environment(name: str, lock: str, python: str | Path = sys.executable) -> Path:
    """Return the Python of the virtualenv `name`, made from `requirements/<lock>.txt` unless it is up to date."""
    folder = ROOT / ".venv" / name
    inside = python_in(folder)
    requirements = ROOT / "requirements" / f"{lock}.txt"
    stamp = folder / "made-from"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest() + " " + identity(python)
    if inside.exists() and stamp.is_file() and stamp.read_text() == key:
        return inside
    say(f"making .venv/{name} from requirements/{lock}.txt (once per lock; half a minute or so)")
    shutil.rmtree(folder, ignore_errors=True)
    no_venv = f"{python} cannot make a virtualenv: install its venv and pip (on Debian: apt install python3-venv)"
    run(python, "-m", "venv", folder, failure=no_venv)
    not_installed = f"pip could not install requirements/{lock}.txt (see above): is a package index reachable?"
    run(inside, *PIP_INSTALL, "--require-hashes", "-r", requirements, failure=not_installed)
    stamp.write_text(key)
    return inside


def install_wheel(python: str | Path, wheel: Path) -> None:
    """Install the wheel of this checkout into a virtualenv that has all else already."""
    options = (*PIP_INSTALL, "--no-deps", "--force-reinstall")
    run(python, *options, wheel, failure="the wheel could not be installed (see above)")


def forget_telemetry_settings() -> None:
    """Leave the user's own telemetry settings out of what runs from here on: they are no part of the tests."""
    for variable in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[variable]


def python_in(folder: Path) -> Path:
    """Return the interpreter of a virtualenv."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def tools_environment(versions: Iterable[str] = VERSIONS) -> Path:
    """Return the development virtualenv of the first of these Pythons that is here.

    Args:
        versions: If none are given, the oldest one is taken, whose syntax is the narrowest.
    """
    for version in versions:
        if python := interpreter(version):
            return environment(f"py{version}", "dev", python)
    return environment("dev", "dev")


def identity(python: str | Path) -> str:
    """Return what tells this interpreter from another one at the same path."""
    code = "import sys; print(sys.version, sys.base_prefix)"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False, env=environ())
    if done.returncode:
        message = f"{python} does not run"
        raise StepError(message)
    return " ".join(done.stdout.split())


def interpreter(version: str) -> str | None:
    """Return a `pythonX.Y` that really runs, from PATH or from pyenv, or None."""
    on_path = shutil.which(f"python{version}")
    for candidate in [on_path, *reversed(pyenv_pythons(version))]:
        if candidate and answers(candidate, version):
            return candidate
    return None


def pyenv_pythons(version: str) -> list[str]:
    """Return the interpreters of one minor version that pyenv has, oldest first."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = root.glob(f"versions/{version}.*/bin/python{version}")
    return sorted((str(path) for path in found), key=lambda path: (len(path), path))


def answers(python: str, version: str) -> bool:
    """Return whether the program is a CPython of that version (a pyenv shim may exist and not run)."""
    code = "import sys; print(sys.implementation.name + '%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=environ())
    return done.stdout.strip() == f"cpython{version}"
