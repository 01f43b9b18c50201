"""Render an explained row as lines for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from otel_keyaudit.cli.explain.rows import ExplainedRow
from otel_keyaudit.cli.output import line
from otel_keyaudit.observers.sampling.rules import ON_CHANGE, Choice, Rule


def as_member(row: ExplainedRow) -> dict[str, Any]:
    """Return one element of ``rows`` in the JSON document."""
    event, key = row.event, row.event.request_key
    return {
        "row": row.number,
        "action": event.action,
        "resource": event.resource,
        "key_id": None if key is None else key.id,
        "ambiguous": row.is_ambiguous,
        "recorded_detail": row.detail,
        "rule": None if row.choice is None else _rule_members(row.choice),
        "permissions": None if row.permissions is None else list(row.permissions),
        "coverage": None if row.coverage is None else [one._asdict() for one in row.coverage],
        "cut": row.is_cut,
    }


def _rule_members(choice: Choice) -> dict[str, Any]:
    return {
        "place": None if choice.rule is None else choice.rule.place,
        "name": None if choice.rule is None else choice.rule.name,
        "detail": choice.detail,
        "skipped": [
            {"place": rule.place, "name": rule.name, "condition": condition} for rule, condition in choice.skipped
        ],
    }


def print_row(row: ExplainedRow, console: Console) -> None:
    """Print one row."""
    event = row.event
    about = " ".join(part for part in (event.action or "unknown action", event.resource or event.resource_type) if part)
    outcome = "" if event.outcome is None else f", outcome {event.outcome}"
    console.print(line((f"row {row.number}", "bold"), f": {about}{outcome}"), soft_wrap=True)
    console.print(line("  key: ", _key(row)), soft_wrap=True)
    if row.choice is not None:
        for sentence in _choice(row.choice, row.event.subject_key is not None):
            console.print(line(sentence), soft_wrap=True)
    if row.permissions is not None:
        console.print(line("  permissions: ", ", ".join(row.permissions) or "none"), soft_wrap=True)
    for permission, scope in row.coverage or ():
        answer = (f"covered by {scope}", "green") if scope is not None else ("no scope covers it", "yellow")
        console.print(line(f"  {permission}: ", answer), soft_wrap=True)
    if row.is_cut:
        console.print(
            line(("  a list of this snapshot is cut, so permissions and scopes are incomplete", "yellow")),
            soft_wrap=True,
        )


def _key(row: ExplainedRow) -> str:
    key = row.event.request_key
    if row.is_ambiguous:
        return "ambiguous"
    if key is None:
        return "none"
    name = "" if key.name is None else f" ({key.name})"
    known = "" if key.scopes is not None else ", scopes unknown"
    return f"{key.id}{name}, recorded {row.detail or 'without detail'}{known}"


def _choice(choice: Choice, is_about_a_key: bool) -> list[str]:
    skipped = [f"  {_label(rule)} does not apply: {condition} does not match" for rule, condition in choice.skipped]
    if choice.rule is None:
        reason = "the row is about an API key" if is_about_a_key else "no rule applies"
        return [*skipped, f"  detail {choice.detail}: {reason}"]
    conditions = ", ".join(choice.rule.conditions)
    reason = f"{conditions} match" if conditions else "it has no conditions"
    detail = "full for the first row of a snapshot, else minimal" if choice.detail == ON_CHANGE else choice.detail
    return [*skipped, f"  {_label(choice.rule)} decides: {detail}, because {reason}"]


def _label(rule: Rule) -> str:
    return rule.place if rule.name is None else f"{rule.place} ({rule.name})"
