"""One Kafka broker on loopback, from Maven artifacts that are fetched once and checked."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from processes import HOST, Server, ServerError

BROKER = Path(__file__).resolve().parent / "broker"
TOPIC = "traces"
PARTITIONS = 6
JAVA = ["java", "-XX:TieredStopAtLevel=1"]  # a quicker start on few cores
FETCH = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]


class Broker(Server):
    """A Kafka broker with one topic."""

    port_names = ("BROKER", "CONTROLLER")
    ready = "Kafka Server started"

    def __init__(self, folder: Path) -> None:
        super().__init__("broker", folder)
        self._classpath = f"{jars()}/*"
        self._properties = folder / "server.properties"

    @property
    def address(self) -> str:
        """Host and port, as for `bootstrap.servers`."""
        return f"{HOST}:{self.ports['BROKER']}"

    def _command(self) -> list[str]:
        """Write the configuration for the chosen ports, format the data folder and return the command."""
        listeners = f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self.ports['CONTROLLER']}"
        settings = {
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@{HOST}:{self.ports['CONTROLLER']}",
            "log.dirs": self._folder / "kafka",
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._properties.write_text((BROKER / "server.properties").read_text() + lines)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        java(
            self._classpath,
            "kafka.tools.StorageTool",
            *["format", "--ignore-formatted", "-t", cluster, "-c", str(self._properties)],
        )
        return [*JAVA, "-Xmx512m", "-cp", self._classpath, "kafka.Kafka", str(self._properties)]

    def create_topic(self) -> None:
        """Create the topic of the spans."""
        java(
            self._classpath,
            "org.apache.kafka.tools.TopicCommand",
            *["--bootstrap-server", self.address, "--create", "--topic", TOPIC, "--partitions", str(PARTITIONS)],
        )


@dataclass(frozen=True)
class Progress:
    """How far a group has read a partition.

    Attributes:
        committed: Offset of the next message that the group will read.
        end: Offset of the next message that will be written.
    """

    committed: int
    end: int


def has_read(broker: str, group: str, ends: dict[str, int]) -> bool:
    """Return whether a group has read and committed each partition up to an offset."""
    committed = {partition: each.committed for partition, each in progress(broker, group).items()}
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())


def set_offsets(broker: str, group: str, since: datetime) -> None:
    """Set the offsets of a group without members to the first messages that were written at a time or later.

    Args:
        broker: Host and port.
        group: The consumer group.
        since: The time, with a zone.
    """
    time = since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    groups(broker, group, "--topic", TOPIC, "--reset-offsets", "--to-datetime", time, "--execute")


def progress(broker: str, group: str) -> dict[str, Progress]:
    """Return how far a group has read each partition."""
    rows = [line.split() for line in groups(broker, group, "--describe", "--offsets").splitlines()]
    return {
        row[2]: Progress(int(row[3]), int(row[4])) for row in rows if row[:2] == [group, TOPIC] and row[3].isdecimal()
    }


def groups(broker: str, group: str, *arguments: str) -> str:
    """Run Kafka's tool for consumer groups and return its output."""
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    return java(f"{jars()}/*", tool, "--bootstrap-server", broker, "--group", group, *arguments)


def java(classpath: str, main: str, *arguments: str) -> str:
    """Run a Java program to its end and return its output."""
    command = [*JAVA, "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classpath, main, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or "Error: " in done.stdout:
        causes = [
            line.strip() for line in (done.stdout + done.stderr).splitlines() if "Error" in line or "Caused" in line
        ]
        raise ServerError(f"{main} failed: {causes[-1] if causes else done.returncode}")
    return done.stdout


def jars() -> Path:
    """Return the folder with the broker's jars, which are fetched into the user's cache the first time.

    Raises:
        ServerError: A program is missing, or an artifact has another checksum.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise ServerError(f"no `{program}` on the PATH: install Java 17 or newer and Maven")
    sums = (BROKER / "SHA256SUMS").read_text()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-keyaudit" / "kafka"
    folder = cache / hashlib.sha256(sums.encode()).hexdigest()[:16]
    if not folder.is_dir():
        temporary = cache / f"{folder.name}.{os.getpid()}.tmp"
        try:
            fetch(temporary)
            check(temporary, {name: digest for digest, name in map(str.split, sums.splitlines())})
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def fetch(folder: Path) -> None:
    """Copy the artifacts that pom.xml names into a folder."""
    command = [*FETCH, "-f", str(BROKER / "pom.xml"), f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"Maven cannot fetch the broker: {done.stdout[-2000:]}")


def check(folder: Path, wanted: dict[str, str]) -> None:
    """Compare the files of a folder with their checksums."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    if wrong := sorted(name for name in found | wanted if found.get(name) != wanted.get(name)):
        raise ServerError(f"these artifacts are not those in {BROKER / 'SHA256SUMS'}: {', '.join(wrong)}")
