"""``otel-keyaudit discover``: the functions that authenticate and that write audit rows, by names and types."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CREDENTIAL = "s3cret-credential-of-k_1"
CANARY = "canary-value"

SERVICE = """
import asyncio, sys
import {module} as shop

async def app(scope, receive, send):
    await shop.handle(scope)

def request(headers):
    scope = {{"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}}
    asyncio.run(app(scope, None, None))

if __name__ == "__main__":
    request([])
    request([(b"host", b"localhost"), (b"{header}", b"{value}")])
"""

KEY = """
import functools, json
from types import SimpleNamespace

class Key:
    def __init__(self):
        self.id, self.name, self.scopes, self.allow_list = "k_1", "canary-value", ["a:read"], []
        self._private = "hidden"

def header(scope, name=b"x-api-key"):
    return dict(scope["headers"]).get(name, b"").decode()
"""
PLAIN = (
    KEY
    + """
def digest(raw): return hash(raw)
def find(hashed): return Key()
def verify(raw):
    if not raw:
        return None
    return find(digest(raw))
def record(action, resource_type, resource_id, additional_fields=None): return additional_fields
def helper(data): return SimpleNamespace(id=1, name="row")
async def handle(scope):
    verify(header(scope))
    helper({"x": 1})
    record("create", "workspace", "w_1", {"password": "canary-value"})
"""
)
ASYNC = (
    KEY
    + """
import asyncio
class Store:
    async def by_token(self, token):
        await asyncio.sleep(0)
        return Key() if token else None
class Auth:
    def __init__(self): self.store = Store()
    async def authenticate(self, request):
        await asyncio.sleep(0)
        key = await self.store.by_token(header(request.scope, b"authorization").removeprefix("Bearer "))
        request.key = key
        return key
class Hostile:
    def __init__(self): self.data = {}
    def __getattr__(self, name): return self.missing
    @property
    def __class__(self): raise RuntimeError("asked")
class Request:
    def __init__(self, scope): self.scope = scope
class AuditLog:
    async def write(self, event_type, details=None, object_id=None): await asyncio.sleep(0)
def look(hostile): return hostile
async def endpoint(request):
    look(Hostile())
    await Auth().authenticate(request)
    await AuditLog().write("create", {"a": 1})
    return SimpleNamespace(id="w_1", name="n")
async def handle(scope):
    await endpoint(Request(scope))
"""
)
FACTORY = (
    KEY
    + """
class Row(dict): pass
def require_scope(scope):
    def dependency(raw):
        yield {"jti": "t_1", "sub": "u_1", "permissions": "a:read b:read", "label": "x"}
    return dependency
check = require_scope("a:read")
def build_audit_event(action): return {"action": action, "details": {"a": 1}}
def publish(event): return None
async def handle(scope):
    for _ in check(header(scope)): pass
    publish(build_audit_event("create"))
"""
)
TUPLE = (
    KEY
    + """
class TokenAuthentication:
    def authenticate_credentials(self, key):
        return (SimpleNamespace(username="bob"), Key()) if key else None
def with_audit(view):
    @functools.wraps(view)
    def wrapper(*args, **kwargs): return view(*args, **kwargs)
    return wrapper
class Journal:
    @staticmethod
    @with_audit
    def add(entry): return None
async def handle(scope):
    TokenAuthentication().authenticate_credentials(header(scope))
    Journal.add(SimpleNamespace(action="create", metadata={}))
"""
)
LIBRARY = (
    KEY
    + """
import sys
from pathlib import Path
folder = Path(__file__).parent / "site-packages"
folder.mkdir(exist_ok=True)
(folder / "orm.py").write_text("def from_db(kind, values): return kind()")
sys.path.insert(0, str(folder))
import orm
def resolve(presented): return orm.from_db(Key, (presented,)) if presented else None
async def handle(scope):
    resolve(header(scope))
"""
)
NOTHING = (
    KEY
    + """
def helper(value): return SimpleNamespace(id=1)
async def handle(scope): helper(5)
"""
)


def discovered(
    folder: Path, source: str, header: str = "x-api-key", value: str = CREDENTIAL, *arguments: str
) -> tuple[int, str, str]:
    """Run the command on an application; return its status, its output and its standard error."""
    (folder / "shop.py").write_text(source, encoding="utf-8")
    service = SERVICE.format(module="shop", header=header, value=value)
    (folder / "service.py").write_text(service, encoding="utf-8")
    program = [sys.executable, "-m", "otel_keyaudit", "discover", *arguments, "--", sys.executable, "service.py"]
    environment = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "django,celery,flask,fastapi,starlette"}
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def targets(folder: Path, source: str, header: str = "x-api-key", value: str = CREDENTIAL) -> dict[str, list[str]]:
    """Return the targets of each kind, the likeliest first; no value of the application is in the output."""
    status, output, error = discovered(folder, source, header, value, "--json")
    assert status == 0, error
    document: Any = json.loads(output)
    assert document["format"] == "keyaudit-discover/1"
    assert CANARY not in output
    assert CREDENTIAL not in output
    assert "hidden" not in output
    return {kind: [one["target"] for one in document["targets"] if one["kind"] == kind] for kind in ("auth", "audit")}


@pytest.mark.parametrize(
    ("source", "header", "value", "auth", "audit"),
    [
        (PLAIN, "x-api-key", CREDENTIAL, "shop:verify", "shop:record"),
        (
            ASYNC, "authorization", f"Bearer {CREDENTIAL}", "shop:Store.by_token",
            "shop:AuditLog.write?fields=args.details&action=args.event_type&resource_id=args.object_id",
        ),
        (
            FACTORY, "x-api-key", CREDENTIAL,
            "shop:require_scope.<locals>.dependency?id=jti&name=label&scopes=permissions|split",
            "shop:build_audit_event?fields=return.details",
        ),
        (
            TUPLE, "x-api-key", CREDENTIAL, "shop:TokenAuthentication.authenticate_credentials?key=return[1]",
            "shop:Journal.add?fields=args.entry.metadata&action=args.entry.action",
        ),
    ],
    ids=["plain", "async", "factory", "tuple"],
)  # fmt: skip
def test_the_right_functions_come_first(
    tmp_path: Path, source: str, header: str, value: str, auth: str, audit: str
) -> None:
    """The innermost function that was given the credential and returned an id; the writer with its place."""
    found = targets(tmp_path, source, header, value)
    assert found["auth"][0] == auth
    assert found["audit"][0] == audit


def test_only_likely_functions_are_listed(tmp_path: Path) -> None:
    """A function that was not given the credential, and one without a place for fields, are no candidates."""
    assert targets(tmp_path, PLAIN) == {"auth": ["shop:verify"], "audit": ["shop:record"]}


def test_a_library_does_not_replace_the_service(tmp_path: Path) -> None:
    """An ORM also receives the credential, and returns the key; it comes after the function of the service."""
    found = targets(tmp_path, LIBRARY)
    assert found == {"auth": ["shop:resolve", "orm:from_db"], "audit": []}


def test_lines_for_people(tmp_path: Path) -> None:
    """Each target has its members with their types, and the lines to copy come last."""
    status, output, error = discovered(tmp_path, PLAIN)
    assert status == 0, error
    assert output.splitlines() == [
        "functions that authenticate, the likeliest first",
        "  shop:verify",
        "    returns Key: id: str, name: str, scopes: list[str], allow_list: list",
        "functions that write an audit row, the likeliest first",
        "  shop:record",
        "    parameters: action: str, resource_type: str, resource_id: str, additional_fields: dict",
        "export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS=shop:verify",
        "export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS=shop:record",
    ]


def test_nothing_found_is_exit_status_1(tmp_path: Path) -> None:
    """The output says that no such function was called."""
    status, output, _ = discovered(tmp_path, NOTHING)
    assert status == 1
    assert output.count("none was called") == 2
    assert "export" not in output


def test_without_a_command_the_use_is_wrong(tmp_path: Path) -> None:
    """One line says so."""
    program = [sys.executable, "-m", "otel_keyaudit", "discover"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
