"""What happened, counted: tallies of our own, which observable counters read. A tally costs a tenth of an ``add``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from itertools import count
from threading import Lock

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from otel_keyaudit import names
from otel_keyaudit.version import __version__

MOST_COUNTS = 1_000
"""How many combinations of attribute values a tally tells apart: classes of exceptions may be made at run time."""

OTHER = "_OTHER"
"""What stands for any further ``error.type`` (OpenTelemetry semantic conventions)."""


class _Count:
    """A number that many threads raise without a lock: ``next`` on a C iterator is atomic."""

    def __init__(self) -> None:
        self._steps = count()
        self._readings = 0
        self._lock = Lock()
        self.raise_by_one = self._steps.__next__

    def value(self) -> int:
        """Return how often it was raised; reading takes a step of its own, which is subtracted."""
        with self._lock:
            self._readings += 1
            return next(self._steps) - self._readings + 1


class Tally:
    """Counts by a tuple of attribute values.

    Args:
        attributes: The names of the attributes, in the order of the values.
    """

    def __init__(self, *attributes: str) -> None:
        self._attributes = attributes
        self._counts: dict[tuple[str | None, ...], _Count] = {}

    def counter(self, *values: str | None) -> Callable[[], object]:
        """Return what counts one; ``None`` stands for an attribute that is absent."""
        return self._counts.setdefault(values, _Count()).raise_by_one

    def add(self, *values: str | None) -> None:
        """Count one."""
        found = self._counts.get(values)
        if found is None:
            if len(self._counts) >= MOST_COUNTS and values[-1] is not None:
                values = (*values[:-1], OTHER)
            found = self._counts.setdefault(values, _Count())
        found.raise_by_one()

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Report every count, as an observable counter asks for it."""
        for values, found in self._counts.copy().items():
            known = {name: value for name, value in zip(self._attributes, values, strict=True) if value is not None}
            if times := found.value():
                yield Observation(times, known)


class Metrics:
    """The three counters of docs/reference.md, section 7."""

    def __init__(self) -> None:
        self.authentications = Tally(names.OUTCOME, names.ERROR_TYPE)
        self.writes = Tally(names.ATTRIBUTION, names.DETAIL)
        self.degraded = Tally(names.STAGE, names.ERROR_TYPE)

    def register(self, provider: MeterProvider) -> None:
        """Make the tallies observable through a meter provider."""
        meter = provider.get_meter("otel_keyaudit", __version__)
        for name, tally, description in (
            (names.METRIC_AUTHENTICATIONS, self.authentications, "Authentications, by outcome"),
            (names.METRIC_WRITES, self.writes, "Calls of audit targets, by what could be attributed"),
            (names.METRIC_DEGRADED, self.degraded, "What went wrong in the instrumentation itself"),
        ):
            meter.create_observable_counter(name, [tally.observe], "1", description)


_GLOBAL = Metrics()
_REGISTERED: weakref.WeakKeyDictionary[MeterProvider, Metrics] = weakref.WeakKeyDictionary()


def metrics_for(provider: MeterProvider | None) -> Metrics:
    """Return the metrics of a provider (``None``: the global one), registered there once.

    A callback cannot be taken back from a provider, and a second one under the same name is ignored: each provider
    keeps its tallies from one ``instrument()`` to the next. All that is ever global shares one set, since the proxy
    that stands in for the global provider at first passes its instruments on to the real one.
    """
    current = get_meter_provider()
    provider = provider or current
    metrics = _REGISTERED.get(provider)
    if metrics is None:
        metrics = _REGISTERED[provider] = _GLOBAL if provider is current else Metrics()
        metrics.register(provider)
    return metrics
