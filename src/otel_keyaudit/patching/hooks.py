"""Add and remove observers of a function. They are an ordered list in the hook of its trampoline."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from otel_keyaudit.patching.code_exchange import Hook, hook_of, observed_code, original_code, with_constant
from otel_keyaudit.patching.kinds.replacement import PASS_THROUGH
from otel_keyaudit.patching.wrappers import CombinedObservation, Observation, Observe


class Observer(NamedTuple):
    """An observer of a function.

    Attributes:
        rank: The position in the order. An observer with a lower rank is asked earlier, and encloses those with a
            higher one.
        group: Of all observers in this group, only the first that returns an observation observes the call.
        observe: Begins the observation of a call.
        observe_excluded: Begins the observation of a call that an earlier observer of the group may exclude at the end.
            It has no effect on the call before the end. ``None`` if the observer must act before.
    """

    rank: int
    group: object
    observe: Observe
    observe_excluded: Observe | None = None


def observers_of(code: CodeType) -> tuple[Observer, ...]:
    """Return the observers in a code object."""
    return getattr(hook_of(code), "observers", ())


def with_observer(code: CodeType, observer: Observer, qualified_name: str) -> CodeType:
    """Return the code with an observer added."""
    hook = hook_of(code)
    changed = _hook(sorted((*observers_of(code), observer), key=lambda one: one.rank))
    return observed_code(code, changed, qualified_name) if hook is None else with_constant(code, hook, changed)


def without_observer(code: CodeType, observer: Observer) -> CodeType:
    """Return the code with an observer removed; the original code if it was the last one."""
    hook, before = hook_of(code), observers_of(code)
    observers = [one for one in before if one is not observer]
    if len(observers) == len(before):
        return code
    original = original_code(code)
    if observers or original is code:
        return with_constant(code, hook, _hook(observers))
    return original


def _hook(observers: Sequence[Observer]) -> Hook:
    """Return the hook of several observers. The hook of a single one calls it directly, which saves a frame."""
    if not observers:
        return PASS_THROUGH
    hook = Hook(observers[0].observe) if len(observers) == 1 else Hook(_observe_in_turn, tuple(observers))
    hook.observers = tuple(observers)  # type: ignore[attr-defined]
    return hook


def _observe_in_turn(
    observers: Sequence[Observer], args: tuple[Any, ...], kwargs: dict[str, Any], original: FunctionType
) -> Observation | None:
    observations: dict[object, Observation] = {}
    for one in observers:
        first = observations.get(one.group)
        if first is None:
            observation = _begin_inside([*observations.values()], one.observe, args, kwargs, original)
            if observation is not None:
                observations[one.group] = observation
                args, kwargs = observation.positional, observation.keywords
        elif first.may_exclude and one.observe_excluded is not None:
            alternative = one.observe_excluded(args, kwargs, original)
            if alternative is not None:
                first.add_alternative(alternative)
    found = [*observations.values()]
    return CombinedObservation(found) if len(found) > 1 else next(iter(found), None)


def _begin_inside(
    outer: Sequence[Observation],
    observe: Observe,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    original: FunctionType,
) -> Observation | None:
    """Begin an observation inside those that enclose it: a row shows the check that the same function is."""
    if not outer:
        return observe(args, kwargs, original)
    with CombinedObservation(outer):
        return observe(args, kwargs, original)
