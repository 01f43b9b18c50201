"""Prints the table of all presets: what ``python -m otel_keyaudit.presets`` does, and ``docs/presets.md`` holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from otel_keyaudit.presets import presets

_HEAD = """# Presets

<!-- made by: python -m otel_keyaudit.presets > docs/presets.md -->

A preset is a set of targets for a library, ready-made:

```
OTEL_PYTHON_KEYAUDIT_PRESETS=drf-api-key,auditlog
```

A library that is missing, or older than the one named here, is one warning (with `strict` an error), and everything
else goes on.
What is said here of a library's keys also holds without its preset, for a function of your own that returns such a key.

| preset | library | what it is for | recorded | never touched |
|---|---|---|---|---|
"""

_TAIL = """
A new preset is a module in `otel_keyaudit/presets` whose name is that of the preset, with a `PRESET` that says the same
things as a row above, and a test against the real library (`tests/presets`, `requirements/presets.in`) in which an
allowed, a denied and an anonymous request are sent. Then this page is made again.
"""


def table() -> str:
    """Return the page."""
    return _HEAD + "".join(_rows()) + _TAIL


def _rows() -> Iterator[str]:
    for name, one in presets().items():
        kinds = {{"auth": "authentication", "audit": "audit"}[target.kind] for target in one.targets}
        kinds |= {"jobs"} if one.carriers else set()
        library = f"{one.library} {one.oldest} or newer"
        yield f"| `{name}` | {library} | {' and '.join(sorted(kinds, reverse=True))} | {one.records} | {one.never} |\n"


if __name__ == "__main__":
    sys.stdout.write(table())
