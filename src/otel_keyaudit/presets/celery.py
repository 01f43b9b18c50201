"""Celery: a header of the message carries the key of the request that sends a task, and the key is set in the task."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.context import current_request, used_for_job
from otel_keyaudit.request.workers.message import MAX_BYTES, decode_key, encode_key
from otel_keyaudit.request.workers.propagation import HandoverPoint, Job, KeyHandover, Undo, wrap

HEADER = "keyaudit-key"
_WITHOUT_LISTS = ("id", "name", "owner", "expires_at")
_JOB = "_otel_keyaudit_job"
"""Attribute of ``task.request`` that holds the job while the task runs."""


def _write(headers: dict[str, Any]) -> None:
    """Replace the header, because a header copied from another message or from a client must not name a key."""
    headers.pop(HEADER, None)
    used = used_for_job(current_request())
    if used is not None:
        headers[HEADER] = encode_key(used, _WITHOUT_LISTS)
        headers[HEADER] = encode_key(used)  # raises if the lists are too long; the header without them remains


def _begin(request: Any, handover: KeyHandover) -> None:
    if request.is_eager:
        return
    text = request.get(HEADER)
    job = Job(None if text is None else handover.guarded(decode_key, text))
    setattr(request, _JOB, job)
    job.__enter__()


def _end(request: Any) -> None:
    job = vars(request).pop(_JOB, None)
    if job is not None:
        job.__exit__(None, None, None)


def _connect(signals: ModuleType, handover: KeyHandover) -> Undo:
    def publish(headers: Any = None, **_: Any) -> None:
        handover.guarded(_write, headers)

    def prerun(task: Any = None, **_: Any) -> None:
        handover.guarded(lambda: _begin(task.request, handover))

    def postrun(task: Any = None, **_: Any) -> None:
        handover.guarded(lambda: _end(task.request))

    receivers = (
        (signals.before_task_publish, publish),
        (signals.task_prerun, prerun),
        (signals.task_postrun, postrun),
    )
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False)
    return lambda: [signal.disconnect(receiver) for signal, receiver in receivers]


def _apply(module: ModuleType, handover: KeyHandover) -> Undo:
    """Keep the key in a task that runs at once (``task_always_eager``), because its span counts as another request."""

    def apply(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return handover.with_key(original)(*args, **kwargs)

    return wrap(module, "Task.apply", apply)


PRESET = Preset(
    library="celery",
    oldest="5.4",
    records="the sender's key (of a request or a task) in the rows of the task, whenever the task runs. The header "
    f"`{HEADER}` of the message carries `id`, `name`, `scopes`, `allow_list`, `owner`, `expires_at`, "
    "`on_behalf_of`, `actors` and `actors_count`; without `scopes` and `allow_list` if they take more than "
    f"{MAX_BYTES // 1024} KiB",
    never="arguments and results of tasks; headers of HTTP requests; baggage",
    targets=(),
    handover_points=(HandoverPoint("celery.signals", _connect), HandoverPoint("celery.app.task", _apply)),
)
