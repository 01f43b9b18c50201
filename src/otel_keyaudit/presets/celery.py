"""Celery: the key of whoever sends a task travels in the headers of its message, and is set while the task runs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.context import current_key
from otel_keyaudit.request.propagation import MAX_BYTES, Carrier, Job, Jobs, Undo, around, packed, unpacked

HEADER = "keyaudit-key"
_WITHOUT_LISTS = ("id", "name", "owner", "expires_at")

_RUNNING: WeakKeyDictionary[Any, Job] = WeakKeyDictionary()
"""The job of each task that runs, by the task's own request."""


def _write(headers: dict[str, Any]) -> None:
    """Write the header anew: one that was copied from elsewhere, or came from a client, must not name a key."""
    headers.pop(HEADER, None)
    key = current_key()
    if key is not None:
        headers[HEADER] = packed(key, _WITHOUT_LISTS)
        headers[HEADER] = packed(key)


def _begin(request: Any) -> None:
    text = request.get(HEADER)
    if text is not None and not request.is_eager:
        job = Job(unpacked(text))
        job.__enter__()
        _RUNNING[request] = job


def _end(request: Any) -> None:
    job = _RUNNING.pop(request, None)
    if job is not None:
        job.__exit__(None, None, None)


def _connect(signals: ModuleType, jobs: Jobs) -> Undo:
    def publish(headers: Any = None, **_: Any) -> None:
        jobs.guarded(_write, headers)

    def prerun(task: Any = None, **_: Any) -> None:
        jobs.guarded(lambda: _begin(task.request))

    def postrun(task: Any = None, **_: Any) -> None:
        jobs.guarded(lambda: _end(task.request))

    receivers = (
        (signals.before_task_publish, publish),
        (signals.task_prerun, prerun),
        (signals.task_postrun, postrun),
    )
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False)
    return lambda: [signal.disconnect(receiver) for signal, receiver in receivers]


def _apply(module: ModuleType, jobs: Jobs) -> Undo:
    """Keep the key for a task that runs at once (``task_always_eager``), whose span would hide the request around."""

    def apply(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return jobs.with_key(original)(*args, **kwargs)

    return around(module, "Task.apply", apply)


PRESET = Preset(
    library="celery",
    oldest="5.4",
    records="the key of the request, or the task, that sends a task, in the rows of that task, whenever it runs: "
    "`id`, `name`, `scopes`, `allow_list`, `owner`, `expires_at` travel in the message's header "
    f"`{HEADER}`; where they take more than {MAX_BYTES // 1024} KiB, without the two lists",
    never="the arguments and the result of the task; what goes out by HTTP; baggage",
    targets=(),
    carriers=(Carrier("celery.signals", _connect), Carrier("celery.app.task", _apply)),
)
