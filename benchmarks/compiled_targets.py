"""Measure ``instrument()`` and ``uninstrument()`` with targets without Python code, among a million objects.

References to such a callable can only be found by a search through all objects that the garbage collector tracks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any, Final

from benchmarks import application
from benchmarks.figure import Figure
from otel_keyaudit import KeyAuditInstrumentor

TARGETS: Final = 50
OBJECTS: Final = 1_000_000
_MODULE: Final = "benchmarks_compiled"


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure once, because each run searches all objects twice."""
    module = sys.modules[_MODULE] = ModuleType(_MODULE)
    names = [f"record_{number}" for number in range(TARGETS)]
    for name in names:
        setattr(module, name, partial(application.record))
    count = 10_000 if quick else OBJECTS
    objects = [[number] for number in range(count)]
    instrumentor: Any = KeyAuditInstrumentor()
    started = time.process_time()
    instrumentor.instrument(audit_targets=[f"{_MODULE}:{name}" for name in names])
    states = {status.state for status in instrumentor.status()}
    instrumentor.uninstrument()
    seconds = time.process_time() - started
    del sys.modules[_MODULE]
    if states != {"active"} or len(objects) != count:
        raise AssertionError(f"the targets are {states}")
    title = f"instrument() and uninstrument(), {TARGETS} targets without Python code among {count:,} objects, CPU s"
    yield Figure("compiled_targets", title, seconds, 0.15)
