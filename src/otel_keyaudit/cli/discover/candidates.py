"""Rank the likely targets of all processes, and write their target strings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from otel_keyaudit.presets import _registry

_NO_AUDIT_LOGS: Final = frozenset({"celery", "executors", "logging", "loguru", "structlog", "threads"})
"""Presets whose functions are not specific to audit logs."""


class Candidate(NamedTuple):
    """One likely target.

    Attributes:
        kind: ``auth`` or ``audit``.
        target: The target string.
        score: The likelihood; higher is likelier.
        members: Names and types: of the key's members, or of the writer's parameters.
        returns: Class of the returned key; empty for an audit target.
        classes: Paths of this class and its bases.
        is_own: Whether it is a function of the service, not of a library or a cache, that found the key itself.
    """

    kind: str
    target: str
    score: int
    members: dict[str, str]
    returns: str = ""
    classes: tuple[str, ...] = ()
    is_own: bool = False

    def is_known_to(self, preset: str) -> bool:
        """Return whether a preset knows the class of the key, so that it observes the same keys."""
        return not _registry.preset(preset).key_types.keys().isdisjoint(self.classes)


def rank(records: Iterable[dict[str, Any]]) -> list[Candidate]:
    """Return the distinct candidates of all processes: by kind, the most likely first."""
    best: dict[tuple[str, str], Candidate] = {}
    for record in records:
        for kind, describe in (("auth", _auth), ("audit", _audit)):
            for found in record.get(kind, ()):
                candidate = describe(found)
                known = best.get((kind, found["path"]))
                if known is None or known.score < candidate.score:
                    best[kind, found["path"]] = candidate
    return sorted(best.values(), key=lambda one: (one.kind != "auth", -one.score, one.target))


def preset_paths() -> dict[str, list[str]]:
    """Map each function of an installed preset to the names of its presets."""
    found: dict[str, list[str]] = {}
    for name, preset in _registry.presets().items():
        if name not in _NO_AUDIT_LOGS and preset.missing_requirement() is None:
            for target in preset.installed_targets():
                found.setdefault(target.path, []).append(name)
    return found


def fitting_presets(
    records: Iterable[dict[str, Any]], candidates: Iterable[Candidate], paths: Mapping[str, list[str]]
) -> list[str]:
    """Return the presets for the libraries that the service uses.

    A preset fits if it knows the class of the most likely key and one of its functions was called, or if the service
    wrote a model of its library. Two functions that authenticate would make each request ambiguous, so a preset that
    authenticates fits in no other case, unless there is no candidate for authentication and one of its functions was
    called.
    """
    records = list(records)
    packages = {package.replace("_", "") for record in records for package in record["packages"]}
    called = {name for record in records for path in record["called"] for name in paths[path]}
    best = next((candidate for candidate in candidates if candidate.kind == "auth"), None)
    found = called if best is None else {name for name in called if best.is_known_to(name)}
    for name in {name for names in paths.values() for name in names} - found:
        if name.replace("-", "") in packages and (best is None or not _authenticates(name)):
            found.add(name)
    return sorted(name for name in found if not any(_includes(other, name) for other in found - {name}))


def kinds_of(candidates: Iterable[Candidate], presets: Iterable[str]) -> set[str]:
    """Return the kinds of the candidates and of the targets of presets."""
    targets = (target for name in presets for target in _registry.preset(name).targets)
    return {one.kind for one in candidates} | {one.kind for one in targets}


def _includes(preset: str, other: str) -> bool:
    """Check whether a preset has all targets of another one, and more."""
    mine, others = ({target.path for target in _registry.preset(name).targets} for name in (preset, other))
    return mine > others


def _authenticates(preset: str) -> bool:
    return any(target.kind == "auth" for target in _registry.preset(preset).targets)


def _auth(found: dict[str, Any]) -> Candidate:
    fields = found["fields"]
    if any(_registry.key_type(name) is not None for name in found["classes"]):  # a preset knows the fields of the key
        fields = {field: source for field, source in fields.items() if source.startswith("return")}
    if found["key"] != "return":
        fields = {"key": found["key"], **fields}
    target = _target(found["path"], fields)
    classes, is_own = tuple(found["classes"]), found.get("is_own", False)
    return Candidate("auth", target, found["score"], found["members"], found["returns"], classes, is_own)


def _audit(found: dict[str, Any]) -> Candidate:
    fields = {} if found["place"] == "args.additional_fields" else {"fields": found["place"]}
    fields |= found["events"]
    return Candidate("audit", _target(found["path"], fields), found["score"], found["members"])


def _target(path: str, fields: dict[str, str]) -> str:
    return path + ("?" + "&".join(f"{field}={source}" for field, source in fields.items()) if fields else "")
