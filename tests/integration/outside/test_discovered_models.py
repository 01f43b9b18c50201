"""``otel-keyaudit discover`` finds the models of audit logs of each ORM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.environment.installed import need_package

SERVICE = """
import asyncio
class Key: id, name = "k_1", "release-bot"
def verify(raw): return Key()
async def application(scope):
    verify(scope["headers"][0][1].decode())
    await write()
if __name__ == "__main__":
    asyncio.run(application({"type": "http", "headers": [(b"x-api-key", b"s3cret-credential")]}))
"""
PEEWEE = """
import peewee
class AuditLog(peewee.Model):
    class Meta: database = peewee.SqliteDatabase(":memory:")
    action, details = peewee.CharField(), peewee.TextField()
async def write():
    AuditLog.create_table()
    AuditLog.create(action="create", details="{}")
"""
TORTOISE = """
from tortoise import Tortoise, fields
from tortoise.models import Model
class AuditLog(Model):
    id, action, details = fields.IntField(primary_key=True), fields.CharField(9), fields.JSONField()
async def write():
    await Tortoise.init(db_url="sqlite://:memory:", modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    await AuditLog.create(action="create", details={})
    await Tortoise.close_connections()
"""
PICCOLO = """
from piccolo.columns import JSON, Varchar
from piccolo.table import Table
class AuditLog(Table):
    action, details = Varchar(), JSON()
async def write(): AuditLog(action="create", details={})
"""


@pytest.mark.parametrize(
    ("package", "models", "target"),
    [
        ("peewee", PEEWEE, "save?fields=self.details&action=self.action"),
        ("tortoise", TORTOISE, "save?fields=self.details&action=self.action&when=self._saved_in_db|if:%2Cnew"),
        ("piccolo", PICCOLO, "insert?fields=args.rows[].details&action=args.rows[].action"),
    ],
)
def test_the_method_that_inserts_a_row_is_found(tmp_path: Path, package: str, models: str, target: str) -> None:
    """The command proposes the target that the documentation names for the ORM."""
    need_package(package)
    (tmp_path / "service.py").write_text(models + SERVICE, encoding="utf-8")
    command = [sys.executable, "-m", "otel_keyaudit", "discover", "--", sys.executable, "service.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert f"  service:AuditLog.{target}" in done.stdout.splitlines(), done.stderr
