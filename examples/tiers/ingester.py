"""An ingester process, and what its own metrics tell about its work."""

from __future__ import annotations

from pathlib import Path

from processes import Jaeger, jaeger_binary

CONFIG = Path(__file__).resolve().parent / "ingester.yaml"


class Ingester(Jaeger):
    """A Jaeger process that reads traces from Kafka and decides which of them go to storage.

    Args:
        broker: Host and port of Kafka.
        storage: Host and port of the storage's OTLP over gRPC.
        group: The consumer group.
        topic: The topic.
        decision_wait: Seconds between the first span of a trace and its decision.
    """

    def __init__(
        self, folder: Path, name: str, *, broker: str, storage: str, group: str, topic: str, decision_wait: int
    ) -> None:
        super().__init__(
            jaeger_binary(),
            CONFIG,
            folder,
            name,
            KAFKA_BROKER=broker,
            KAFKA_GROUP=group,
            KAFKA_TOPIC=topic,
            STORAGE_OTLP=storage,
            JAEGER_DECISION_WAIT=f"{decision_wait}s",
        )

    def partitions(self) -> int:
        """Return the number of partitions that it reads."""
        started = self.metric("otelcol_kafka_receiver_partition_start_total")
        return int(started - self.metric("otelcol_kafka_receiver_partition_close_total"))

    def received(self) -> int:
        """Return the number of traces of which it has read a span."""
        return int(self.metric("otelcol_processor_tail_sampling_new_trace_id_received_total"))

    def decided(self, **labels: str) -> int:
        """Return the number of traces that it has decided on; `sampled="true"` counts the kept ones."""
        return int(self.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total", **labels))
