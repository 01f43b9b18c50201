"""The session between ``instrument()`` and ``uninstrument()``: targets, hooks, and the parts that they share."""

from __future__ import annotations

from collections import Counter
from logging import INFO
from typing import Any

from opentelemetry.trace import get_tracer

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard.collection import unwatch_collections, watch_collections
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.guard import log
from otel_keyaudit.guard.metrics import metrics_for
from otel_keyaudit.installation.hooks import Hooks
from otel_keyaudit.installation.installed_target import InstalledTarget
from otel_keyaudit.installation.status import ACTIVE, PENDING, WRONG, TargetStatus
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Snapshots
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.events.log_events import EventLogger, Events
from otel_keyaudit.observers.sampling.samplers import Sampler
from otel_keyaudit.patching.modules.import_hook import ModuleWatch
from otel_keyaudit.patching.modules.lookup import unregistered
from otel_keyaudit.patching.patch import one_sweep
from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.request.boundaries.entry_points import ENTRY_POINTS, START_POINTS
from otel_keyaudit.request.boundaries.handlers import Boundaries
from otel_keyaudit.request.first_request import cancel_preparation, schedule_preparation
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.workers.propagation import KeyHandover
from otel_keyaudit.settings import Settings
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.version import __version__


class Session:
    """Starts and stops everything that the library patches.

    Args:
        settings: The options.
        sampler: Chooses the detail of each row.
        deferred: Packages need not be importable yet (``opentelemetry-instrument``).
        tracer_provider: The provider of audit spans; ``None`` for the global one.
        meter_provider: The provider of counters; ``None`` for the global one.
        logger_provider: The provider of log events; ``None`` for the global one.

    Raises:
        ConfigurationError: A preset does not exist, or cannot work here.
    """

    def __init__(
        self,
        settings: Settings,
        sampler: Sampler,
        *,
        deferred: bool,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        logger_provider: Any = None,
    ) -> None:
        self.settings = settings
        chosen = presets.usable(settings.presets, strict=settings.strict)
        metrics = metrics_for(meter_provider)
        faults = Faults(metrics)
        self._components = components = Components(
            settings=settings,
            tracer=get_tracer("otel_keyaudit", __version__, tracer_provider),
            metrics=metrics,
            faults=faults,
            snapshots=Snapshots(settings.scope_catalog, settings.max_items),
            catalog=settings.scope_catalog,
            sampler=sampler,
            events=_events(settings, logger_provider, faults),
            deferred=deferred,
            key_types=presets.key_types(chosen),
        )
        self._watch = ModuleWatch()
        self._hooks = Hooks(self._watch)
        own: list[tuple[Target, str | None]] = [(target, None) for target in settings.targets]
        self.targets: list[InstalledTarget] = []
        for target, name in (*own, *presets.targets(chosen)):
            self.targets.append(InstalledTarget(components, target, self._watch, self.targets, name))
        self._handover_points = presets.handover_points(chosen)
        spans = ServerSpans(components.snapshots, always_full=sampler.is_constant_full, faults=faults)
        self._boundaries = Boundaries(spans)

    @property
    def status(self) -> list[TargetStatus]:
        """The status of each target."""
        return [target.status for target in self.targets]

    def start(self) -> None:
        """Install all hooks and targets.

        Raises:
            ConfigurationError: With ``strict``, a target can never match.
        """
        catalog = self.settings.scope_catalog
        ApiKey.catalog_version = None if catalog is None else catalog.version
        watch_collections()
        self._watch.start()
        self._hooks.add_entry_points(self._boundaries, ENTRY_POINTS)
        self._hooks.add_handover_points(KeyHandover(self._components.faults), self._handover_points)
        with one_sweep():
            for target in self.targets:
                target.install()
        for target in self.targets:
            status = target.status
            if status.state == WRONG and self.settings.strict:
                raise ConfigurationError(f"target {status.target!r} is wrong: {status.reason}")
            target.report()
        schedule_preparation(self._first_request)
        if self._components.events is not None or any(target.is_pending for target in self.targets):
            self._hooks.add_start_points(self._before_serving, START_POINTS)
        self._log_start()

    def stop(self) -> None:
        """Restore everything, in reverse order."""
        cancel_preparation()
        self._watch.stop()
        with one_sweep():
            for target in reversed(self.targets):
                target.uninstall()
        self._hooks.undo()
        if self._components.events is not None:
            self._components.events.close()
        unwatch_collections()
        ApiKey.catalog_version = None

    def _first_request(self) -> None:
        watch_collections()  # again, because the application may have registered callbacks of the collector
        modules = unregistered(target.target.module for target in self.targets if target.is_pending)
        for target in self.targets:
            target.first_request(modules)

    def _before_serving(self) -> None:
        """Look for pending targets in the started program, because the library may recognize no first request."""
        if self._components.events is not None:
            self._components.events.before_serving()
        for target in self.targets:
            if target.is_pending:
                target.look_again()

    def _log_start(self) -> None:
        counts = Counter(status.state for status in self.status)
        sampler = self.settings.sampler
        log(
            INFO,
            "%d targets active, %d pending, %d wrong; sampler %s; version %s",
            counts[ACTIVE],
            counts[PENDING],
            counts[WRONG],
            sampler if isinstance(sampler, str) else getattr(sampler, "__qualname__", type(sampler).__name__),
            __version__,
        )


def _events(settings: Settings, provider: Any, faults: Faults) -> Events | None:
    """Return the sender of the configured log events, ``None`` if none are configured."""
    if not settings.events:
        return None
    return Events(settings.events, EventLogger(provider, faults), settings.max_items)
