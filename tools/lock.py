"""Compile requirements/*.in into locks with hashes: what `make lock` does. It needs uv; nothing else here does."""

from __future__ import annotations

import shutil
import sys

from environments import ROOT, StepError, main, run, say

COMPILE = [
    *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "make lock"),
]
LOCKS = (
    *("dev", "oldest", "demo", "runtime", "presets", "presets_oldest"),
    *("supply_chain", "mutation", "bench", "check_full"),
)
OLDEST = {"presets": "3.12", "presets_oldest": "3.12"}
"""Locks whose oldest Python is not that of the package: not all of what they hold exists for it."""


def lock() -> None:
    """Compile each lock; `UPGRADE=1` on make's command line moves all versions to the newest."""
    if not shutil.which("uv"):
        message = "needs uv on PATH (pip install uv)"
        raise StepError(message)
    for name in LOCKS:
        say(f"requirements/{name}.txt")
        # relative names, because uv writes them into its comments
        files = [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        oldest = ["--python-version", OLDEST.get(name, "3.10")]
        run(*COMPILE, *oldest, *sys.argv[1:], *files, failure=f"requirements/{name}.in does not resolve (see above)")
    print(f"locks written in {ROOT / 'requirements'}")


if __name__ == "__main__":
    sys.exit(main("make lock", lock))
