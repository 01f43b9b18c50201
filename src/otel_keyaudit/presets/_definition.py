"""Ready-made targets for a library: what a preset is, and whether its library is there."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from otel_keyaudit.request.propagation import Carrier
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuditTarget, Target

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


class SpanOnlyTarget(AuditTarget):
    """A function that writes an audit row without a place for a key: the write is shown on spans and counted."""

    has_fields = False


@dataclass(frozen=True)
class Preset:
    """What there is to know about a library, as data.

    Attributes:
        library: Its distribution, as its package index knows it; or ``Python``.
        oldest: The oldest release for which the targets are right.
        records: What is recorded, for the documentation.
        never: What is never touched, for the documentation.
        targets: Its functions that authenticate or write audit rows.
        key_types: Its classes of key objects, by ``module:Class``; known to every target, also without the preset.
        carriers: Where it hands jobs over.
    """

    library: str
    oldest: str
    records: str
    never: str
    targets: tuple[Target, ...]
    key_types: Mapping[str, KeyType] = field(default_factory=dict)
    carriers: tuple[Carrier, ...] = ()

    def shortcoming(self) -> str | None:
        """Return why the preset cannot work here, ``None`` when it can."""
        try:
            found = platform.python_version() if self.library == "Python" else version(self.library)
        except PackageNotFoundError:
            return f"it needs {self.library} {self.oldest} or newer, which is not installed"
        if _release(found) < _release(self.oldest):
            return f"it needs {self.library} {self.oldest} or newer; found is {found}"
        return None


def _release(text: str) -> list[int]:
    """Return the release of a version, as numbers without the zeros at its end."""
    match = _RELEASE.search(text)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
