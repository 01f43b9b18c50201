"""Rows of Django models in real databases, in a process of its own because Django is configured once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from integration.rows.conftest import Database
from support.servers.postgresql import HOST

PROGRAM = """
import json
import sys
import types

import django
from django.conf import settings
from django.db import connection, models

settings.configure(
    INSTALLED_APPS=[], LOGGING_CONFIG=None,
    DATABASES={"default": json.loads(sys.argv[1])},
)
django.setup()
shop = types.ModuleType("shop")
sys.modules["shop"] = shop

class LogManager(models.Manager):
    def record(self, **values):
        return self.create(**values)

def model(name, field):
    meta = type("Meta", (), {"app_label": "shop"})
    members = {"__module__": "shop", "Meta": meta, "extra": field, "log": LogManager(), "objects": models.Manager()}
    made = type(name, (models.Model,), members)
    setattr(shop, name, made)
    return made

MODELS = [
    model("Text", models.TextField(null=True)), model("Char", models.CharField(max_length=5000, null=True)),
    model("Json", models.JSONField(null=True)), model("Binary", models.BinaryField(null=True)),
]
shop.LogManager = LogManager
shop.write = lambda row: row.save()
with connection.schema_editor() as editor:
    for made in MODELS:
        editor.create_model(made)

from otel_keyaudit import ApiKey, KeyAuditInstrumentor, use_key
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

provider = TracerProvider()
KeyAuditInstrumentor().instrument(
    audit_targets=[
        "shop:LogManager.record?fields=args.extra",
        "shop:Text.save?fields=self.extra&when=self._state.adding",
        "django.db.models.base:Model.save_base?fields=self.extra",
    ],
    tracer_provider=provider,
)

def stored(made):
    with connection.cursor() as cursor:
        cursor.execute(f"select extra from {made._meta.db_table}")
        return [bytes(value).decode() if isinstance(value, (bytes, memoryview)) else value for (value,) in cursor]

found = {}
with provider.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER), use_key(ApiKey("k_1")):
    for made in MODELS:
        row = made()
        row.save()
        row.save()
        made.log.record()
        again = made.objects.get(pk=row.pk)
        again.save()
        found[made.__name__] = stored(made)
print(json.dumps(found))
"""


def test_every_column_receives_its_kind(database: Database, tmp_path: Path) -> None:
    """Rows saved by the object, by a manager, or again after loading receive the kind of their column."""
    pytest.importorskip("django")
    settings: dict[str, object] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if database.port is not None:
        settings = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres"}
        settings |= {"HOST": HOST, "PORT": database.port}
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    command = [sys.executable, str(program), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout)
    assert {name: [list(json.loads(row)) for row in rows] for name, rows in found.items()} == dict.fromkeys(
        ("Text", "Char", "Json", "Binary"), [["request_api_key"]] * 2
    )
    assert done.stderr == ""
