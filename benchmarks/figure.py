"""A measured figure, and the table of all figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    Attributes:
        name: Identifies it in ``baseline.json``.
        title: The measured quantity, with its unit.
        value: The result.
        goal: The maximum that meets the goal, or the minimum if a higher value is better; ``None`` without a goal.
        higher_is_better: Whether a higher value is better.
        details: Further numbers by title.
    """

    name: str
    title: str
    value: float
    goal: float | None = None
    higher_is_better: bool = False
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Return whether the goal is met; ``None`` without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal


def table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table."""
    lines = ["| figure | measured | goal | met | details |", "|---|---|---|---|---|"]
    for figure in figures:
        goal = "-" if figure.goal is None else f"{'≥' if figure.higher_is_better else '≤'} {figure.goal:,g}"
        met = {None: "", True: "yes", False: "no"}[figure.is_met]
        details = ", ".join(f"{title}: {_short(value)}" for title, value in figure.details.items())
        lines.append(f"| {figure.title} | {_short(figure.value)} | {goal} | {met} | {details} |")
    return "\n".join(lines)


def _short(value: object) -> str:
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
