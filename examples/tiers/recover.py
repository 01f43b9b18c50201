"""Read the spans of the last minutes from Kafka again, and decide on their traces again.

    python recover.py --broker HOST:PORT --storage HOST:PORT --stopped 2026-11-29T18:00:00+00:00

Use it after an ingester was killed or stopped: the traces that it had not decided on are only in Kafka. The storage
overwrites spans that it already has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from ingester import Ingester
from kafka_broker import TOPIC, has_read, progress, set_offsets
from processes import SECONDS, ServerError, eventually

MARGIN = timedelta(seconds=10)
"""Covers the second between two rounds of decisions, and the delay between writing to Kafka and reading from it."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Decide again on the traces that a stopped ingester had in memory.")
    parser.add_argument("--broker", required=True, help="host and port of Kafka")
    parser.add_argument("--storage", required=True, help="host and port of the storage's OTLP over gRPC")
    parser.add_argument("--stopped", required=True, type=moment, help="when the ingester ended, with a time zone")
    parser.add_argument("--decision-wait", type=int, default=10, help="of the ingesters, in seconds (default: 10)")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            kept = recover(Path(folder), options.broker, options.storage, options.stopped, options.decision_wait)
    except ServerError as error:
        print(f"tiers: {error}", file=sys.stderr)
        return 1
    print(f"tiers: {kept} traces were sent to storage again")
    return 0


def moment(text: str) -> datetime:
    """Return the time of an ISO 8601 string that names its zone."""
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not know the Z
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone: append Z or an offset such as +00:00")
    return time


def recover(folder: Path, broker: str, storage: str, stopped: datetime, decision_wait: int) -> int:
    """Decide again on every trace that was undecided when an ingester ended, or that began later.

    A group of its own reads what is in Kafka, so that the live group goes on and none of its partitions move. Its
    offsets are set to the oldest decision that can be missing: a trace that was undecided at `stopped` began less than
    `decision_wait` before.

    Args:
        folder: Folder for the log.
        broker: Host and port of Kafka.
        storage: Host and port of the storage's OTLP over gRPC.
        stopped: When the ingester ended.
        decision_wait: Seconds between the first span of a trace and its decision.

    Returns:
        The number of traces that were kept.

    Raises:
        ServerError: Something does not answer.
    """
    group = f"recovery-{uuid.uuid4().hex[:8]}"
    since = stopped - timedelta(seconds=decision_wait) - MARGIN
    set_offsets(broker, group, since)
    ends = {partition: each.end for partition, each in progress(broker, group).items()}
    ingester = Ingester(
        folder, group, broker=broker, storage=storage, group=group, topic=TOPIC, decision_wait=decision_wait
    )
    ingester.start()
    try:
        wait(lambda: has_read(broker, group, ends), "was read")
        received = ingester.received()
        wait(lambda: ingester.decided() >= received, "was decided on", SECONDS + decision_wait)
        return ingester.decided(sampled="true")
    finally:
        # The end of the process sends the batch that is on its way to storage.
        ingester.stop()


def wait(question: Callable[[], bool], done: str, seconds: float = SECONDS) -> None:
    """Wait until a question is answered with yes."""
    if not eventually(question, seconds=seconds):
        raise ServerError(f"not everything {done} within {seconds:.0f} seconds; try again")


if __name__ == "__main__":
    sys.exit(main())
