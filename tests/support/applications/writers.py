"""An application whose writes return, raise, hang, and are abandoned."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.testing import Recorder

APP = """
import asyncio

class Key:
    def __init__(self, id):
        self.id = id

class Unnamed:
    pass

CALLS = []
ROWS = []

def verify(key):
    return key

def record(fields=None, fails=False, waits=None):
    CALLS.append(1)
    if waits is not None:
        waits.wait()
    ROWS.append(fields)
    if fails:
        raise LookupError

async def arecord(fields=None, how="returns"):
    CALLS.append(1)
    ROWS.append(fields)
    await asyncio.sleep(0)
    if how == "raises":
        raise LookupError
    if how == "hangs":
        await asyncio.Event().wait()

def build(fails=False):
    CALLS.append(1)
    if fails:
        raise LookupError
    return {}

def brecord(fields=None):
    CALLS.append(1)
    ROWS.append(fields)
    yield 1
    yield 2
"""


def instrument(recorder: Recorder, app: Any, **options: Any) -> None:
    """Instrument all of its functions."""
    name = app.__name__
    places = {"record": "args.fields", "arecord": "args.fields", "brecord": "args.fields", "build": "return"}
    recorder.instrument(
        auth_targets=[f"{name}:verify"],
        audit_targets=[f"{name}:{function}?fields={place}" for function, place in places.items()],
        **options,
    )
