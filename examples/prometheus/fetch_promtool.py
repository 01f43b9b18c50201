"""Unpack promtool from Debian's package `prometheus` into the user's cache folder, once, and print its path.

Nothing is installed, so it needs no root. apt checks the package's signature.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "prometheus"


def main() -> int:
    """Print the path of promtool, which is unpacked unless it exists."""
    path = promtool()
    try:
        print(path or fetch(cached()))
    except (OSError, subprocess.CalledProcessError) as error:
        remedy = "install it with your package manager, or from https://prometheus.io/download/"
        print(f"promtool: cannot be fetched ({error}); {remedy}", file=sys.stderr)
        return 1
    return 0


def promtool() -> str | None:
    """Return the path of promtool, the installed one before the unpacked one; ``None`` without both."""
    return shutil.which("promtool") or shutil.which(cached())


def cached() -> Path:
    """Return the path in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "otel-keyaudit" / "prometheus" / "promtool"


def fetch(path: Path) -> Path:
    """Download the package, unpack it, and keep only promtool."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        subprocess.run(["apt-get", "--quiet", "--quiet", "download", PACKAGE], cwd=folder, check=True)
        (package,) = Path(folder).glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        Path(folder, "usr", "bin", "promtool").replace(path)
    return path


if __name__ == "__main__":
    sys.exit(main())
