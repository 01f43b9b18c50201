"""The library's counters: cheap in-process tallies, which observable counters read.

Incrementing a tally costs a tenth of ``Counter.add``, and a tally also has the number of each target.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from itertools import count

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from otel_keyaudit import names
from otel_keyaudit.version import __version__

MAX_COMBINATIONS = 1_000
"""Maximum number of attribute combinations in a tally, because an application may create exception classes without
end."""

OTHER = "_OTHER"
"""The ``error.type`` that stands for all further combinations (OpenTelemetry semantic conventions)."""


Values = tuple[str | None, ...]
"""A combination of attribute values."""


class Count:
    """A counter that many threads increment without a lock, because ``next`` of a C iterator is atomic.

    Args:
        start: The first count.

    Attributes:
        increment: Adds one.
    """

    __slots__ = ("_steps", "increment")

    def __init__(self, start: int = 0) -> None:
        self._steps = count(start)
        self.increment: Callable[[], object] = self._steps.__next__

    @property
    def value(self) -> int:
        """The current count. It is parsed from ``count(5)``, because the iterator has no other way to read it."""
        return int(repr(self._steps)[6:-1])


class Tally:
    """Counts by a tuple of attribute values.

    Args:
        attributes: The names of the attributes, in the order of the values.
    """

    def __init__(self, *attributes: str) -> None:
        self._attributes = attributes
        self._counts: dict[Values, list[Count]] = {}
        """The counters of each combination; the first one has the sum of all closed counters."""
        self._shared: dict[Values, Count] = {}

    def counter(self, *values: str | None) -> Count:
        """Return a new counter for a combination of values; ``None`` stands for an absent attribute.

        The tally reports the sum of all counters of a combination, so that each target can have its own.
        """
        counter = Count()
        self._counts.setdefault(values, [Count()]).append(counter)
        return counter

    def shared(self, *values: str | None) -> Count:
        """Return the one counter of a combination that belongs to no target."""
        counter = self._shared.get(values)
        if counter is None:
            if len(self._shared) >= MAX_COMBINATIONS and values[-1] is not None:
                values = (*values[:-1], OTHER)
            counter = self._shared.setdefault(values, Count())
        return counter

    def close(self, counters: Iterable[Count]) -> None:
        """Drop counters that are no longer incremented, and keep their sum."""
        closing = set(map(id, counters))
        for values, (closed, *counts) in self._counts.copy().items():
            dropped = sum(counter.value for counter in counts if id(counter) in closing)
            left = [counter for counter in counts if id(counter) not in closing]
            self._counts[values] = [Count(closed.value + dropped), *left]  # one step, between which nobody reads

    def add(self, *values: str | None) -> None:
        """Add one."""
        self.shared(*values).increment()

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Yield the sum of each combination, for an observable counter."""
        for values, total in self.totals().items():
            known = zip(self._attributes, values, strict=True)
            yield Observation(total, {name: value for name, value in known if value is not None})

    def totals(self) -> dict[Values, int]:
        """Return the sum of each combination that has been counted."""
        totals: dict[Values, int] = {}
        for values in dict.fromkeys((*self._counts.copy(), *self._shared.copy())):
            counts = [*self._counts.get(values, ()), *filter(None, [self._shared.get(values)])]
            total = sum(counter.value for counter in counts)
            if total:
                totals[values] = total
        return totals

    def by_name(self) -> dict[str, int]:
        """Return the sums of a tally with one attribute by its values."""
        return {str(name): total for (name,), total in self.totals().items()}


class Metrics:
    """The four counters of the library."""

    def __init__(self) -> None:
        self.authentications = Tally(names.OUTCOME, names.ERROR_TYPE)
        self.writes = Tally(names.ATTRIBUTION, names.DETAIL)
        self.decisions = Tally(names.DECISION_OUTCOME, names.DECISION_CAUSE)
        self.degraded = Tally(names.STAGE, names.ERROR_TYPE)

    def register(self, provider: MeterProvider) -> None:
        """Create the observable counters in a meter provider."""
        meter = provider.get_meter("otel_keyaudit", __version__)
        for name, tally, description in (
            (names.METRIC_AUTHENTICATIONS, self.authentications, "Authentications, by outcome"),
            (names.METRIC_WRITES, self.writes, "Calls of audit targets, by attribution"),
            (names.METRIC_DECISIONS, self.decisions, "Authorization decisions, by outcome and cause"),
            (names.METRIC_DEGRADED, self.degraded, "Failures of the instrumentation itself"),
        ):
            meter.create_observable_counter(name, [tally.observe], "1", description)


_GLOBAL = Metrics()
_registered: list[tuple[weakref.ref[MeterProvider], Metrics]] = []
"""Metrics by provider. Providers are compared by identity, because Logfire's equal others and have no hash."""


def metrics_for(provider: MeterProvider | None) -> Metrics:
    """Return the metrics of a provider (``None``: the global one), and register them there once.

    A callback cannot be removed from a provider, and a second one under the same name is ignored, so each provider
    keeps its tallies from one ``instrument()`` to the next. All global providers share one set, because the proxy that
    is the global provider at first passes its instruments on to the real one.
    """
    current = get_meter_provider()
    if provider is None:
        provider = current
    for known, metrics in _registered:
        if known() is provider:
            return metrics
    metrics = _GLOBAL if provider is current else Metrics()
    _registered[:] = [one for one in _registered if one[0]() is not None] + [(weakref.ref(provider), metrics)]
    metrics.register(provider)
    return metrics
