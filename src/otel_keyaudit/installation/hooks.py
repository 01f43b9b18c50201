"""Patch the entry points of requests and the functions that start jobs, each when its module has been imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.handlers import Handler, HandlerPatch
from otel_keyaudit.patching.modules.import_hook import ModuleWatch
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.request.boundaries.entry_points import EntryPoint
from otel_keyaudit.request.boundaries.handlers import Boundaries
from otel_keyaudit.request.reports import start_reporting, stop_reporting
from otel_keyaudit.request.workers.propagation import HandoverPoint, KeyHandover, Undo
from otel_keyaudit.request.workers.simple_queue import observe_simple_queues, restore_simple_queues


class Hooks:
    """Patches of library functions, each of which waits for its module.

    Args:
        watch: Reports when a module has been executed.
    """

    def __init__(self, watch: ModuleWatch) -> None:
        self._watch = watch
        self._undo: list[Undo] = []
        self._functions: list[FunctionType] = []

    def add_entry_points(self, boundaries: Boundaries, entry_points: Iterable[EntryPoint]) -> None:
        """Patch the functions in which requests begin, without importing any module."""
        for entry_point in entry_points:
            module, _, name = entry_point.path.partition(":")
            self._watch.tell(module, partial(quietly, self._patch, partial(boundaries.handler, entry_point), name))

    def add_start_points(self, start: Callable[[], object], paths: Iterable[str]) -> None:
        """Call a function before programs start to serve requests, without importing any module."""
        for path in paths:
            module, _, name = path.partition(":")
            self._watch.tell(module, partial(quietly, self._patch, partial(_before, start), name))

    def add_handover_points(self, handover: KeyHandover, handover_points: Iterable[HandoverPoint]) -> None:
        """Patch the functions that start jobs, and queues that workers share, without importing any module."""
        start_reporting(handover.faults)
        observe_simple_queues()
        for point in handover_points:
            self._watch.tell(point.module, partial(handover.guarded, self._patch_handover_point, handover, point))

    def undo(self) -> None:
        """Restore everything, in reverse order."""
        for undo in reversed(self._undo):
            quietly(undo)
        self._undo.clear()
        self._functions.clear()
        restore_simple_queues()
        stop_reporting()

    def _patch(self, make_handler: Callable[[FunctionType], Handler], name: str, module: ModuleType) -> None:
        function = resolve(module, name).value
        if type(function) is FunctionType and all(known is not function for known in self._functions):
            self._functions.append(function)
            self._undo.append(HandlerPatch(function, make_handler).undo)

    def _patch_handover_point(self, handover: KeyHandover, point: HandoverPoint, module: ModuleType) -> None:
        self._undo.append(point.patch(module, handover))


def _before(start: Callable[[], object], original: Callable[..., Any]) -> Handler:
    """Return the handler that calls a function before the original one."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        quietly(start)
        return original(*args, **kwargs)

    return handler
