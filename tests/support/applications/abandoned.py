"""A process in which calls of targets are abandoned and cleaned up by the collector, wherever that interrupts others.

    python -m support.applications.abandoned generator

Prints how many writes there were, and how many audit spans have ended.
"""

import gc
import itertools
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.environment.eventually import eventually

APP = """
from types import coroutine

def verify(key):
    return key

async def averify(key):
    await suspended()
    return key

@coroutine
def suspended():
    yield

def record(action, additional_fields=None):
    pass

def generator(action, additional_fields=None):
    yield
    yield

async def coroutine(action, additional_fields=None):
    await suspended()

class Finalized:
    def __del__(self):
        record("create", {"a": 1})
"""
THRESHOLDS = (2, 3, 5, 7, 11, 20)
CALLS = 1_000
VARIABLES: list[ContextVar[object]] = [ContextVar(f"variable {number}") for number in range(60)]
"""As many as frameworks and instrumentations have together: a context is a tree, and only a deep one is a risk."""


def abandoned(app: Any) -> dict[str, Callable[[], object]]:
    """Return the functions that begin a call and abandon it, by name; their result keeps the call alive."""
    return {
        "generator": lambda: _begun(app.generator("create", {"a": 1})),
        "coroutine": lambda: _begun(app.coroutine("create", {"a": 1})),
        "authentication": lambda: _begun(app.averify({"id": "k_1"})),
        "finalizer": app.Finalized,
        "callback": object,
    }


def main(name: str) -> None:
    """Abandon calls in cycles, and set context variables meanwhile."""
    app: Any = types.ModuleType("abandoned_app")
    sys.modules[app.__name__] = app
    exec(APP, vars(app))  # noqa: S102 - a module without a file
    recorder = Recorder(strict=False, keep_rows=False)
    writes = [f"abandoned_app:{target}" for target in ("record", "generator", "coroutine")]
    auth_targets = ["abandoned_app:verify", "abandoned_app:averify"]
    recorder.instrument(auth_targets=auth_targets, audit_targets=writes)
    begin = abandoned(app)[name]
    if name == "callback":
        gc.callbacks.append(using_a_key)
        with recorder.request():  # the library encloses the callbacks at the first request
            pass
    variables = itertools.cycle(VARIABLES)
    for threshold in THRESHOLDS:
        gc.set_threshold(threshold, 2, 2)
        for _ in range(CALLS):
            cycle = [begin()]
            cycle.append(cycle)
            del cycle
            for _ in range(5):
                next(variables).set(object())
    gc.collect()
    writes_count = sum(recorder.writes().values())
    eventually(lambda: len(recorder.audit_spans()) == writes_count)
    print(writes_count, len(recorder.audit_spans()), recorder.errors())


def using_a_key(_: str, __: object) -> None:
    """Work in a callback of the collector as an application may."""
    with use_key(ApiKey("k_1")):
        current_key()


def _begun(call: Any) -> Any:
    call.send(None)
    return call


if __name__ == "__main__":
    main(sys.argv[1])
