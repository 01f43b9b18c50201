"""The counters of the global meter provider, which an application may set before or after, in real processes."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from types import ModuleType
import sys
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_keyaudit import KeyAuditInstrumentor

app = sys.modules["app"] = ModuleType("app")
exec("def record(additional_fields=None): pass", app.__dict__)
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
instrumentor = KeyAuditInstrumentor()

def write(**options):
    instrumentor.instrument(audit_targets="app:record", **options)
    app.record()
    instrumentor.uninstrument()

for step in sys.argv[1:]:
    {
        "set": lambda: set_meter_provider(provider),
        "global": write,
        "given": lambda: write(meter_provider=provider),
    }[step]()
for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
    print(metric.name, [(dict(point.attributes), point.value) for point in metric.data.data_points])
"""


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        (["set", "global", "global"], 2),
        (["global", "set", "global"], 2),
        (["set", "given", "global"], 2),
        (["global", "set", "given"], 2),
        (["given", "set", "global"], 2),
    ],
)
def test_every_write_is_counted_in_the_global_provider(steps: list[str], count: int) -> None:
    """Whether the provider is given, or set before or after, nothing is lost and nothing counts twice."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *steps],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [f"keyaudit.audit.writes [({{'keyaudit.attribution': 'none'}}, {count})]"]
    assert done.stderr == ""
