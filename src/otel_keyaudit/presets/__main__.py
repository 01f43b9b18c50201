"""Prints the table of all presets: what ``python -m otel_keyaudit.presets`` does, and ``docs/presets.md`` holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from otel_keyaudit.presets._registry import presets

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
## An audit log of your own

What is yours alone has a name that no preset can know; a target says it. A model that is an audit log, in SQLAlchemy
(`before_insert` stands for the event of that name, which gets the row as `target`) and in Django:

```
OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.models:AuditLog.before_insert?fields=args.target.details&action=args.target.action'
OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.models:AuditLog._save_table?fields=self.details&action=self.action&when=self._state.adding'
```

`details` is a column that holds JSON. Rows that are inserted in bulk, past the model's objects, are not seen.
A logger whose name does not say that it is one for audit events:

```
OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='logging:Logger.makeRecord?fields=args.extra&when=args.name|is:journal.*'
```

## FastAPI: your own dependency

There is no preset for FastAPI itself. `APIKeyHeader`, `HTTPBearer` and the other classes of `fastapi.security` return
the secret itself, before anybody has checked it; `SecurityScopes` tells what a route asks for, not what a key may do.
What knows the key is the dependency of yours that takes the secret and returns who it is:

```python
async def verify_api_key(key: str | None = Depends(APIKeyHeader(name="X-API-Key", auto_error=False))) -> ApiKeyRow:
    row = None if key is None else await find(key)
    if row is None:
        raise HTTPException(401)
    return row
```

```
OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS='shop.security:verify_api_key?when=args.key'
```

It may be `async` or not, may `yield` the key, and is found wherever a `Depends` or a `Security` holds it, also in an
application that is built already. An `HTTPException` is a denial. `when=args.key` passes by a request that presents
nothing, where the dependency raises for it as for a wrong key; a dependency that returns `None` needs none.

## A preset of your own

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
