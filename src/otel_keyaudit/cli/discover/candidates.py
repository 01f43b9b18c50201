"""Rank the likely targets of all processes, and write their target strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Candidate(NamedTuple):
    """One likely target.

    Attributes:
        kind: ``auth`` or ``audit``.
        target: The target string.
        score: The likelihood; higher is likelier.
        members: Names and types: of the key's members, or of the writer's parameters.
        returns: Class of the returned key; empty for an audit target.
    """

    kind: str
    target: str
    score: int
    members: dict[str, str]
    returns: str = ""


def rank(records: Iterable[dict[str, Any]]) -> list[Candidate]:
    """Return the candidates, those of each kind in the order of their likelihood, each once."""
    best: dict[tuple[str, str], Candidate] = {}
    for record in records:
        for kind, describe in (("auth", _auth), ("audit", _audit)):
            for found in record.get(kind, ()):
                candidate = describe(found)
                known = best.get((kind, found["path"]))
                if known is None or known.score < candidate.score:
                    best[kind, found["path"]] = candidate
    return sorted(best.values(), key=lambda one: (one.kind != "auth", -one.score, one.target))


def _auth(found: dict[str, Any]) -> Candidate:
    fields = dict(found["fields"]) if found["key"] == "return" else {"key": found["key"], **found["fields"]}
    for field in ("scopes", "allow_list"):
        name = fields.get(field, field)
        if found["types"].get(name) == "str":
            fields[field] = f"{name}|split"
    return Candidate("auth", _target(found["path"], fields), found["score"], found["members"], found["returns"])


def _audit(found: dict[str, Any]) -> Candidate:
    fields = {} if found["place"] == "args.additional_fields" else {"fields": found["place"]}
    fields |= found["events"]
    return Candidate("audit", _target(found["path"], fields), found["score"], found["members"])


def _target(path: str, fields: dict[str, str]) -> str:
    return path + ("?" + "&".join(f"{field}={source}" for field, source in fields.items()) if fields else "")
