"""``otel-keyaudit discover`` finds the functions that authenticate and write audit rows, by names and types."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import AuditTarget, AuthTarget
from otel_keyaudit.targets.base_target import parse_target

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
MIDDLEWARE = (
    KEY
    + """
class Request:
    def __init__(self, scope):
        self.scope = scope
def look_up(hashed): return Key() if hashed else None
class KeyMiddleware:
    async def dispatch(self, request, call_next):
        request.scope.setdefault("state", {})["pool"] = SimpleNamespace(id=1)
        hashed = hash(header(request.scope))
        request.scope["state"]["api_key"] = look_up(hashed)
        return await call_next(request)
def current_key(request): return request.scope["state"]["api_key"]
async def endpoint(request): return None if current_key(request) is None else "answer"
async def handle(scope):
    await KeyMiddleware().dispatch(Request(scope), endpoint)
"""
)
BACKEND = (
    KEY
    + """
class HTTPConnection:
    def __init__(self, scope):
        self.scope = scope
class AuthCredentials:
    def __init__(self, scopes): self.scopes = scopes
class User:
    def __init__(self, username): self.username = username
class KeyBackend:
    async def authenticate(self, conn):
        token = header(conn.scope)
        return (AuthCredentials(["a:read"]), User("bob")) if token else None
async def handle(scope):
    await KeyBackend().authenticate(HTTPConnection(scope))
"""
)
NESTED = (
    KEY
    + """
class ApiKeyParts:
    def __init__(self, raw): self.id, self.part = raw[:4], raw[4:]
class Limit:
    def __init__(self): self.id, self.name = 7, "per minute"
class AuthContext:
    def __init__(self, key): self.user, self.api_key = SimpleNamespace(id="u_1"), key
def decode_api_key(raw): return ApiKeyParts(raw)
def fetch_and_verify(key_id, part): return Key()
def rate_limit_of(raw): return Limit()
def authenticate_api_key(raw):
    rate_limit_of(raw)
    parts = decode_api_key(raw)
    return AuthContext(fetch_and_verify(parts.id, parts.part))
def current_context(raw):
    return authenticate_api_key(raw)
async def handle(scope):
    raw = header(scope)
    if raw:
        current_context(raw)
"""
)
CACHED = (
    KEY
    + """
class Cache:
    def __init__(self): self.stored = {}
    def get(self, name): return self.stored.get(name)
    def set(self, name, value): self.stored[name] = value
cache = Cache()
def look_up(hashed): return Key()
def verify(raw):
    found = cache.get(f"key:{raw}")
    if found is None:
        found = look_up(hash(raw))
        cache.set(f"key:{raw}", found)
    return found
async def handle(scope):
    raw = header(scope)
    if raw:
        verify(raw)
        verify(raw)
"""
)
SECRET_ID = (
    KEY
    + """
from enum import Enum
class Scope(Enum):
    READ = "a:read"
class Row:
    def __init__(self, raw): self.id, self.user_id, self.scopes, self.label = raw, b"u_1", [Scope.READ], "ci"
def verify(raw): return Row(raw) if raw else None
async def handle(scope):
    verify(header(scope))
"""
)
BASIC = (
    KEY
    + """
from base64 import b64decode
class User:
    def __init__(self): self.id, self.name, self.roles = 1, "bob", ["admin"]
def find_user(name): return User()
def authenticate(name, password): return find_user(name)
async def handle(scope):
    raw = header(scope, b"authorization")
    if raw:
        name, _, password = b64decode(raw.removeprefix("Basic ")).decode().partition(":")
        authenticate(name, password)
"""
)
STREAM = (
    KEY
    + """
async def current_key(raw):
    yield {"id": "t_1", "scopes": {"a:read": True}, "name": "x"}
async def handle(scope):
    raw = header(scope)
    if raw:
        async for _ in current_key(raw): pass
"""
)
LAYERS = (
    KEY
    + """
class Entry:
    def __init__(self, action, resource_type, details):
        self.action, self.resource_type, self.details = action, resource_type, details
class Repository:
    def add_audit(self, entry): return entry
class AuditService:
    def record(self, action, resource_type, details=None):
        redact_audit(details)
        return Repository().add_audit(Entry(action, resource_type, details))
def redact_audit(details): return dict(details)
def emit_event(event_name, payload): return None
def get_audit(filters=None, context=None): return None
class Response:
    def __init__(self): self.status_code, self.info = 200, {}
def log_audit(response): return None
async def handle(scope):
    emit_event("created", {"a": 1})
    AuditService().record("create", "workspace", {"a": 1})
    get_audit({"a": 1})
    log_audit(Response())
    emit_event("sent", {"a": 1})
"""
)
KEYWORDS = (
    KEY
    + """
def audit(verb, **details): return None
async def handle(scope):
    audit("create", a=1)
"""
)
ROWS = (
    KEY
    + """
class AuditStore:
    def append(self, event): return None
    def insert(self, row): return None
async def handle(scope):
    AuditStore().append({"action": "create", "extra": {"a": 1}})
    AuditStore().insert({"verb": "create", "object_id": "w_1"})
"""
)
OTHER_NAMES = (
    KEY
    + """
from dataclasses import dataclass
from typing import NamedTuple
@dataclass(frozen=True)
class Caller:
    credential_id: str
    label: str
    grants: frozenset
class Client(NamedTuple):
    ident: str
    owner: str
@dataclass
class AuditMessage:
    type: str
    data: dict
@dataclass
class Entry:
    operation: str
    attrs: dict
class Guard:
    def __call__(self, raw): return self.identify(raw)
    def identify(self, raw): return Caller("c_1", "canary-value", frozenset(["a:read"])) if raw else None
class Clients:
    def load(self, raw): return Client("k_1", "ann") if raw else None
class Outbox:
    def publish(self, message): return None
class Journal:
    def append(self, entry): return None
class AuditMiddleware:
    async def send(self, message): return None
class Trail:
    def record_all(self, records): return None
def audit_event(verb, **kw): return None
def on_audit(sender, **kwargs): return None
def write_log(who, what, doc): return None
def add_audit_entry(request, event, diff): return None
async def handle(scope):
    Guard()(header(scope))
    Clients().load(header(scope))
    Outbox().publish(AuditMessage("created", {"a": 1}))
    Journal().append(Entry("create", {"a": 1}))
    await AuditMiddleware().send({"type": "http.response.start", "status": 200, "headers": [], "extra": {}})
    Trail().record_all([{"action": "create", "details": {"a": 1}}])
    audit_event("created", a=1)
    on_audit("sender", signal=1)
    write_log("ann", "created", {"a": 1})
    add_audit_entry(scope, "created", {"a": [None, 1]})
"""
)
CAMEL = (
    KEY
    + """
from collections import UserDict
class Introspection(UserDict): pass
def introspect(raw):
    found = {"keyId": "k_1", "displayName": "canary-value", "allowedScopes": ["a:read"], "allowList": []}
    return Introspection(found) if raw else None
async def handle(scope):
    introspect(header(scope))
"""
)
REFERENCE = (
    KEY
    + """
class Account:
    def __init__(self): self.account_number, self.title, self.entitlements = "a-1", "canary-value", ["a:read"]
def verify_token(raw): return Account() if raw else None
async def handle(scope):
    verify_token(header(scope))
"""
)
FETCHED = (
    KEY
    + """
class Grant:
    def __init__(self, code): self.code = code
class QuerySet:
    def __init__(self, fetched): self._result_cache = fetched
class ServiceKey:
    def __init__(self):
        self.id, self.name, self._prefetched_objects_cache = 1, "canary-value", {"scopes": QuerySet([Grant("a:read")])}
    @property
    def scopes(self): raise RuntimeError("this would run SQL")
def authenticate(raw): return ServiceKey() if raw else None
async def handle(scope):
    authenticate(header(scope))
"""
)
DOCUMENT = (
    KEY
    + """
class ObjectId:
    __slots__ = ("__id",)
    def __init__(self): self.__id = b"canary-value"
def find_key(raw): return {"_id": ObjectId(), "label": "ci", "scopes": ["a:read"]} if raw else None
async def handle(scope):
    find_key(header(scope))
"""
)
KNOWN_CLASS = (
    KEY
    + """
from starlette.authentication import AuthCredentials, BaseUser
class ApiClient(BaseUser):
    def __init__(self): self.ident = "c_1"
class KeyBackend:
    async def authenticate(self, raw): return (AuthCredentials(["a:read"]), ApiClient()) if raw else None
async def handle(scope):
    await KeyBackend().authenticate(header(scope))
"""
)
ONLY_ID = (
    KEY
    + """
from uuid import UUID
def authorization(scope): return header(scope)
def hash_key(raw): return f"{hash(raw):x}"
def check_format(raw): return "v1"
def check_rate_limit(raw): return "5/minute"
def verify_signature(raw): return True
def resolve_session(raw): return "x" * 100
def look_up(raw): return "canary-value" if raw else None
class Guard:
    async def authenticate(self, raw): return look_up(raw)
def tenant_of(raw): return UUID(int=1)
def identify(scope):
    raw = header(scope)
    return tenant_of(raw) if raw else None
async def handle(scope):
    raw = authorization(scope)
    for function in (hash_key, check_format, check_rate_limit, verify_signature, resolve_session): function(raw)
    await Guard().authenticate(raw)
    identify(scope)
"""
)
ALIAS = (
    KEY
    + """
class KeyInfo:
    def __init__(self): self.token, self.key_alias, self.user_id, self.models = "5f1c", "canary-value", "u_1", ["m"]
def find_key(raw): return KeyInfo() if raw else None
async def handle(scope):
    find_key(header(scope))
"""
)
APPLICATIONS = (
    KEY
    + """
class AuditLog:
    def write(self, entry, *, extra=None): return None
class AuditMiddleware:
    async def __call__(self, scope, receive, send): AuditLog().write("entry")
class AuditApplication:
    def __call__(self, environ, start_response): AuditLog().write("entry")
async def handle(scope):
    await AuditMiddleware()({**scope, "asgi": {"version": "3.0"}, "path_params": {}}, None, None)
    AuditApplication()({"wsgi.version": (1, 0), "REQUEST_METHOD": "GET", "HTTP_X_CONTEXT": "", "type": "a"}, None)
"""
)
HOOK = (
    KEY
    + """
KEYS = {"s3cret-credential-of-k_1": {"id": "k_1", "name": "canary-value"}}
def actor_from_request(request):
    async def inner():
        raw = header(request)
        return next((actor for known, actor in KEYS.items() if known == raw), None)
    return inner
async def handle(scope):
    await actor_from_request(scope)()
"""
)
MODELS = (
    KEY
    + """
from sqlalchemy import JSON, Column, ForeignKey, Integer, String, create_engine
from sqlalchemy.orm import (
    DeclarativeBase, Mapped, MappedAsDataclass, Session, declarative_base, mapped_column, relationship,
)
Base = declarative_base()
class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)
    label = Column(String)
    roles = relationship("Role")
    @property
    def permissions(self): return ["a:read"]
class Role(Base):
    __tablename__ = "roles"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("users.id"))
class ChangeLog(Base):
    __tablename__ = "log_entries"
    id = Column(Integer, primary_key=True)
    activity_type = Column(String)
    data = Column(JSON)
    event_id = Column(ForeignKey("events.id"))
    event = relationship("Event")
class Event(Base):
    __tablename__ = "events"
    id = Column(Integer, primary_key=True)
    type = Column(String)
    data = Column(JSON)
class LogLevel(Base):
    __tablename__ = "levels"
    id = Column(Integer, primary_key=True)
    data = Column(JSON)
class DataBase(MappedAsDataclass, DeclarativeBase): pass
class AuditEntry(DataBase):
    __tablename__ = "audit_entries"
    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    verb: Mapped[str]
    details: Mapped[dict] = mapped_column(JSON, default_factory=dict)
engine = create_engine("sqlite://")
DataBase.metadata.create_all(engine)
Base.metadata.create_all(engine)
session = Session(engine)
session.add(User(id=1, label="canary-value"))
session.commit()
def load_api_user(raw):
    if raw:
        user = session.get(User, 1)
        session.expire(user)
        return user
class Exact:
    SUB = "-"
    def __init__(self, raw): self.label, self.raw = "canary-value", raw
def key_lookup(raw): return Exact(raw) if raw else None
async def handle(scope):
    key_lookup(header(scope))
    load_api_user(header(scope))
    session.add_all([ChangeLog(activity_type="create", data={}), Event(type="fair", data={}), LogLevel(data={})])
    session.add(AuditEntry(verb="create"))
    session.commit()
"""
)
DJANGO_ROWS = (
    KEY
    + """
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django import forms
from django.db import connection, models
class Action(models.Model):
    class Meta: app_label = "shop"
class LogEntry(models.Model):
    class Meta: app_label = "shop"
    action = models.ForeignKey(Action, null=True, on_delete=models.CASCADE)
    verb = models.TextField()
    details = models.JSONField()
class LogForm(forms.ModelForm):
    class Meta: model, fields = LogEntry, ["details"]
async def handle(scope):
    LogEntry(verb="create", details={}), LogForm()
"""
)
CHECK = (
    KEY
    + """
def check_api_key(client_id, raw, limit=5): return raw is not None
def is_valid_credential(raw): return raw is not None
def is_logged(username, raw): return raw is not None
async def handle(scope):
    raw = header(scope)
    check_api_key("canary-value", raw), is_valid_credential(raw), is_logged("canary-value", raw)
"""
)
STATEMENTS = (
    KEY  # noqa: S608 - nothing runs these statements
    + """
CHANGE = 'INSERT INTO "audit_log" (tool, details) VALUES (?, ?)'
def tool_called(tool, details): return CHANGE, json.dumps(details)
def tool_removed(tool, details): return "insert or ignore into main.audit_log values (?, ?)", json.dumps(details)
def create_order(number, payload): return "INSERT INTO orders VALUES (?)", CHANGE
def select_rows(tool, details): return "select * from audit_log"
async def handle(scope):
    for function in (tool_called, tool_removed, create_order, select_rows):
        function("hammer", {"a": 1})
"""
)
MESSAGES = (
    KEY
    + """
class DomainEvent:
    def __init__(self): self.verb, self.entity, self.entity_id, self.detail = "create", "order", "o_1", None
class Message:
    def __init__(self): self.type, self.detail = "create", {}
class AuditContext:
    def __init__(self): self.type, self.request_context, self.arguments_json = "request", object(), '["a"]'
def collect(event): return event
def receive(message): return message
class Middleware:
    def handle(self, context): return context
async def handle(scope):
    collect(DomainEvent()), receive(Message()), Middleware().handle(AuditContext())
"""
)
TABLES = (
    KEY
    + """
from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, insert
metadata = MetaData()
def table(name): return Table(name, metadata, Column("id", Integer), Column("verb", String), Column("changes", JSON))
orders, log = table("orders"), table("audit_log")
async def handle(scope):
    insert(orders).values(verb="create", changes={})
    log.insert().values(VALUES)
"""
)
CONTEXTS = (
    KEY
    + """
class Request:
    def __init__(self, scope): self.headers, self.ctx = {"x-api-key": header(scope)}, SimpleNamespace()
class Checker:
    def check(self, raw): return {"ok": bool(raw)}
    def load(self, request):
        self.check(request.headers["x-api-key"])
        request.ctx.api_key = Key()
async def handle(scope):
    Checker().load(Request(scope))
"""
)
CONTEXT_VARIABLE = (
    KEY
    + """
from contextvars import ContextVar
current, other = ContextVar("current", default=None), ContextVar("other", default=Key())
KEYS = {"s3cret-credential-of-k_1": Key()}
def view(): return current.get()
async def handle(scope):
    token = current.set(KEYS.get(header(scope)))
    try:
        view(), other.get()
    finally:
        current.reset(token)
"""
)
CLASS = (
    KEY
    + """
KEYS = {"s3cret-credential-of-k_1": Key()}
class Authenticated:
    def __init__(self, raw): self.settings, self.client = SimpleNamespace(), KEYS.get(raw)
class AuditEntry:
    def __init__(self, action, details): self.action, self.details = action, details
async def handle(scope):
    Authenticated(header(scope)), AuditEntry("create", {})
"""
)
KINDS = {
    "middleware": MIDDLEWARE, "backend": BACKEND, "nested": NESTED, "cached": CACHED, "secret_id": SECRET_ID,
    "basic": BASIC, "stream": STREAM, "layers": LAYERS, "keywords": KEYWORDS, "rows": ROWS,
    "other_names": OTHER_NAMES, "fetched": FETCHED, "known_class": KNOWN_CLASS,
    "camel": CAMEL, "reference": REFERENCE, "document": DOCUMENT,
    "only_id": ONLY_ID, "alias": ALIAS, "applications": APPLICATIONS, "hook": HOOK, "stored_rows": MODELS,
    "django_rows": DJANGO_ROWS, "check": CHECK,
    "statements": STATEMENTS, "messages": MESSAGES, "contexts": CONTEXTS,
    "context_variable": CONTEXT_VARIABLE, "class_": CLASS,
}  # fmt: skip
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


def run_json(folder: Path, service: str) -> Any:
    """Run the command on a service; return its document, which has no value of the application."""
    (folder / "service.py").write_text(service, encoding="utf-8")
    program = [sys.executable, "-m", "otel_keyaudit", "discover", "--json", "--", sys.executable, "service.py"]
    environment = {**os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "django,celery,flask,fastapi,starlette"}
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not any(text in done.stdout for text in (CANARY, CREDENTIAL, "hidden"))
    document = json.loads(done.stdout)
    assert document["format"] == "keyaudit-discover/1"
    for one in document["targets"]:
        parse_target({"auth": AuthTarget, "audit": AuditTarget}[one["kind"]], one["target"])  # raises if it is wrong
    return document


def targets(folder: Path, source: str, header: str = "x-api-key", value: str = CREDENTIAL) -> dict[str, list[str]]:
    """Return the targets of each kind, most likely first."""
    (folder / "shop.py").write_text(source, encoding="utf-8")
    document = run_json(folder, SERVICE.format(module="shop", header=header, value=value))
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
    """The innermost function that received the credential and returned an id comes first, then the writer."""
    found = targets(tmp_path, source, header, value)
    assert found["auth"][0] == auth
    assert found["audit"][0] == audit


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Run the command once for all kinds of functions; return the targets of each module, without its name."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, source in KINDS.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    basic = b64encode(f"bob:{CREDENTIAL}".encode()).decode()
    (folder / "shop.py").write_text(
        f"import importlib\nasync def handle(scope):\n    for name in {list(KINDS)}:\n"
        "        await importlib.import_module(name).handle(scope)\n",
        encoding="utf-8",
    )
    service = SERVICE.format(module="shop", header="x-api-key", value=CREDENTIAL)
    service += f"    request([(b'authorization', b'Basic {basic}')])\n"
    found: dict[str, dict[str, list[str]]] = {name: {"auth": [], "audit": []} for name in KINDS}
    for one in run_json(folder, service)["targets"]:
        module, _, rest = one["target"].partition(":")
        found[module][one["kind"]].append(rest)
    return found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("middleware", "KeyMiddleware.dispatch?key=args.request.state.api_key"),
        ("backend", "KeyBackend.authenticate?key=return[1]&id=username&scopes=return[0].scopes"),
        ("nested", "authenticate_api_key?key=return.api_key"),
        ("cached", "verify"),
        ("secret_id", "verify?id=user_id.hex()&name=label&scopes=scopes[].value"),
        ("basic", "authenticate?scopes=roles"),
        ("stream", "current_key?scopes=scopes|true_keys"),
        ("other_names", "Guard.identify?id=credential_id&name=label&scopes=grants"),
        ("fetched", "authenticate?scopes=scopes[].code"),
        ("camel", "introspect?id=keyId&name=displayName&scopes=allowedScopes&allow_list=allowList"),
        ("document", "find_key?id=_id|str&name=label"),
        ("reference", "verify_token?id=account_number&name=title&scopes=entitlements"),
        ("known_class", "KeyBackend.authenticate?key=return[1]&scopes=return[0].scopes"),
        ("hook", "actor_from_request.<locals>.inner"),
        ("alias", "find_key?id=user_id&name=key_alias"),
        ("contexts", "Checker.load?key=args.request.ctx.api_key"),
        ("context_variable", "handle?key=context_variable:current"),
        ("class_", "Authenticated.__init__?key=self.client"),
    ],
)
def test_kinds_of_authentication(kinds: dict[str, dict[str, list[str]]], kind: str, expected: str) -> None:
    """A key that is stored, nested, cached or streamed; parsers, caches and user look-ups do not come first."""
    assert kinds[kind]["auth"][0] == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "layers",
            [
                "AuditService.record?fields=args.details",
                (
                    "Repository.add_audit?fields=args.entry.details&action=args.entry.action"
                    "&resource_type=args.entry.resource_type"
                ),
                "emit_event?fields=args.payload&action=args.event_name",
            ],
        ),
        ("keywords", ["audit?fields=args.details&action=args.verb"]),
        ("class_", []),
        ("applications", ["AuditLog.write?fields=args.extra"]),
        (
            "rows",
            [
                "AuditStore.insert?fields=args.row&action=args.row.verb&resource_id=args.row.object_id",
                "AuditStore.append?fields=args.event.extra&action=args.event.action",
            ],
        ),
        (
            "stored_rows",
            [
                "AuditEntry.before_insert?fields=args.target.details&action=args.target.verb",
                "ChangeLog.before_insert?fields=args.target.data&action=args.target.activity_type",
            ],
        ),
        ("django_rows", ["LogEntry._save_table?fields=self.details&action=self.verb&when=self._state.adding"]),
        ("statements", ["tool_called?fields=args.details", "tool_removed?fields=args.details"]),
        (
            "messages",
            [
                (
                    "collect?fields=args.event.detail&action=args.event.verb"
                    "&resource_type=args.event.entity&resource_id=args.event.entity_id"
                )
            ],
        ),
        (
            "other_names",
            [
                "add_audit_entry?fields=args.diff&action=args.event",
                "Journal.append?fields=args.entry.attrs&action=args.entry.operation",
                "Outbox.publish?fields=args.message.data&action=args.message.type",
                "Trail.record_all?fields=args.records[].details&action=args.records[].action",
                "audit_event?fields=args.kw&action=args.verb",
                "write_log?fields=args.doc&action=args.what",
            ],
        ),
    ],
)
def test_kinds_of_writers(kinds: dict[str, dict[str, list[str]]], kind: str, expected: list[str]) -> None:
    """The function that takes the fields comes before a function that takes a row, and before other events."""
    assert kinds[kind]["audit"] == expected


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ('verb="create", changes={}', "args.kwargs"),
        ('{"verb": "create", "changes": {}}', "args.args[0]"),
        ('[{"verb": "create", "changes": {}}]', "args.args[0][]"),
    ],
    ids=["keywords", "row", "rows"],
)
def test_a_statement_of_sqlalchemy_inserts_rows(tmp_path: Path, values: str, row: str) -> None:
    """An INSERT statement into an audit log has a place for each of its forms; other tables are left out."""
    assert targets(tmp_path, TABLES.replace("VALUES", values))["audit"] == [
        f"sqlalchemy.sql.dml:ValuesBase.values?fields={row}.changes&action={row}.verb&when=self.table.name|is:audit_log"
    ]


CONCURRENT = (
    KEY
    + """
import asyncio
from contextvars import ContextVar
current = ContextVar("current", default=None)
def verify(raw): return Key()
def view(): return current.get()
async def middleware(scope):
    current.set(verify(header(scope)))
    for _ in range(3):
        await asyncio.sleep(0)
        view()
async def handle(scope):
    await asyncio.gather(middleware(scope), middleware(scope))
"""
)


def test_the_context_of_another_request_tells_nothing(tmp_path: Path) -> None:
    """A middleware that stores the key of a nested call is no candidate, also if several requests run at once."""
    assert targets(tmp_path, CONCURRENT)["auth"] == ["shop:verify"]


DRIVER = (
    KEY  # noqa: S608 - nothing runs these statements
    + """
import sys
from pathlib import Path
folder = Path(__file__).parent / "site-packages" / "psycopg"
folder.mkdir(parents=True)
(folder / "__init__.py").touch()
(folder / "cursor.py").write_text("class Cursor:\\n    def execute(self, query, params=None, *, prepare=None): pass")
sys.path.insert(0, str(folder.parent))
from psycopg.cursor import Cursor
class Jsonb:
    def __init__(self, obj): self.obj = obj
async def handle(scope):
    cursor = Cursor()
    for _ in range(60): cursor.execute("SELECT 1")
    cursor.execute("INSERT INTO orders VALUES (%s)", ['{"a": 1}'])
    cursor.execute("insert into audit.entries (verb, details) values (%s, %s)", VALUES)
"""
)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ("""('create', '{"a": 1}')""", "[1]"),
        ('["create", Jsonb({"a": 1})]', "[1].obj"),
        ("""{"verb": "create", "details": '{"a": 1}'}""", "['details']"),
    ],
    ids=["JSON", "wrapper", "names"],
)
def test_a_statement_of_a_driver_inserts_rows(tmp_path: Path, values: str, place: str) -> None:
    """Without a function of the service, the driver's function is a candidate, for statements into the audit table."""
    assert targets(tmp_path, DRIVER.replace("VALUES)", values + ")"))["audit"] == [
        f"psycopg.cursor:Cursor.execute?fields=args.params{place}&when=args.query|is:*insert into audit.entries*"
    ]


def test_the_table_of_a_statement_may_be_quoted(tmp_path: Path) -> None:
    """The condition has no character that is special in a pattern."""
    source = DRIVER.replace("audit.entries", '\\"audit_log\\"').replace("VALUES)", "('create', '{}'))")
    assert targets(tmp_path, source)["audit"] == [
        "psycopg.cursor:Cursor.execute?fields=args.params[1]&when=args.query|is:*audit_log*"
    ]


def test_a_key_may_be_a_named_tuple(kinds: dict[str, dict[str, list[str]]]) -> None:
    """Its members have names, and ``ident`` is an id."""
    assert kinds["other_names"]["auth"][1:] == ["Clients.load?id=ident"]


def test_unloaded_attributes_are_no_fields(kinds: dict[str, dict[str, list[str]]]) -> None:
    """The library never loads columns and relations of a mapped object; its properties are computed."""
    assert kinds["stored_rows"]["auth"] == ["load_api_user?scopes=permissions"]


def test_a_function_may_return_only_its_verdict(kinds: dict[str, dict[str, list[str]]]) -> None:
    """A function that checks a credential and returns ``True`` has the id of the key as an argument."""
    assert kinds["check"]["auth"] == ["check_api_key?id=args.client_id&valid=return"]


def test_a_function_may_return_only_an_id(kinds: dict[str, dict[str, list[str]]]) -> None:
    """A string or a UUID is an id if the function's name says so; hashes, formats and other credentials are none."""
    assert kinds["only_id"]["auth"] == ["look_up?id=return", "identify?id=return"]


def test_the_instrumentations_are_off(tmp_path: Path) -> None:
    """No span is needed, and the instrumentation of Django, for example, fails if its settings are missing."""
    source = PLAIN.replace(
        "async def handle", "import os\nprint(os.environ['OTEL_PYTHON_DISABLED_INSTRUMENTATIONS'])\nasync def handle"
    )
    _, _, error = discovered(tmp_path, source)
    assert "*" in error.splitlines()


def test_only_likely_functions_are_listed(tmp_path: Path) -> None:
    """Functions without the credential, or without a place for fields, are not candidates."""
    assert targets(tmp_path, PLAIN) == {"auth": ["shop:verify"], "audit": ["shop:record"]}


def test_a_library_does_not_replace_the_service(tmp_path: Path) -> None:
    """An ORM also receives the credential and returns the key, but comes after the function of the service."""
    found = targets(tmp_path, LIBRARY)
    assert found == {"auth": ["shop:resolve", "orm:from_db"], "audit": []}


@pytest.mark.parametrize("name", ["shopkit", "shopkit_auth"])
def test_the_installed_service_is_no_library(tmp_path: Path, name: str) -> None:
    """The command names its package, in a script, a module or an application; a plugin has a longer name."""
    package = tmp_path / "site-packages" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLAIN, encoding="utf-8")
    source = f"import sys; sys.path.insert(0, 'site-packages')\nfrom {name} import handle\n"
    (tmp_path / "shop.py").write_text(source, encoding="utf-8")
    service = SERVICE.format(module="shop", header="x-api-key", value=CREDENTIAL)
    (tmp_path / "service.py").write_text(service, encoding="utf-8")
    program = [sys.executable, "-m", "otel_keyaudit", "discover", "--json", "--", sys.executable, "service.py"]
    done = subprocess.run(
        [*program, "shopkit:app"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    found = [one["target"] for one in json.loads(done.stdout)["targets"]]
    assert found == [f"{name}:verify", f"{name}:record"]


CLIENT = """
import httpx
transport = httpx.MockTransport(lambda request: httpx.Response(200))
httpx.Client(transport=transport).get("http://other", headers={"authorization": "Bearer of-another-service"})
"""


@pytest.mark.parametrize(
    ("program", "remark"),
    [
        ("raise SystemExit(3)", "no HTTP or gRPC request reached the service, which ended with status 3"),
        ("import service; service.request([(b'accept', b'*/*')])", "no request had an API key"),
        (
            CLIENT,
            "no HTTP or gRPC request reached the service, which ended with status 0",
        ),
    ],
)
def test_the_reason_why_nothing_was_found(tmp_path: Path, program: str, remark: str) -> None:
    """A service that ends, and requests without a key, are named."""
    (tmp_path / "shop.py").write_text(PLAIN, encoding="utf-8")
    service = SERVICE.format(module="shop", header="x-api-key", value=CREDENTIAL)
    (tmp_path / "service.py").write_text(service, encoding="utf-8")
    command = [sys.executable, "-m", "otel_keyaudit", "discover", "--", sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert remark in done.stdout


def test_lines_for_people(tmp_path: Path) -> None:
    """Each target has its members with their types, and the lines to copy come last."""
    status, output, error = discovered(tmp_path, PLAIN)
    assert status == 0, error
    assert output.splitlines() == [
        "functions that authenticate, most likely first",
        "  shop:verify",
        "    returns Key: id: str, name: str, scopes: list[str], allow_list: list",
        "functions that write an audit row, most likely first",
        "  shop:record",
        "    parameters: action: str, resource_type: str, resource_id: str, additional_fields: dict",
        "export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS=shop:verify",
        "export OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS=shop:record",
    ]


STARLETTE = (
    KEY
    + """
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
class User(BaseUser):
    def __init__(self): self.id, self.name = "u_1", "canary-value"
class KeyBackend(AuthenticationBackend):
    async def authenticate(self, conn):
        return (AuthCredentials(["a:read"]), User()) if self.read(conn.headers.get("x-api-key")) else None
    def read(self, raw): return bool(raw)
async def endpoint(scope, receive, send): return None
async def handle(scope):
    await AuthenticationMiddleware(endpoint, KeyBackend())(scope, None, None)
"""
)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (STARLETTE, ["export OTEL_PYTHON_KEYAUDIT_PRESETS=starlette"]),
        (
            STARLETTE.replace("return bool(raw)", "return Key() if raw else None"),
            ["export OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS=shop:KeyBackend.read"],
        ),
    ],
    ids=["key of the preset", "key of the service"],
)
def test_the_lines_to_copy_name_one_key(tmp_path: Path, source: str, lines: list[str]) -> None:
    """A preset and a target that authenticate with different keys would make each request ambiguous."""
    _, output, error = discovered(tmp_path, source)
    assert [line for line in output.splitlines() if line.startswith("export")] == lines, error


def test_a_user_is_no_key(tmp_path: Path) -> None:
    """A line warns that the keys of one user cannot be told apart, if a function returns the user of the key."""
    source = KEY + "class ApiUser(Key): pass\ndef verify(raw): return ApiUser() if raw else None\n"
    _, output, _ = discovered(tmp_path, source + "async def handle(scope): verify(header(scope))\n")
    assert "    rows would name the user; if a user can have several keys" in output
    assert "rows would name the user" not in discovered(tmp_path, PLAIN)[1]


LAZY = (
    KEY
    + """
import sys
from django.utils.functional import SimpleLazyObject
from werkzeug.local import LocalProxy
LOADED = []
class User:
    def __init__(self): self.id, self.name = LOADED.append(1), "canary-value"
current_user, lazy_user = LocalProxy(User), SimpleLazyObject(User)
def verify(raw, *users): return Key() if raw else None
def record_audit(action, user, details): return user
async def handle(scope):
    verify(header(scope), current_user, lazy_user)
    for user in (current_user, lazy_user):
        record_audit("create", user, user)
        record_audit("create", {"user": user}, [user])
        verify(header(scope), {"user": user})
    print("loaded", len(LOADED), file=sys.stderr)
"""
)


def test_lazy_objects_are_not_loaded(tmp_path: Path) -> None:
    """Looking at the proxy of the current user begins no authentication, which would not be seen either."""
    _, output, error = discovered(tmp_path, LAZY)
    assert [line for line in error.splitlines() if line.startswith("loaded")] == ["loaded 0", "loaded 0"]
    assert "  shop:verify" in output.splitlines()


def test_the_library_itself_is_off(tmp_path: Path) -> None:
    """The service runs without targets, and no line of the library says that they are missing."""
    _, _, error = discovered(tmp_path, PLAIN)
    assert [line for line in error.splitlines() if line.startswith("keyaudit: ")] == [
        "keyaudit: send a request with an API key that writes an audit row, and press Ctrl-C"
    ]


def test_half_found_names_the_other_half(tmp_path: Path) -> None:
    """If only the function that authenticates is found, a line says how to name the writer."""
    status, output, _ = discovered(tmp_path, PLAIN.replace("additional_fields", "number"))
    assert status == 0
    assert "No function that writes an audit row was recognized. If the request wrote a row, name" in output
    assert "No function that returns or stores a key" not in output


def test_several_functions_may_authenticate(tmp_path: Path) -> None:
    """If several functions return such keys, a line says to name those that different requests use."""
    several = PLAIN + "    check_key(header(scope))\ndef check_key(raw): return Key() if raw else None\n"
    line = "    if different requests use different functions of these, name each of them, separated by commas"
    assert line in discovered(tmp_path, several)[1].splitlines()
    nested = several.replace("def verify(raw):", "def verify(raw): return check_key(raw)\ndef unused(raw):")
    for source in (PLAIN, several.replace("check_key", "cached_key"), nested):
        assert line not in discovered(tmp_path, source)[1].splitlines()


def test_nothing_found_is_exit_status_1(tmp_path: Path) -> None:
    """The output says which functions were not recognized, and to name them."""
    status, output, _ = discovered(tmp_path, NOTHING)
    assert status == 1
    assert output.count("none was recognized") == 2
    assert "No function that returns or stores a key with an id was recognized." in output
    assert "No function that writes an audit row was recognized." in output
    assert "export" not in output


def test_without_a_command_the_use_is_wrong(tmp_path: Path) -> None:
    """Calling it without a command is wrong use, reported in one line."""
    program = [sys.executable, "-m", "otel_keyaudit", "discover"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
