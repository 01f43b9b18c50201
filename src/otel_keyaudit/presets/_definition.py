"""Define a preset: ready-made targets for a library, as data."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from otel_keyaudit.request.workers.propagation import HandoverPoint
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuditTarget, AuthzTarget

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


class SpanOnlyTarget(AuditTarget):
    """A function that writes an audit row without additional fields. Its writes only have spans and are counted."""

    has_fields = False


class DecidedTarget(AuthzTarget):
    """A function that a library calls after its check, such as one that sends the refusal.

    The decision is recorded before the function runs, because a server span may end when the response has been sent.
    """

    is_decided = True


class PartTarget(AuthzTarget):
    """A function that answers a part of a check. Outside of a check it decides nothing, whatever it answers.

    A library may call it for another purpose, too, such as a list of the components that a request may see.
    """

    is_part = True


@dataclass(frozen=True)
class Preset:
    """The targets for a library.

    Attributes:
        library: Name of the distribution in the package index, or ``Python``.
        oldest: The oldest supported release.
        former_library: An earlier name of the distribution.
        records: The recorded values, for the documentation.
        never: The values that are never read, for the documentation.
        targets: The library's functions that authenticate, decide or write audit rows.
        optional_targets: Targets that need another distribution, a newer or an older release, such as ``Flask``,
            ``structlog 25.1`` or ``Django <6``. Without it they are left out.
        key_types: The key types of the library by ``module:Class``. They apply to all targets, even without the preset.
        handover_points: Hooks that carry keys into jobs.
    """

    library: str
    oldest: str
    records: str
    never: str
    targets: tuple[Target, ...]
    optional_targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    key_types: Mapping[str, KeyType] = field(default_factory=dict)
    handover_points: tuple[HandoverPoint, ...] = ()
    former_library: str = ""

    def missing_requirement(self) -> str | None:
        """Explain why the preset cannot work in this environment; return ``None`` if it can."""
        found = platform.python_version() if self.library == "Python" else _installed(self.library, self.former_library)
        if found is None:
            return f"it needs {self.library} {self.oldest} or newer, which is not installed"
        if _release(found) < _release(self.oldest):
            return f"it needs {self.library} {self.oldest} or newer; found is {found}"
        return None

    def installed_targets(self) -> tuple[Target, ...]:
        """Return the targets whose requirements are met."""
        optional = (targets for requirement, targets in self.optional_targets.items() if _is_met(requirement))
        return sum(optional, self.targets)


def never(_: Call) -> bool:
    """Return ``False``, as ``denied`` of a function whose result denies: its exceptions are errors, whatever they are.

    A policy may ask another service, whose answer 403 or 404 raises an exception with this status.
    """
    return False


def _is_met(requirement: str) -> bool:
    """Return whether a distribution is installed, in a release that is new or old enough."""
    library, _, release = requirement.partition(" ")
    found = _installed(library)
    if found is None:
        return False
    is_older = _release(found) < _release(release)
    return is_older if release.startswith("<") else not is_older


def _installed(*names: str) -> str | None:
    """Return the installed version of the first of several distributions, ``None`` if none is installed."""
    for name in filter(None, names):
        with suppress(PackageNotFoundError):
            return version(name)
    return None


def _release(string: str) -> list[int]:
    """Return the numbers of a version's release, without trailing zeros."""
    match = _RELEASE.search(string)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
