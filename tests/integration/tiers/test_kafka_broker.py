"""The broker's artifacts are fetched into the cache, with stand-ins for Java and Maven."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import kafka_broker
from processes import ServerError

MVN = """#!{python}
import pathlib, sys
(folder,) = (argument.partition("=")[2] for argument in sys.argv if argument.startswith("-DoutputDirectory="))
pathlib.Path(folder).mkdir(parents=True)
pathlib.Path(folder, "kafka.jar").write_text("{content}")
sys.exit({status})
"""
SUM_OF_JAR = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
"""The SHA-256 of `content`."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a file of checksums with one artifact."""
    (tmp_path / "SHA256SUMS").write_text(f"{SUM_OF_JAR}  kafka.jar\n")
    monkeypatch.setattr(kafka_broker, "BROKER", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache"


def install(folder: Path, content: str = "content", status: int = 0) -> None:
    """Put a Java and a Maven on the PATH; this Maven fetches one jar."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, program in {
        "java": "#!/bin/sh\n",
        "mvn": MVN.format(python=sys.executable, content=content, status=status),
    }.items():
        (bin_folder / name).write_text(program)
        (bin_folder / name).chmod(0o755)


def files(folder: Path) -> list[str]:
    """Return the names of all files in a folder."""
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_artifacts_are_fetched_once(cache: Path) -> None:
    """The artifacts are in the cache after the first call, and Maven is not asked again."""
    install(cache.parent)
    folder = kafka_broker.jars()
    (cache.parent / "bin" / "mvn").write_text("#!/bin/sh\nexit 1\n")

    assert files(cache) == ["kafka.jar"]
    assert kafka_broker.jars() == folder


def test_artifact_with_another_checksum_is_refused(cache: Path) -> None:
    """An artifact that is not the expected one is named, and nothing of it is left in the cache."""
    install(cache.parent, "changed")

    with pytest.raises(ServerError, match=r"these artifacts are not those in .*: kafka\.jar$"):
        kafka_broker.jars()
    assert files(cache) == []


def test_failed_fetch_leaves_nothing(cache: Path) -> None:
    """If Maven fails, the error says so and the cache is empty."""
    install(cache.parent, status=1)

    with pytest.raises(ServerError, match="Maven cannot fetch the broker"):
        kafka_broker.jars()
    assert files(cache) == []


def test_missing_program_is_named(cache: Path) -> None:
    """Without Java or Maven the error says what to install."""
    with pytest.raises(ServerError, match="no `java` on the PATH: install Java 17 or newer and Maven"):
        kafka_broker.jars()
