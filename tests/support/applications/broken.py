"""An application in which every hook point of the library can fail, and the ways of failing."""

import builtins
from collections.abc import Callable
from functools import partial

APP = """
from collections.abc import MutableMapping, Sequence

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from opentelemetry.trace import SpanKind

from otel_keyaudit import Detail

FAULT = {"point": None, "also": None, "make": None}
TRACER = None
ROWS = []
DETAIL = Detail.MINIMAL


def trip(point):
    if point in (FAULT["point"], FAULT["also"]):
        raise FAULT["make"]()


class Items(Sequence):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        trip("allow list")
        return ["a:1"][index]

    def __iter__(self):
        trip("allow list")
        return iter(["a:1"])


class Key:
    allow_list = Items()

    @property
    def id(self):
        trip("id")
        return "k_1"

    @property
    def name(self):
        trip("name")
        return "ci-bot"

    @property
    def scopes(self):
        trip("scopes")
        return ["a:read"]


class Fields(MutableMapping):
    def __init__(self, content=()):
        self.content = dict(content)

    def __contains__(self, name):
        trip("merge")
        return name in self.content

    def __copy__(self):
        return Fields(self.content)

    def __getitem__(self, name):
        return self.content[name]

    def __setitem__(self, name, value):
        self.content[name] = value

    def __delitem__(self, name):
        del self.content[name]

    def __iter__(self):
        return iter(self.content)

    def __len__(self):
        return len(self.content)


class Event:
    @property
    def verb(self):
        trip("action")
        return "create"

    @property
    def key(self):
        trip("subject")
        return None


def verify(request: Request):
    if b"deny" in request.scope["query_string"]:
        raise HTTPException(401, "no such key")
    return Key()


def record(event, fields):
    ROWS.append(fields)


def sampler(event):
    trip("sampler")
    return DETAIL


def is_valid(call):
    trip("valid")
    return True


def when(call):
    trip("when")
    return True


class ServerSpan:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        with TRACER.start_as_current_span("request", kind=SpanKind.SERVER) as span:
            if FAULT["point"] == "server span":
                span.set_attributes = lambda attributes: trip("server span")
            await self.app(scope, receive, send)


app = FastAPI()
app.add_middleware(ServerSpan)


@app.post("/{path:path}")
async def write(path: str, background: BackgroundTasks, key=Depends(verify)):
    record(Event(), Fields({"path": path}))
    return {"path": path, "key": type(key).__name__, "rows": len(ROWS)}
"""

POINTS = {
    "id": "authentication",
    "name": "authentication",
    "scopes": "authentication",
    "allow list": "authentication",
    "valid": "authentication",
    "when": "authentication",
    "action": "audit",
    "subject": "audit",
    "sampler": "sampling",
    "merge": "merge",
    "server span": "telemetry",
    "on_start": "telemetry",
    "on_end": "telemetry",
}
"""Where the application can be made to fail, and the stage as which that counts."""


class UnprintableError(Exception):
    """An exception whose ``str`` and ``repr`` raise."""

    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


FAULTS: dict[str, Callable[[], Exception]] = {
    "ValueError": lambda: ValueError("secret text"),
    "KeyError": lambda: KeyError("secret text"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "secret text"),
    "RecursionError": lambda: RecursionError("secret text"),
    "MemoryError": lambda: MemoryError("secret text"),
    "AttributeError": lambda: AttributeError("secret text"),
    f"{__name__}.UnprintableError": UnprintableError,
}
"""Exceptions by their value of ``error.type``."""

if group := getattr(builtins, "ExceptionGroup", None):  # Python 3.11 or newer
    FAULTS["ExceptionGroup"] = partial(group, "secret text", [ValueError("secret text")])
