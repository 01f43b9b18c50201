"""Measure the import of the package, and ``instrument()`` among many modules, each in a separate process.

As a program: ``python -m benchmarks.startup import|instrument``. It prints milliseconds of CPU time.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from types import ModuleType
from typing import Any, Final

from benchmarks.figure import Figure

MODULES: Final = 2_000
BEFORE: Final = ("opentelemetry.sdk.trace", "opentelemetry.sdk.metrics", "opentelemetry.instrumentation.asgi")
SOURCE: Final = """
class Service:
    def get(self, name): return name
def first(one, two=None): return one
def second(*args, **kwargs): return args
TABLE = {"first": first, "second": second, "service": Service}
"""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure both several times."""
    for what, title, goal in (
        ("import", "import of KeyAuditInstrumentor beyond the SDK and contrib's asgi, CPU ms", None),
        ("instrument", f"instrument() among {MODULES:,} modules, CPU ms", 50),
    ):
        yield Figure(f"startup.{what}", title, median(_measured(what) for _ in range(1 if quick else 7)), goal)


def _measured(what: str) -> float:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "benchmarks.startup", what]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def import_time() -> float:
    """Return the CPU time of the import, in milliseconds."""
    for name in BEFORE:
        importlib.import_module(name)
    started = time.process_time()
    importlib.import_module("otel_keyaudit").KeyAuditInstrumentor  # noqa: B018 - names are imported at first use
    return (time.process_time() - started) * 1000


def instrument_time() -> float:
    """Return the CPU time of ``instrument()`` with functions that some modules have imported, in milliseconds."""
    shop = _module("benchmarks_shop", "def verify(key): return key\ndef record(additional_fields=None): ...\n")
    for number in range(MODULES - len(sys.modules)):
        module = _module(f"benchmarks_module_{number}", SOURCE)
        if number % 100 == 0:
            vars(module)["verify"] = vars(shop)["verify"]
    instrumentor: Any = importlib.import_module("otel_keyaudit").KeyAuditInstrumentor()
    started = time.process_time()
    instrumentor.instrument(auth_targets=["benchmarks_shop:verify"], audit_targets=["benchmarks_shop:record"])
    milliseconds = (time.process_time() - started) * 1000
    states = {status.state for status in instrumentor.status()}
    if states != {"active"}:
        raise AssertionError(f"the targets are {states}")
    return milliseconds


def _module(name: str, source: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, name, "exec"), vars(module))  # noqa: S102 - the sources are above
    return module


if __name__ == "__main__":
    print(import_time() if sys.argv[1] == "import" else instrument_time())
