"""Build the wheel and the sdist, and check them: what `make dist` does."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from environments import BUILD, ROOT, StepError, main, run, say, tools_environment

# 2020-02-02, hatchling's own choice where nothing is given: set here so that the builds do not depend on it.
EPOCH = {"SOURCE_DATE_EPOCH": "1580601600"}


def build(python: Path, folder: Path) -> Path:
    """Build the sdist, and the wheel from the sdist, with the locked backend; return the wheel."""
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--no-isolation", "--outdir", str(folder)]
    run(python, "-m", "build", *options, failure="the package could not be built (see above)", env=EPOCH)
    (wheel,) = folder.glob("*.whl")
    return wheel


def dist() -> None:
    """Build twice and compare byte for byte, then check the metadata and the contents of the wheel in dist/."""
    python = tools_environment()
    say("building into dist/")
    wheel = build(python, ROOT / "dist")
    say("building again into build/again/")
    build(python, BUILD / "again")
    first, second = digests(ROOT / "dist"), digests(BUILD / "again")
    if first != second:
        message = f"two builds differ: {sorted(first.items() ^ second.items())}"
        raise StepError(message)
    say("twice the same bytes")
    for name, digest in first.items():
        print(f"sha256 {digest}  {name}")
    files = sorted(str(path) for path in (ROOT / "dist").iterdir())
    say("twine check")
    run(python, "-m", "twine", "check", "--strict", *files, failure="twine check failed (see above)")
    say("check-wheel-contents")
    run(python, "-m", "check_wheel_contents", wheel, failure="the wheel has more or less than the package (see above)")


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in the folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


if __name__ == "__main__":
    sys.exit(main("make dist", dist))
