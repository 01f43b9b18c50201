"""Celery: a header of the message carries the key of the request that sends a task, and the key is set in the task."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.context import UsedKey, current_request, used_for_job
from otel_keyaudit.request.workers.message import MAX_BYTES, decode_key, encode_key
from otel_keyaudit.request.workers.propagation import HandoverPoint, Job, KeyHandover, Undo, observe, wrap

HEADER = "keyaudit-key"
_WITHOUT_LISTS = ("id", "name", "owner", "expires_at")


def _write(headers: dict[str, Any]) -> None:
    """Replace the header, because a header copied from another message or from a client must not name a key."""
    headers.pop(HEADER, None)
    used = used_for_job(current_request())
    if used is not None:
        headers[HEADER] = encode_key(used, _WITHOUT_LISTS)
        headers[HEADER] = encode_key(used)  # raises if the lists are too long; the header without them remains


class _Run(Job, Observation):
    """A run of a task in a worker, including the signals and hooks of the task."""

    def __init__(self, used: UsedKey | None, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        super().__init__(used)
        self.positional, self.keywords = positional, keywords


def _runs(name: str, headers_of: Callable[[tuple[Any, ...]], Any]) -> Callable[[ModuleType, KeyHandover], Undo]:
    """Set the key of the message while a function of the worker runs.

    Args:
        name: The qualified name of the function.
        headers_of: Returns the headers of the message from the arguments of a call.
    """

    def begin(handover: KeyHandover, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run | None:
        headers = headers_of(args) or {}
        if headers.get("is_eager"):
            return None
        text = headers.get(HEADER)
        return _Run(None if text is None else handover.guarded(decode_key, text), args, kwargs)

    def patch(module: ModuleType, handover: KeyHandover) -> Undo:
        return observe(module, name, lambda args, kwargs, _: handover.guarded(begin, handover, args, kwargs))

    return patch


def _publishes(signals: ModuleType, handover: KeyHandover) -> Undo:
    def publish(headers: Any = None, **_: Any) -> None:
        handover.guarded(_write, headers)

    signals.before_task_publish.connect(publish, weak=False)
    return lambda: signals.before_task_publish.disconnect(publish)


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
    handover_points=(
        HandoverPoint("celery.signals", _publishes),
        HandoverPoint("celery.app.task", _apply),
        HandoverPoint("celery.app.trace", _runs("build_tracer.<locals>.trace_task", lambda args: args[3])),
        # The main process handles the failure of a task whose process it has killed, or that died.
        *(
            HandoverPoint("celery.worker.request", _runs(f"Request.{name}", lambda args: args[0].request_dict))
            for name in ("on_timeout", "on_failure")
        ),
    ),
)
