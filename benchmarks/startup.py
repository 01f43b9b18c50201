"""What starting costs: the import of the package, and ``instrument()`` among many modules. Each in a fresh process.

As a program it measures one of them: ``python -m benchmarks.startup import|instrument``.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from types import ModuleType
from typing import Any

from benchmarks.children import result_of
from benchmarks.figures import Figure
from benchmarks.measure import Effort

MODULES = 2000
BEFORE = ("opentelemetry.sdk.trace", "opentelemetry.sdk.metrics", "opentelemetry.instrumentation.asgi")
INSTRUMENTOR = "KeyAuditInstrumentor"

SOURCE = """
from functools import lru_cache
class Service:
    def get(self, name): return name
    def put(self, name, value): return value
def first(one, two=None): return one
def second(*args, **kwargs): return args
TABLE = {"first": first, "second": second, "service": Service}
LISTED = [first, second, Service]
"""


def startup_figures(effort: Effort) -> Iterator[Figure]:
    """Measure both, several times."""
    imports = [result_of("benchmarks.startup", "import") for _ in range(effort.processes + 1)][1:]  # the first compiles
    times = {name: round(median(one[name] for one in imports), 2) for name in imports[0]}
    title = "import over that of the SDK and -asgi"
    yield Figure("startup.import", title, times.pop("otel_keyaudit"), 20, unit="ms", details=times)
    found = [result_of("benchmarks.startup", "instrument") for _ in range(effort.processes)]
    functions, cached = (median(one[kind] for one in found) for kind in ("functions", "cached"))
    title = f"instrument() among {MODULES} modules"
    yield Figure("startup.instrument", title, round(functions, 2), 50, unit="ms")
    title += ", a target without Python code"
    yield Figure("startup.instrument_cached", title, round(cached, 2), 50, unit="ms")


def import_time() -> dict[str, float]:
    """Return milliseconds of CPU time that the import of the package adds, and then that of its names, one by one."""
    for name in BEFORE:
        importlib.import_module(name)
    package = _time_of(lambda: importlib.import_module("otel_keyaudit"))
    keyaudit = importlib.import_module("otel_keyaudit")
    later = {f"then {name}, ms": _time_of(partial(getattr, keyaudit, name)) for name in ("use_key", INSTRUMENTOR)}
    return {"otel_keyaudit": package, **later}


def _time_of(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def instrument_time() -> dict[str, float]:
    """Return milliseconds of CPU time of ``instrument()`` with targets that many modules have captured."""
    application = _module("benchmarks_shop", "def verify(key): return key\ndef record(additional_fields=None): ...\n")
    vars(application)["cached"] = functools.lru_cache(vars(application)["verify"])
    for number in range(MODULES - len(sys.modules)):
        module = _module(f"benchmarks_module_{number}", SOURCE)
        if number % 100 == 0:
            vars(module).update(verify=vars(application)["verify"], table={"cached": vars(application)["cached"]})
    return {
        "functions": _time("benchmarks_shop:verify"),
        "cached": _time("benchmarks_shop:cached"),
    }


def _module(name: str, source: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, name, "exec"), vars(module))  # noqa: S102 - the sources stand above
    return module


def _time(target: str) -> float:
    # not at the top: the import is what the other half measures
    from otel_keyaudit import KeyAuditInstrumentor  # noqa: PLC0415

    instrumentor: Any = KeyAuditInstrumentor()
    started = time.process_time()
    instrumentor.instrument(auth_targets=[target], audit_targets=["benchmarks_shop:record"])
    elapsed = (time.process_time() - started) * 1000
    states = {status.state for status in instrumentor.status()}
    instrumentor.uninstrument()
    if states != {"active"}:
        raise AssertionError(f"{target} is not active")
    return elapsed


if __name__ == "__main__":
    print(json.dumps(import_time() if sys.argv[1] == "import" else instrument_time()))
