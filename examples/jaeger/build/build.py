"""Build Jaeger v2 with Go into the user's cache folder, once, and print its path."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

MODULE = Path(__file__).resolve().parent
PACKAGE = "github.com/jaegertracing/jaeger/cmd/jaeger"
SECONDS_BETWEEN_LINES = 10

# CGO_ENABLED=0: no C compiler is needed. GOWORK=off: a go.work in a folder above must not change the build.
# -mod=readonly: a module that is not in go.sum, or has another checksum, is an error. go.sum has every checksum, so Go
# does not ask the checksum database, which does not know all of Jaeger's modules; only `go get -tool` needs
# GONOSUMDB='*'. The other GO* settings (proxy, caches) are the user's.
GO_SETTINGS = {"CGO_ENABLED": "0", "GOWORK": "off"}
GO_BUILD = ["go", "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]


class BuildError(Exception):
    """The binary cannot be built; the message says in one line why and what to do."""


def main() -> int:
    """Build the binary unless it exists, and print its path."""
    try:
        path = binary() or build(target())
    except BuildError as error:
        print(f"jaeger: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


def binary() -> Path | None:
    """Return the path of the binary, or None if it is not built yet."""
    path = target()
    return path if path.is_file() else None


def target() -> Path:
    """Return the path for the binary of this go.mod and go.sum."""
    sums = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "otel-keyaudit" / "jaeger" / sums.hexdigest()[:16] / "jaeger"


def build(path: Path) -> Path:
    """Build under a temporary name and rename, so that no other process finds an incomplete binary."""
    check_go()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"jaeger.{os.getpid()}.tmp")
    say("building Jaeger v2 (about 2 GB of Go caches, 5 minutes on two cores the first time) ...")
    try:
        run([*GO_BUILD, "-o", str(temporary), PACKAGE])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_go() -> None:
    """Check that Go is as new as go.mod requires.

    Raises:
        BuildError: Go is missing or too old.
    """
    wanted = re.findall(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)[0]
    advice = f"install Go {wanted} or newer (https://go.dev/doc/install) and try again"
    try:
        answer = subprocess.run(["go", "env", "GOVERSION"], cwd=MODULE, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"no `go` on the PATH: {advice}") from None
    found = answer.stdout.strip() or "older than 1.16"
    if release(found) < release(wanted):
        raise BuildError(f"`go` is {found}, too old: {advice}")


def release(version: str) -> tuple[int, ...]:
    """Parse a version: (1, 26, 8) for `go1.26.8`, and () without a number, which is older than every version."""
    match = re.match(r"(?:go)?(\d+(?:\.\d+)+)", version)
    return tuple(map(int, match[1].split("."))) if match else ()


def run(command: list[str]) -> None:
    """Run `go build` and report its progress every few seconds."""
    started = last = time.monotonic()
    modules = packages = 0
    line = ""
    with subprocess.Popen(
        command, cwd=MODULE, env={**os.environ, **GO_SETTINGS}, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            downloading = line.startswith("go: downloading ")
            modules, packages = modules + downloading, packages + (not downloading)
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                say(f"  {last - started:4.0f} s: {modules} modules downloaded, {packages} packages compiled")
    if process.returncode:
        raise BuildError(f"`go build` failed, try again in {MODULE}: {line.strip() or process.returncode}")
    say(f"  {time.monotonic() - started:4.0f} s: done")


def say(line: str) -> None:
    """Write a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
