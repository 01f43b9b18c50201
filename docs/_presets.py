"""Write docs/presets.md from the presets: `python docs/_presets.py`. A test compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._registry import presets

PAGE = Path(__file__).with_name("presets.md")

FAMILIES = {
    "Django": "auditlog django-admin easy-audit field-audit pghistory simple-history wagtail drf drf-api-key"
    " drf-scoped-permissions drf-simple-apikey drf-token keysmith knox ninja ninja-api-key oauth-toolkit simplejwt"
    " tenant-apikeys",
    "FastAPI and Starlette": "apikeyauth authx fastapi-users keygate keyshield starlette",
    "Flask": "flask-httpauth flask-jwt-extended",
    "Litestar": "litestar litestar-api-auth litestar-jwt",
    "MCP": "fastmcp mcp",
    "Tokens, policies and services": "authlib casbin pyjwt unkey",
    "SQLAlchemy and PostgreSQL": "continuum postgresql-audit",
    "Logging": "logging loguru structlog",
    "Jobs": "celery executors threads",
}
"""The sections of the page with their presets. A preset without a family is listed under *Others*."""

KINDS = {
    "auth": "authentication",
    "authz": "decisions",
    "audit": "audit rows",
    "subject": "stored keys",
}

HEAD = """# Presets

<!-- written by: python docs/_presets.py -->

A preset is a set of ready-made targets for a library. If you name a preset, you need no target strings for it:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='drf-api-key,auditlog'
```

`otel-keyaudit presets` lists all presets and shows which fit your installed packages. If a library is missing or too
old, its preset is skipped with one warning. With `strict`, this is an error.

The fields of a library's key objects are known even without its preset. So if a function of your own returns such a
key, its target needs no fields.

There is no preset for FastAPI itself, because `APIKeyHeader` and the other classes of `fastapi.security` return the
credential before it is checked. Name [your own dependency](how-to/find-your-functions.md#functions-that-authenticate).
"""


def page() -> str:
    """Generate the page."""
    found = dict(presets())
    sections = {family: [name for name in names.split() if name in found] for family, names in FAMILIES.items()}
    listed = {name for names in sections.values() for name in names}
    sections["Others"] = [name for name in found if name not in listed]
    return HEAD + "".join(_section(family, {name: found[name] for name in names}) for family, names in sections.items())


def _section(family: str, members: dict[str, Preset]) -> str:
    return f"\n## {family}\n" + "".join(_lines(members)) if members else ""


def _lines(members: dict[str, Preset]) -> Iterator[str]:
    for name, preset in members.items():
        targets = sum(preset.optional_targets.values(), preset.targets)
        kinds = dict.fromkeys(KINDS[target.kind] for target in targets)
        purpose = f"Observes {' and '.join(kinds)}" if kinds else "Carries the key of a request into jobs"
        yield f"\n### `{name}`\n\n"
        yield f"{purpose}. Needs {preset.library} {preset.oldest} or newer.\n\n"
        yield f"* **Recorded:** {preset.records}.\n"
        yield f"* **Never read:** {preset.never}.\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
