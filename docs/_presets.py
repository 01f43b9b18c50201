"""Write docs/presets.md from the presets: `python docs/_presets.py`. A test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._registry import presets

PAGE = Path(__file__).with_name("presets.md")


@dataclass(frozen=True)
class Family:
    """A section of the page.

    Attributes:
        presets: The names of the presets, in the order of their descriptions.
        configuration: What to set for them, in Markdown. Tests read the `export` lines of each block.
    """

    presets: str
    configuration: str


def _authentication(preset: str) -> str:
    """Return the configuration of a preset that observes authentication."""
    return f"""
These presets observe authentication. Name the function that writes your audit rows, too:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='{preset}'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.audit:record'
```
"""


FAMILIES = {
    "Django": Family(
        presets="auditlog django-admin easy-audit field-audit pghistory simple-history wagtail drf drf-api-key"
        " drf-scoped-permissions drf-simple-apikey drf-token keysmith knox ninja ninja-api-key oauth-toolkit simplejwt"
        " tenant-apikeys",
        configuration="""
Choose a preset that observes authentication and a preset that observes audit rows:

```sh
export DJANGO_SETTINGS_MODULE=shop.settings
export OTEL_PYTHON_KEYAUDIT_PRESETS='drf-api-key,auditlog'
```

If your audit log is a model of your own, name it in place of the second preset:

```sh
export DJANGO_SETTINGS_MODULE=shop.settings
export OTEL_PYTHON_KEYAUDIT_PRESETS='oauth-toolkit'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.models:AuditLog._save_table?fields=self.details&when=self._state.adding'
```
""",
    ),
    "FastAPI and Starlette": Family(
        presets="apikeyauth authx fastapi-users keygate keyshield starlette",
        configuration=_authentication("keyshield")
        + """
If your audit log is a model of SQLAlchemy or SQLModel, name its event:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='starlette'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.tables:AuditLog.before_insert?fields=args.target.details'
```

There is no preset for FastAPI itself, because `APIKeyHeader` and the other classes of `fastapi.security` return the
credential before it is checked. Name [your own dependency](how-to/find-your-functions.md#functions-that-authenticate).
""",
    ),
    "Flask": Family(
        presets="flask-httpauth flask-jwt-extended",
        configuration=_authentication("flask-jwt-extended"),
    ),
    "Litestar": Family(
        presets="litestar litestar-api-auth litestar-jwt",
        configuration=_authentication("litestar")
        + """
`litestar` is for middleware of your own, and includes `litestar-jwt`. For server spans, add the instrumentation of ASGI
[as middleware](how-to/frameworks.md).
""",
    ),
    "MCP": Family(
        presets="fastmcp mcp",
        configuration="""
These presets observe authentication over HTTP. Name the function that your tools call to write audit rows, too:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='fastmcp'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.audit:record'
```

`mcp` is for the SDK alone. `fastmcp` includes it.
""",
    ),
    "Tokens, policies and services": Family(
        presets="authlib casbin pyjwt unkey",
        configuration="""
These presets fit any framework. `casbin` observes decisions, the others observe authentication. Name the function that
writes your audit rows, too:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='pyjwt,casbin'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.audit:record'
```
""",
    ),
    "SQLAlchemy and PostgreSQL": Family(
        presets="continuum postgresql-audit",
        configuration="""
These presets observe audit rows. Name the function that authenticates, or add a preset for it:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='continuum'
export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS='shop.security:verify_api_key'
```

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='flask-jwt-extended,postgresql-audit'
```
""",
    ),
    "Logging": Family(
        presets="logging loguru structlog",
        configuration="""
For an audit log that consists of log events. Name the function that authenticates, or add a preset for it:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='structlog'
export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS='shop.security:verify_api_key'
```

Only loggers with a part `audit` in their name, and events that are marked as described below, are observed. For others,
[use a target](how-to/find-your-functions.md#a-logger).
""",
    ),
    "Jobs": Family(
        presets="celery executors threads",
        configuration="""
These presets observe no function. Add them to the configuration of your service:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='executors'
export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS='shop.security:verify_api_key'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.audit:record'
```

`celery` needs the same lines in the process that sends tasks and in the worker:

```sh
export OTEL_PYTHON_KEYAUDIT_PRESETS='celery'
export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS='shop.security:verify_api_key'
export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS='shop.audit:record'
```

[Workers and queues](how-to/workers.md) tells which preset to choose.
""",
    ),
}
"""The sections of the page. A test checks that each preset is in one."""

KINDS = {
    "auth": "authentication",
    "authz": "decisions",
    "audit": "audit rows",
    "subject": "stored keys",
}

HEAD = """# Presets

<!-- written by: python docs/_presets.py -->

A preset is a set of ready-made targets for a library. If you name a preset, you need no target strings for it.

Each section begins with a configuration. Replace `shop` with your package, set the variables, and start the service
under `opentelemetry-instrument`, as in [Start](start.md#run-it). A preset for audit rows needs a preset or a target for
authentication beside it, and the other way round.

`otel-keyaudit presets` lists all presets and shows which fit your installed packages. If a library is missing or too
old, its preset is skipped with one warning. With `strict`, this is an error.

Under *Recorded*, `id`: `prefix` means that the library's `prefix` is recorded as the `id` of the key.

The fields of a library's key objects are known even without its preset. So if a function of your own returns such a
key, its target needs no fields.
"""


def page() -> str:
    """Generate the page."""
    found = presets()
    return HEAD + "".join(_section(name, family, found) for name, family in FAMILIES.items())


def _section(name: str, family: Family, found: Mapping[str, Preset]) -> str:
    return f"\n## {name}\n{family.configuration}" + "".join(
        _lines(preset, found[preset]) for preset in family.presets.split()
    )


def _lines(name: str, preset: Preset) -> str:
    targets = sum(preset.optional_targets.values(), preset.targets)
    kinds = dict.fromkeys(KINDS[target.kind] for target in targets)
    purpose = f"Observes {' and '.join(kinds)}" if kinds else "Carries the key of a request into jobs"
    return f"""
### `{name}`

{purpose}. Needs {preset.library} {preset.oldest} or newer.

* **Recorded:** {preset.records}.
* **Never read:** {preset.never}.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
