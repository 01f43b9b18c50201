"""The components that all observers share from ``instrument()`` to ``uninstrument()``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog
from otel_keyaudit.key.snapshot import Snapshots
from otel_keyaudit.observers.sampling.samplers import Sampler
from otel_keyaudit.row.members.written_members import WrittenMembers
from otel_keyaudit.settings import Settings
from otel_keyaudit.targets.key_objects.class_map import ClassMap
from otel_keyaudit.targets.key_objects.key_source import KeySource
from otel_keyaudit.targets.key_objects.key_types import KeyTypes

if TYPE_CHECKING:
    from otel_keyaudit.observers.events.log_events import Events


@dataclass(frozen=True)
class Components:
    """The components that observers need.

    Attributes:
        catalog: The configured scope catalog.
        sampler: Chooses the detail of each row.
        events: Sends log events; ``None`` if none are configured.
        key_types: Classes of keys that presets know.
        written_members: Recognizes the members that the library wrote.
        key_classes: Classes of the objects that authentication targets returned, with the source of their fields.
        deferred: Packages may become importable later (``opentelemetry-instrument``).
    """

    settings: Settings
    tracer: Tracer
    metrics: Metrics
    faults: Faults
    snapshots: Snapshots
    catalog: ScopeCatalog | None
    sampler: Sampler
    deferred: bool
    events: Events | None = None
    key_types: KeyTypes = field(default_factory=KeyTypes)
    written_members: WrittenMembers = field(default_factory=WrittenMembers)
    key_classes: ClassMap[KeySource] = field(default_factory=ClassMap)
