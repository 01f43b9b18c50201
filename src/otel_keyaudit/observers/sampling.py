"""Full or minimal: how much of a key a row holds. A sampler never drops a row, an id or an outcome."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import translate
from typing import Final, NamedTuple

from otel_keyaudit.errors import ConfigurationError, UnreadableError
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.targets.function_reference import LazyFunction

REMEMBERED_SNAPSHOTS = 16_384
"""How many snapshots ``on_change`` knows, those used last: at least 10,000, whatever threads do at the same time."""

FAILED_OUTCOMES: Final = frozenset({"denied", "failed", "failure", "error"})
"""Outcomes, in lower case, that count as failed."""

BAD_REQUEST: Final = 400
"""HTTP status from which on an outcome counts as failed (RFC 9110, section 15)."""


class AuditEvent(NamedTuple):
    """What a sampler is told of an audit write.

    Attributes:
        action: What is done.
        resource_type: To what kind of thing.
        resource_id: To which one.
        outcome: How it ends, as far as that is known before the write: a text, a number or a bool.
        request_key: The key of the request.
        subject_key: The key that the row is about.
    """

    action: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    outcome: str | int | float | bool | None = None
    request_key: ApiKey | None = None
    subject_key: ApiKey | None = None

    @property
    def has_failed(self) -> bool:
        """Say whether the outcome counts as failed: ``False``, 400 or more, or a word for it in any case."""
        if isinstance(self.outcome, bool):
            return not self.outcome
        if isinstance(self.outcome, (int, float)):
            return self.outcome >= BAD_REQUEST
        return self.outcome is not None and self.outcome.lower() in FAILED_OUTCOMES


class Sampler:
    """Chooses the detail of a write; one of the five of docs/reference.md, section 6.

    Args:
        choose: Returns the detail for an event.
        constant: What it returns for every event, where it does: then nobody has to ask.
        is_ours: It never fails, and may be asked about one write again.

    Attributes:
        takes_note: It wants to be told of what was written in full.
    """

    takes_note = False

    def __init__(
        self, choose: Callable[[AuditEvent], object], *, constant: Detail | None = None, is_ours: bool = False
    ) -> None:
        self._choose = choose
        self.constant = constant
        self.is_ours = is_ours

    @property
    def is_constant_full(self) -> bool:
        """Every row is full, so the server span can have the lists from authentication on."""
        return self.constant is Detail.FULL

    def choose(self, event: AuditEvent) -> Detail:
        """Return the detail for a write.

        Raises:
            UnreadableError: The sampler returned something else.
        """
        detail = self._choose(event)
        if not isinstance(detail, Detail):
            raise UnreadableError(f"the sampler returned {type(detail).__name__}, not Detail.FULL or Detail.MINIMAL")
        return detail

    def written(self, event: AuditEvent) -> None:
        """Take note that a full row was written."""


class _OnChange(Sampler):
    """Full until a snapshot was written once, minimal afterwards.

    A snapshot counts only when its row was written: one that failed would leave minimal rows that lead nowhere.
    """

    takes_note = True

    def __init__(self, always: Callable[[AuditEvent], bool]) -> None:
        super().__init__(self._by_change, is_ours=True)
        self._always = always
        self._known: OrderedDict[str, None] = OrderedDict()

    def _by_change(self, event: AuditEvent) -> Detail:
        if self._always(event) or not self._known.keys() >= (digests := _digests(event)):
            return Detail.FULL
        for digest in digests:
            self._remember(digest)
        return Detail.MINIMAL

    def written(self, event: AuditEvent) -> None:
        """Remember the snapshots of a row that was written in full."""
        for digest in _digests(event):
            self._remember(digest)

    def _remember(self, digest: str) -> None:
        self._known.pop(digest, None)
        self._known[digest] = None
        if len(self._known) > REMEMBERED_SNAPSHOTS:
            self._known.popitem(last=False)


def _digests(event: AuditEvent) -> set[str]:
    return {key.digest for key in (event.request_key, event.subject_key) if key is not None}


def _patterns(argument: tuple[str, ...]) -> Callable[[AuditEvent], bool]:
    """Return whether a row is always full: its action is selected, it failed, or it is about a key."""
    matches = re.compile("|".join(translate(pattern) for pattern in argument) or r"(?!)").match

    def always(event: AuditEvent) -> bool:
        if event.subject_key is not None or event.has_failed:
            return True
        if event.action is None:
            return False
        return bool(matches(event.action) or (event.resource_type and matches(f"{event.resource_type}.{event.action}")))

    return always


def _constant(detail: Detail) -> Sampler:
    return Sampler(lambda _: detail, constant=detail, is_ours=True)


def _actions(patterns: tuple[str, ...]) -> Sampler:
    always = _patterns(patterns)
    return Sampler(lambda event: Detail.FULL if always(event) else Detail.MINIMAL, is_ours=True)


SAMPLERS: Final = ("always_full", "always_minimal", "actions", "on_change", "module:name")
"""What the option ``sampler`` takes."""


def build_sampler(
    sampler: str | Callable[[AuditEvent], object], patterns: tuple[str, ...] | None, *, deferred: bool
) -> Sampler:
    """Return the sampler that an option names.

    Args:
        sampler: One of the names, ``module:name`` of a function of the user's, or the function.
        patterns: ``sampler_arg``, split at its commas.
        deferred: The package of a function need not be importable yet.

    Raises:
        ConfigurationError: There is no such sampler, or its argument is missing or too much.
    """
    if sampler == "actions" and not patterns:
        raise ConfigurationError(
            f"option 'sampler_arg' has the value {patterns!r}; "
            "allowed with sampler 'actions' are glob patterns with commas between"
        )
    if sampler in ("actions", "on_change"):
        return _actions(patterns or ()) if sampler == "actions" else _OnChange(_patterns(patterns or ()))
    if patterns is not None:
        raise ConfigurationError(
            f"option 'sampler_arg' has the value {','.join(patterns)!r}, but sampler {_name(sampler)!r} takes none; "
            "allowed is an argument with sampler 'actions' or 'on_change'"
        )
    if callable(sampler):
        return Sampler(sampler)
    if sampler in ("always_full", "always_minimal"):
        return _constant(Detail.FULL if sampler == "always_full" else Detail.MINIMAL)
    return _custom(sampler, deferred=deferred)


def _name(sampler: object) -> str:
    return sampler if isinstance(sampler, str) else getattr(sampler, "__qualname__", type(sampler).__name__)


def _custom(sampler: str, *, deferred: bool) -> Sampler:
    module, colon, name = sampler.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))):
        raise ConfigurationError(f"option 'sampler' has the value {sampler!r}; allowed are {', '.join(SAMPLERS)}")
    try:
        return Sampler(LazyFunction(sampler, deferred=deferred))
    except ConfigurationError as error:
        raise ConfigurationError(f"option 'sampler' has the value {error}; allowed are {', '.join(SAMPLERS)}") from None
