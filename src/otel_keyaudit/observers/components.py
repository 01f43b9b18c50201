"""What one ``instrument()`` put together, for everything that works until ``uninstrument()``."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

from opentelemetry.trace import Tracer

from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.key.snapshot import Snapshots
from otel_keyaudit.observers.sampling import Sampler
from otel_keyaudit.row.written_members import WrittenMembers
from otel_keyaudit.settings import Settings
from otel_keyaudit.targets.key_source import KeySource, KeyTypes


@dataclass(frozen=True)
class Runtime:
    """The parts that a call of a target needs.

    Attributes:
        key_types: Classes of known libraries' keys.
        key_classes: Classes of the objects that authentication targets returned, and how their fields are read.
        deferred: Packages need not be importable yet (``opentelemetry-instrument``).
    """

    settings: Settings
    tracer: Tracer
    metrics: Metrics
    faults: Faults
    snapshots: Snapshots
    sampler: Sampler
    deferred: bool
    key_types: KeyTypes = field(default_factory=KeyTypes)
    written_members: WrittenMembers = field(default_factory=WrittenMembers)
    key_classes: weakref.WeakKeyDictionary[type, KeySource] = field(default_factory=weakref.WeakKeyDictionary)
