"""The observers of a function: an ordered list in the hook of its trampoline."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from otel_keyaudit.patching.code_exchange import Hook, hook_of, observed_code, original_code, with_constant
from otel_keyaudit.patching.kinds.replacement import PASS_THROUGH
from otel_keyaudit.patching.wrappers import Observation, Observe, Several


class Observer(NamedTuple):
    """An observer of a function.

    Attributes:
        rank: Its place in the order: a lower rank takes its turn earlier, and is outside of a higher one.
        group: Of all observers with this group, the first that returns an observation has the call.
        observe: Begins the observation of a call.
    """

    rank: int
    group: object
    observe: Observe


def observers_of(code: CodeType) -> tuple[Observer, ...]:
    """Return the observers of a code."""
    return getattr(hook_of(code), "observers", ())


def with_observer(code: CodeType, observer: Observer, qualified_name: str) -> CodeType:
    """Return a code with one observer more."""
    hook = hook_of(code)
    changed = _hook(sorted((*observers_of(code), observer), key=lambda one: one.rank))
    return observed_code(code, changed, qualified_name) if hook is None else with_constant(code, hook, changed)


def without_observer(code: CodeType, observer: Observer) -> CodeType:
    """Return a code without one of its observers; after the last one, the original."""
    hook, before = hook_of(code), observers_of(code)
    observers = [one for one in before if one is not observer]
    if len(observers) == len(before):
        return code
    original = original_code(code)
    if observers or original is code:
        return with_constant(code, hook, _hook(observers))
    return original


def _hook(observers: Sequence[Observer]) -> Hook:
    """Return the hook for some observers; for a single one, it is that one without a frame in between."""
    if not observers:
        return PASS_THROUGH
    hook = Hook(observers[0].observe) if len(observers) == 1 else Hook(_observe_in_turn, tuple(observers))
    hook.observers = tuple(observers)  # type: ignore[attr-defined]
    return hook


def _observe_in_turn(
    observers: Sequence[Observer], args: tuple[Any, ...], kwargs: dict[str, Any], original: FunctionType
) -> Observation | None:
    observations: list[Observation] = []
    groups: list[object] = []
    for one in observers:
        observation = None if one.group in groups else one.observe(args, kwargs, original)
        if observation is not None:
            groups.append(one.group)
            observations.append(observation)
            args, kwargs = observation.positional, observation.keywords
    return Several(observations) if len(observations) > 1 else next(iter(observations), None)
