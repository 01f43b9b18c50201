"""Report the calls of all functions with ``sys.monitoring``, before Python 3.12 with a profile function."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from opcode import opname
from types import CodeType, FrameType
from typing import Any, Protocol

from otel_keyaudit.guard.guard import quietly

_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_TOOLS = range(5, -1, -1)
_NAME = "keyaudit-discover"


class Observer(Protocol):
    """Receives the events. Its errors do not reach the application."""

    def watches(self, code: CodeType) -> bool:
        """Return whether to report the calls of a function. If the answer changes, call ``refresh()``."""

    def called(self, frame: FrameType) -> None:
        """Handle the beginning of a call."""

    def returned(self, frame: FrameType, value: Any, is_end: bool) -> None:
        """Handle a returned value, or a yielded one if it is not the end of the call."""

    def raised(self, frame: FrameType) -> None:
        """Handle the end of a call by an exception."""


def watch(observer: Observer) -> None:
    """Report the events of all threads of this process to an observer, until Python clears the modules at exit."""
    if sys.version_info >= (3, 12):
        monitor = _Monitor(observer)
        monitor.begin()
        atexit.register(monitor.end)
    else:
        profile = _Profile(observer).profile
        threading.setprofile(profile)
        sys.setprofile(profile)
        atexit.register(sys.setprofile, None)


def refresh() -> None:
    """Ask the observer again about all functions."""
    if sys.version_info >= (3, 12):
        sys.monitoring.restart_events()


class _Profile:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "return") and self._observer.watches(frame.f_code):
            quietly(self._deliver, frame, event, argument)

    def _deliver(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            self._observer.called(frame)
        else:
            # an exception is reported as a return of None
            is_end = frame.f_lasti < 0 or opname[frame.f_code.co_code[frame.f_lasti]] in _RETURNS
            self._observer.returned(frame, argument, is_end)


if sys.version_info >= (3, 12):

    class _Monitor:
        """Disables the events of functions that the observer does not watch, so that their calls cost nothing."""

        def __init__(self, observer: Observer) -> None:
            self._observer = observer
            self._tool = next(tool for tool in _TOOLS if sys.monitoring.get_tool(tool) is None)

        def begin(self) -> None:
            monitoring, tool = sys.monitoring, self._tool
            monitoring.use_tool_id(tool, _NAME)
            events = monitoring.events
            for event, callback in (
                (events.PY_START, self._start),
                (events.PY_RETURN, self._return),
                (events.PY_YIELD, self._yield),
                (events.PY_UNWIND, self._unwind),
            ):
                monitoring.register_callback(tool, event, callback)
            monitoring.set_events(tool, events.PY_START | events.PY_RETURN | events.PY_YIELD | events.PY_UNWIND)

        def end(self) -> None:
            sys.monitoring.set_events(self._tool, 0)
            sys.monitoring.free_tool_id(self._tool)

        def _start(self, code: CodeType, _: int) -> Any:
            return self._report(code, self._observer.called)

        def _return(self, code: CodeType, _: int, value: Any) -> Any:
            return self._report(code, self._observer.returned, value, True)

        def _yield(self, code: CodeType, _: int, value: Any) -> Any:
            return self._report(code, self._observer.returned, value, False)

        def _report(self, code: CodeType, handle: Callable[..., None], *details: Any) -> Any:
            """Pass an event with the frame of the function, which called the callback, to the observer."""
            if not self._observer.watches(code):
                return sys.monitoring.DISABLE
            quietly(handle, sys._getframe(2), *details)
            return None

        def _unwind(self, code: CodeType, _: int, __: BaseException) -> None:
            if self._observer.watches(code):
                quietly(self._observer.raised, sys._getframe(1))
