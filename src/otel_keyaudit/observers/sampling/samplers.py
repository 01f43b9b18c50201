"""Samplers choose the detail of each row, full or minimal. They never drop a row, an id or an outcome."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from otel_keyaudit.errors import ConfigurationError, UnreadableError, hint, shown
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.observers.sampling.event import AuditEvent as AuditEvent  # noqa: PLC0414 - custom samplers get it
from otel_keyaudit.observers.sampling.rules import FULL, MINIMAL, ON_CHANGE, RulesError, load_rules, matcher
from otel_keyaudit.targets.expressions.steps import apply
from otel_keyaudit.targets.function_reference import LazyFunction

MAX_SNAPSHOTS: Final = 16_384
"""Maximum number of snapshots that ``on_change`` remembers; the least recently used is dropped."""


class Sampler:
    """Chooses the detail of a row.

    Args:
        choose: Returns the detail of a write.

    Attributes:
        constant: The detail of every row; ``None`` if it depends on the event.
    """

    constant: Detail | None = None

    def __init__(self, choose: Callable[[AuditEvent], object]) -> None:
        self._choose = choose

    @property
    def is_constant_full(self) -> bool:
        """Whether every row is full, so a server span gets the lists at authentication."""
        return self.constant is Detail.FULL

    def choose(self, event: AuditEvent, *, has_row: bool = True) -> Detail:  # noqa: ARG002 - for ``on_change``
        """Return the detail of a write.

        Args:
            event: The write.
            has_row: Whether it has additional fields. Without them, it is only on spans.

        Raises:
            UnreadableError: A custom sampler did not return a ``Detail``.
        """
        detail = self._choose(event)
        if not isinstance(detail, Detail):
            raise UnreadableError(f"the sampler returned {type(detail).__name__}, not Detail.FULL or Detail.MINIMAL")
        return detail

    def written(self, event: AuditEvent, *, has_row: bool = True) -> None:
        """Record that a full row was written. A failed write does not count, or minimal rows would refer to nothing."""


class ConstantSampler(Sampler):
    """Chooses the same detail for every row."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(lambda _: detail)
        self.constant = detail


class PolicySampler(Sampler):
    """Chooses by a policy, and for ``on_change`` by the snapshots of earlier full rows.

    Args:
        policy: Returns ``full``, ``minimal`` or ``on_change`` for a write.
    """

    def __init__(self, policy: Callable[[AuditEvent], str]) -> None:
        super().__init__(policy)
        self._known: OrderedDict[str, bool] = OrderedDict()  # whether a row has the snapshot, by digest

    def choose(self, event: AuditEvent, *, has_row: bool = True) -> Detail:
        """Return the detail of a write."""
        detail = self._choose(event)
        if detail == MINIMAL or (detail == ON_CHANGE and self._knows(event, has_row)):
            return Detail.MINIMAL
        return Detail.FULL

    def _knows(self, event: AuditEvent, has_row: bool) -> bool:
        """Return whether all snapshots of a write exist where its digests lead to, and mark these snapshots as used."""
        digests = _digests(event)
        known = [self._known.get(digest) for digest in digests]
        if None in known or (has_row and not all(known)):
            return False
        self._remember(digests, has_row=False)
        return True

    def written(self, event: AuditEvent, *, has_row: bool = True) -> None:
        """Remember the snapshots of a full write. The digest in a row must lead to another row, not to a span."""
        self._remember(_digests(event), has_row)

    def _remember(self, digests: set[str], has_row: bool) -> None:
        for digest in digests:
            if has_row:
                self._known[digest] = True
            else:
                self._known.setdefault(digest, False)
            with expected(KeyError):  # another thread has dropped it
                self._known.move_to_end(digest)
            if len(self._known) > MAX_SNAPSHOTS:
                self._known.popitem(last=False)


def _digests(event: AuditEvent) -> set[str]:
    keys: tuple[ApiKey | None, ...] = event.request_key, event.subject_key
    return {key.digest for key in keys if key is not None}


def _always_full(event: AuditEvent) -> bool:
    """Return whether ``actions`` and ``on_change`` must choose full: for rows about keys, failures and refusals."""
    return event.subject_key is not None or event.has_failed or event.was_refused


def _actions(patterns: Sequence[str]) -> Sampler:
    matches = matcher(patterns)

    def policy(event: AuditEvent) -> str:
        return FULL if _always_full(event) or event.action is None or matches(event.actions) else MINIMAL

    return PolicySampler(policy)


def _on_change(patterns: Sequence[str]) -> Sampler:
    matches = matcher(patterns)

    def policy(event: AuditEvent) -> str:
        return FULL if _always_full(event) or matches(event.actions) else ON_CHANGE

    return PolicySampler(policy)


SAMPLERS: Final = ("always_full", "always_minimal", "actions", "on_change", "rules", "module:name")
"""The values of the option ``sampler``."""


def build_sampler(sampler: object, sampler_arg: object, *, deferred: bool) -> Sampler:
    """Build the sampler that the options name.

    Args:
        sampler: A sampler's name, ``module:name`` of a function, or a function.
        sampler_arg: Glob patterns as a list or as a comma-separated string, or the path of a rules file.
        deferred: The package of a function may become importable later.

    Raises:
        ConfigurationError: There is no such sampler, or its argument is missing, superfluous or invalid.
    """
    if sampler == "actions":
        return _actions(_patterns(sampler_arg, "with sampler 'actions' are comma-separated glob patterns"))
    if sampler == "on_change":
        allowed = "with sampler 'on_change' are comma-separated glob patterns, or no argument"
        return _on_change(() if sampler_arg is None else _patterns(sampler_arg, allowed))
    if sampler == "rules":
        return _rules(sampler_arg)
    built = _without_argument(sampler, deferred=deferred)
    if sampler_arg is not None:
        raise ConfigurationError(
            f"option 'sampler_arg' has the value {shown(sampler_arg)}, "
            f"but sampler {shown(_name(sampler))} takes none; "
            "allowed is an argument with sampler 'actions', 'on_change' or 'rules'"
        )
    return built


def _without_argument(sampler: object, *, deferred: bool) -> Sampler:
    if callable(sampler):
        return Sampler(partial(apply, sampler))
    if not isinstance(sampler, str):
        raise _wrong_sampler(sampler)
    if sampler in ("always_full", "always_minimal"):
        return ConstantSampler(Detail.FULL if sampler == "always_full" else Detail.MINIMAL)
    module, colon, name = sampler.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))):
        raise _wrong_sampler(sampler)
    try:
        return Sampler(partial(apply, LazyFunction(sampler, deferred=deferred)))
    except ConfigurationError as error:
        raise ConfigurationError(f"option 'sampler' has the value {error}; allowed are {', '.join(SAMPLERS)}") from None


def _wrong_sampler(sampler: object) -> ConfigurationError:
    near = hint(sampler, SAMPLERS[:-1]) if isinstance(sampler, str) else ""
    return ConfigurationError(
        f"option 'sampler' has the value {shown(sampler)}; allowed are {', '.join(SAMPLERS)}{near}"
    )


def _name(sampler: object) -> str:
    return sampler if isinstance(sampler, str) else getattr(sampler, "__qualname__", type(sampler).__name__)


def _patterns(sampler_arg: object, allowed: str) -> Sequence[str]:
    elements = sampler_arg.split(",") if isinstance(sampler_arg, str) else sampler_arg
    if not isinstance(elements, (list, tuple)) or not all(isinstance(element, str) for element in elements):
        raise _wrong_argument(sampler_arg, allowed)
    patterns = [element.strip() for element in elements]
    if not patterns or not all(patterns):
        raise _wrong_argument(sampler_arg, f"{allowed}, without empty elements")
    return patterns


def _rules(sampler_arg: object) -> Sampler:
    path = sampler_arg[0] if isinstance(sampler_arg, (list, tuple)) and len(sampler_arg) == 1 else sampler_arg
    if not isinstance(path, (str, Path)) or not str(path).strip():
        raise _wrong_argument(sampler_arg, "with sampler 'rules' is the path of a JSON file")
    try:
        rules = load_rules(path)
    except RulesError as error:
        raise ConfigurationError(f"option 'sampler_arg' has the value {shown(str(path))}: {error}") from None
    return PolicySampler(rules.choose)


def _wrong_argument(sampler_arg: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"option 'sampler_arg' has the value {shown(sampler_arg)}; allowed {allowed}")
