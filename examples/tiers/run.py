"""Start the trace tier on this machine, print its addresses, and stop it with Ctrl-C.

python run.py [--data FOLDER] [--decision-wait SECONDS]
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from processes import ServerError
from tiers import Tiers


def main() -> int:
    parser = argparse.ArgumentParser(description="Two collectors, Kafka, two ingesters and a storage on loopback.")
    parser.add_argument("--data", type=Path, help="folder for data and logs (default: a temporary folder)")
    parser.add_argument("--decision-wait", type=int, default=10, help="seconds before a trace is kept or dropped (10)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop cleanly, as after Ctrl-C
    try:
        with tempfile.TemporaryDirectory(prefix="tiers-") as temporary:
            run((options.data or Path(temporary)).resolve(), options.decision_wait)
    except ServerError as error:
        print(f"tiers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tiers: stopped")
    return 0


def run(folder: Path, decision_wait: int) -> None:
    """Run the tier until it is interrupted."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"tiers: starting, about half a minute (logs: {folder}) ...", flush=True)
    with Tiers(folder, decision_wait) as tiers:
        for collector in tiers.collectors:
            print(f"{collector.name}   OTEL_EXPORTER_OTLP_ENDPOINT={collector.otlp}")
        for ingester in tiers.ingesters:
            print(f"{ingester.name}    pid {ingester.pid}, {ingester.partitions()} partitions")
        print(f"kafka         {tiers.broker.address}")
        print(f"storage       {tiers.storage.query} (intake: {tiers.storage_address})")
        print("tiers: ready; Ctrl-C stops everything", flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
