"""Deeply nested keys and client data are refused, and nothing is written outside of the library's memory."""

import os
import subprocess
import sys

PROGRAM = """
import sys
import types

from otel_keyaudit import KeyAuditInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

app = types.ModuleType("nesting_app")
sys.modules["nesting_app"] = app
exec('''
def verify(key):
    return key
def record(additional_fields=None):
    return additional_fields
''', vars(app))
KeyAuditInstrumentor().instrument(auth_targets=["nesting_app:verify"], audit_targets=["nesting_app:record"])
tracer = TracerProvider(shutdown_on_exit=False).get_tracer("nesting")

nested = 1
for _ in range(60):
    nested = [{"": nested}]
for length in range(0, 1200, 3):  # the end of what is nested comes to lie everywhere in a buffer, so also at its end
    value = [1] * length + [nested]
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        app.verify({"id": "k_1", "scopes": value})
        row = app.record({"request_api_key": {"id": value}})
    assert row["request_api_key"]["id"] == "k_1" and row["request_api_key_unverified"] == {"id": value}, row
print("survived")
"""


def test_memory_past_a_buffer_is_not_written() -> None:
    """Python's debug allocator checks each block of memory."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONMALLOC": "debug"}
    command = [sys.executable, "-X", "faulthandler", "-c", PROGRAM]
    ended = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout) == (0, "survived\n"), ended.stderr
