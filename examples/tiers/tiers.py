"""The trace tier on loopback: two collectors, a Kafka broker, two ingesters and one storage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from ingester import Ingester
from kafka_broker import PARTITIONS, TOPIC, Broker
from processes import HOST, JAEGER_EXAMPLES, Jaeger, Server, ServerError, eventually, jaeger_binary

COLLECTOR = Path(__file__).resolve().parent / "collector.yaml"
GROUP = "ingesters"

S = TypeVar("S", bound=Server)


class Tiers:
    """All processes of the trace tier, as a context manager.

    Args:
        folder: Folder for data and logs.
        decision_wait: Seconds between the first span of a trace and the decision to keep or drop the trace.

    Attributes:
        decision_wait: The same.
        broker: Kafka.
        storage: The Jaeger that has the traces.
        collectors: Applications send to any of them.
        ingesters: They share the partitions of the topic.

    Raises:
        ServerError: A program is missing, or a server does not start.
    """

    def __init__(self, folder: Path, decision_wait: int) -> None:
        self.decision_wait = decision_wait
        self.broker = Broker(folder)
        self.storage = Jaeger(
            jaeger_binary(),
            JAEGER_EXAMPLES / "all-in-one.yaml",
            folder,
            "storage",
            JAEGER_UI_CONFIG=str(JAEGER_EXAMPLES / "ui.json"),
        )
        self.collectors: list[Jaeger] = []
        self.ingesters: list[Ingester] = []
        self._folder = folder

    @property
    def storage_address(self) -> str:
        """Host and port of the storage's OTLP over gRPC."""
        return f"{HOST}:{self.storage.ports['OTLP_GRPC']}"

    def __enter__(self) -> Tiers:
        with ExitStack() as running:
            self._start_all(running)
            self._running = running.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def share(self, *shares: int) -> None:
        """Wait until the first ingesters read these numbers of partitions.

        Raises:
            ServerError: They do not.
        """
        wanted = list(shares)
        ingesters = self.ingesters[: len(wanted)]
        found = eventually(lambda: [each.partitions() for each in ingesters], wanted.__eq__)
        if found != wanted:
            raise ServerError(f"the ingesters read {found} partitions instead of {wanted}")

    def _start_all(self, running: ExitStack) -> None:
        """Start the servers, each after the servers that it needs, and have them stopped in the opposite order."""

        def start(server: S) -> S:
            running.callback(server.stop)
            server.start()
            return server

        start(self.broker).create_topic()
        start(self.storage)
        self.collectors = [start(self._collector(f"collector-{number}")) for number in (1, 2)]
        self.ingesters = [start(self._ingester(f"ingester-{number}")) for number in (1, 2)]
        self.share(PARTITIONS // 2, PARTITIONS // 2)

    def _collector(self, name: str) -> Jaeger:
        return Jaeger(
            jaeger_binary(), COLLECTOR, self._folder, name, KAFKA_BROKER=self.broker.address, KAFKA_TOPIC=TOPIC
        )

    def _ingester(self, name: str) -> Ingester:
        return Ingester(
            self._folder,
            name,
            broker=self.broker.address,
            storage=self.storage_address,
            group=GROUP,
            topic=TOPIC,
            decision_wait=self.decision_wait,
        )
