"""A figure: what was measured, what it is held against, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measure import Effort

TOLERANCE = 1.10
"""A ratio that is worse than the baseline by more than this is a regression."""


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: Under which it stands in JSON and baseline.
        title: What it is.
        value: A ratio, or an absolute value with a unit.
        goal: Limit of the value; ``None`` for what only explains.
        unit: Empty for a ratio. Only ratios are compared with the baseline.
        higher_is_better: The goal is a lower limit.
        is_steady: It repeats well enough to be compared with the baseline.
        details: What the value was made from.
    """

    name: str
    title: str
    value: float
    goal: float | None = None
    unit: str = ""
    higher_is_better: bool = False
    is_steady: bool = True
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; ``None`` without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal

    @property
    def is_compared(self) -> bool:
        """Whether the baseline has it: a ratio that repeats."""
        return not self.unit and self.is_steady

    def as_object(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"is_met": self.is_met}

    def is_worse_than(self, baseline: float) -> bool:
        """Say whether this is a regression of more than ten per cent."""
        if self.higher_is_better:
            return self.value < baseline / TOLERANCE
        return self.value > baseline * TOLERANCE


@dataclass(frozen=True)
class Skipped:
    """What could not be measured here, and why."""

    name: str
    reason: str


Group = Callable[[Effort], Iterable[Figure | Skipped]]
"""Measures some figures that belong together."""
