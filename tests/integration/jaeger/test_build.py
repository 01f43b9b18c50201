"""The script behind `make jaeger`, with stand-ins for Go, because a real build takes minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[3] / "examples" / "jaeger" / "build" / "build.py"

GO = """#!{python}
import sys
if sys.argv[1] == "env":
    print("{version}")
elif {succeeds}:
    open(sys.argv[sys.argv.index("-o") + 1], "w").write("binary")
else:
    sys.exit("no space left on device")
"""


def run(folder: Path, version: str | None = None, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the script with its own cache and PATH, on which there is a Go of this version or none."""
    if version:
        go = folder / "bin" / "go"
        go.parent.mkdir(exist_ok=True)
        go.write_text(GO.format(python=sys.executable, version=version, succeeds=succeeds))
        go.chmod(0o755)
    environment = {**os.environ, "PATH": str(folder / "bin"), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run([sys.executable, BUILD], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "no `go` on the PATH"), ("go1.9", "`go` is go1.9, too old")],
)
def test_unusable_go_is_one_line(tmp_path: Path, version: str | None, message: str) -> None:
    """If Go is missing or too old, the script fails with one line that says what to install."""
    done = run(tmp_path, version)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"jaeger: {message}: install Go 1.24.6 or newer")
    assert done.stderr.count("\n") == 1


def test_build_happens_once(tmp_path: Path) -> None:
    """The first run builds and prints the path; the second only prints it, even without Go."""
    first = run(tmp_path, "go1.24.6")
    path = Path(first.stdout.splitlines()[-1])
    assert path.read_text() == "binary"
    assert tmp_path / "cache" in path.parents
    (tmp_path / "bin" / "go").unlink()
    second = run(tmp_path)
    assert (second.returncode, second.stdout, second.stderr) == (0, f"{path}\n", "")


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """A failed build ends with the last line of Go and leaves no file in the cache."""
    done = run(tmp_path, "go1.26.8", succeeds=False)
    assert done.returncode == 1
    assert done.stderr.endswith("no space left on device\n")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
