"""FastAPI: endpoints put their rows into a queue, and a thread that the first of them starts writes all rows."""

from __future__ import annotations

import queue
import threading
from functools import cache
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from integration.shapes.apps.common import Key, record
from integration.shapes.apps.fastapi_dependencies import KeyChecker

app = FastAPI()
ROWS: queue.Queue[dict[str, Any]] = queue.Queue()


@cache
def start_worker() -> None:
    """Start the thread, once."""
    threading.Thread(target=write_rows, daemon=True).start()


def write_rows() -> None:
    """Write the rows of all requests."""
    while True:
        record("note.create", ROWS.get())


def enqueue(action: str, details: dict[str, Any]) -> None:
    """Have a row written later."""
    ROWS.put(details)


@app.post("/notes")
def create(_: Annotated[Key | None, Depends(KeyChecker("note:create"))]) -> str:
    """Create a note."""
    start_worker()
    enqueue("note.create", {"by": "application"})
    return "done"
