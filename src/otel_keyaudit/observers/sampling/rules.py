"""Choose the detail of a row by rules: the first rule whose conditions all hold decides."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import translate
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from otel_keyaudit.errors import hint, shown
from otel_keyaudit.key.permissions.decision import BY_OTHER, DENIED, ERROR, GRANTED
from otel_keyaudit.observers.sampling.event import AuditEvent

FULL: Final = "full"
MINIMAL: Final = "minimal"
ON_CHANGE: Final = "on_change"
DETAILS: Final = (FULL, MINIMAL, ON_CHANGE)
"""The details that a rule can choose. ``on_change`` is full until a full row with the same snapshot was written."""

OUTCOMES: Final = ("succeeded", "failed", "unknown")
"""The outcomes that the condition ``outcomes`` takes."""

DECISIONS: Final = (GRANTED, DENIED, ERROR, BY_OTHER)
"""The decisions that the condition ``decisions`` takes; ``other`` is a granted decision with that cause."""


class RulesError(ValueError):
    """Raised for rules that cannot be read or are invalid. The message names the place, such as ``rules[1].detail``."""


def matcher(patterns: Iterable[str]) -> Callable[[Iterable[str | None]], bool]:
    """Return a function that checks whether one of several values matches a glob pattern. Unknown values never do."""
    matches = re.compile("|".join(map(translate, patterns)) or r"(?!)").match

    def matches_any(values: Iterable[str | None]) -> bool:
        return any(value is not None and matches(value) for value in values)

    return matches_any


class Rule(NamedTuple):
    """One rule.

    Attributes:
        place: Place in the file, such as ``rules[1]``.
        name: Name of the rule for its readers; ``None`` without one.
        detail: ``full``, ``minimal`` or ``on_change``.
        conditions: Conditions by name. All must hold.
    """

    place: str
    name: str | None
    detail: str
    conditions: Mapping[str, Callable[[AuditEvent], bool]]

    def mismatch(self, event: AuditEvent) -> str | None:
        """Return the name of the first condition that does not hold, ``None`` if all hold."""
        return next((name for name, holds in self.conditions.items() if not holds(event)), None)


class Choice(NamedTuple):
    """The detail of one row and how it was chosen.

    Attributes:
        detail: ``full``, ``minimal`` or ``on_change``.
        rule: The rule that decided; ``None`` if no rule holds, or if the row is about a key.
        skipped: The rules before it, each with the name of a condition that does not hold.
    """

    detail: str
    rule: Rule | None
    skipped: tuple[tuple[Rule, str], ...]


class Rules:
    """The rules of a file, in order.

    Args:
        rules: The rules; at least one.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    def choose(self, event: AuditEvent) -> str:
        """Return the detail of a row. Rows about an API key and rows without a matching rule are full."""
        return self.explain(event).detail

    def explain(self, event: AuditEvent) -> Choice:
        """Return the detail of a row, the deciding rule, and the failed condition of each earlier rule."""
        skipped: list[tuple[Rule, str]] = []
        if event.subject_key is None:
            for rule in self.rules:
                mismatch = rule.mismatch(event)
                if mismatch is None:
                    return Choice(rule.detail, rule, tuple(skipped))
                skipped.append((rule, mismatch))
        return Choice(FULL, None, tuple(skipped))


def load_rules(path: str | Path) -> Rules:
    """Read rules from a JSON file.

    Args:
        path: Path of the file.

    Raises:
        RulesError: The file cannot be read, or a rule is invalid.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise RulesError(f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise RulesError("is not JSON: it is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise RulesError(f"is not JSON: {error.msg} at line {error.lineno}") from None
        if isinstance(error, UnicodeDecodeError):
            raise RulesError("is not JSON: it is not encoded in UTF-8") from None
        raise RulesError("cannot be read: its path is invalid") from None
    return parse_rules(content)


def parse_rules(content: object) -> Rules:
    """Read rules from a JSON value.

    Raises:
        RulesError: The value is not an object with a list of rules, or a rule is invalid.
    """
    if not isinstance(content, dict):
        raise RulesError("is not a JSON object with a member 'rules'")
    _check_members("", content, ("rules",))
    rules = content.get("rules")
    if not isinstance(rules, list) or not rules:
        raise _wrong("rules", rules, "a list of at least one rule")
    parsed = [_rule(f"rules[{position}]", rule) for position, rule in enumerate(rules)]
    for earlier, later in pairwise(parsed):
        if not earlier.conditions:
            raise RulesError(f"{later.place} is never reached, because {earlier.place} has no conditions")
    return Rules(parsed)


def _rule(place: str, rule: object) -> Rule:
    if not isinstance(rule, dict):
        raise _wrong(place, rule, "an object with a member 'detail'")
    _check_members(f"{place}.", rule, ("name", "detail", *_VALUES))
    name, detail = rule.get("name"), rule.get("detail")
    if "name" in rule and not (isinstance(name, str) and name):
        raise _wrong(f"{place}.name", name, "a string that is not empty")
    if "detail" not in rule:
        raise RulesError(f"{place}.detail is missing; allowed are {', '.join(DETAILS)}")
    _check_word(f"{place}.detail", detail, DETAILS)
    conditions = {
        condition: _condition(f"{place}.{condition}", condition, rule[condition])
        for condition in _VALUES
        if condition in rule
    }
    return Rule(place, name, str(detail), conditions)


def _check_members(prefix: str, content: Mapping[str, Any], allowed: Collection[str]) -> None:
    for name in content:
        if name not in allowed:
            raise RulesError(
                f"{prefix}{name if name.isidentifier() else shown(name)} is unknown; "
                f"allowed are {', '.join(allowed)}{hint(name, allowed)}"
            )


def _condition(place: str, name: str, elements: object) -> Callable[[AuditEvent], bool]:
    if not isinstance(elements, list) or not elements or not all(isinstance(one, str) and one for one in elements):
        raise _wrong(place, elements, "a list of at least one string, without empty strings")
    read, allowed = _VALUES[name], _WORDS.get(name)
    if allowed is None:
        matches = matcher(elements)
        return lambda event: matches(read(event))
    for position, word in enumerate(elements):
        _check_word(f"{place}[{position}]", word, allowed)
    words = frozenset(elements)
    return lambda event: not words.isdisjoint(read(event))


def _check_word(place: str, word: object, allowed: Collection[str]) -> None:
    if not isinstance(word, str) or word not in allowed:
        raise _wrong(place, word, ", ".join(allowed), hint(word, allowed) if isinstance(word, str) else "")


def _wrong(place: str, value: object, allowed: str, suggestion: str = "") -> RulesError:
    return RulesError(f"{place} has the value {shown(value)}; allowed is {allowed}{suggestion}")


def _key_id(event: AuditEvent) -> Iterable[str | None]:
    return () if event.request_key is None else (event.request_key.id,)


def _key_owner(event: AuditEvent) -> Iterable[str | None]:
    return () if event.request_key is None else (event.request_key.owner,)


def _key_scopes(event: AuditEvent) -> Iterable[str]:
    return () if event.request_key is None else event.request_key.scopes or ()


def _outcome(event: AuditEvent) -> Iterable[str]:
    return ("unknown" if event.outcome is None else "failed" if event.has_failed else "succeeded",)


def _decisions(event: AuditEvent) -> Iterable[str | None]:
    for decision in event.decisions:
        yield decision.outcome
        if decision.outcome == GRANTED and decision.cause == BY_OTHER:
            yield BY_OTHER


_VALUES: Final[Mapping[str, Callable[[AuditEvent], Iterable[str | None]]]] = {
    "actions": lambda event: event.actions,
    "resources": lambda event: (event.resource,),
    "keys": _key_id,
    "owners": _key_owner,
    "scopes": _key_scopes,
    "on_behalf_of": lambda event: (event.on_behalf_of,),
    "outcomes": _outcome,
    "decisions": _decisions,
}
"""The values of an event that each condition compares."""

_WORDS: Final[Mapping[str, Collection[str]]] = {"outcomes": OUTCOMES, "decisions": DECISIONS}
"""The words that a condition takes. All other conditions take glob patterns."""
