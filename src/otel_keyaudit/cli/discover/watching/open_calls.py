"""The calls that have not ended."""

from __future__ import annotations

from types import FrameType
from typing import Final

from otel_keyaudit.request.call_stack import task_or_thread

_MAX_CALLS: Final = 10_000


class OpenCall:
    """A call that has not ended.

    Attributes:
        frame: The frame. The reference keeps Python from reusing its id before the call ends.
        strength: How directly the arguments hold the credential.
        stored: The ids of the objects that the request held when the call began, by expression.
        inner: The ids of the keys that nested calls returned, each with the strength of that call.
    """

    __slots__ = ("frame", "inner", "stored", "strength")

    def __init__(self, frame: FrameType, strength: int, stored: dict[str, int] | None = None) -> None:
        self.frame = frame
        self.strength = strength
        self.stored = stored
        self.inner: dict[int, int] = {}


class OpenCalls:
    """Finds open calls by their frames."""

    def __init__(self) -> None:
        self._calls: dict[int, OpenCall] = {}
        self._setters: dict[int, tuple[int, OpenCall]] = {}

    def __contains__(self, frame: FrameType) -> bool:
        return id(frame) in self._calls

    def get(self, frame: FrameType) -> OpenCall | None:
        """Return the open call of a frame, if it is remembered."""
        return self._calls.get(id(frame))

    def begin(self, call: OpenCall, *, sets_context: bool = False) -> OpenCall:
        """Remember a call, and whether it may set context variables."""
        if len(self._calls) > _MAX_CALLS:
            self._calls.clear()
            self._setters.clear()
        self._calls[id(call.frame)] = call
        if sets_context:
            self._setters[id(call.frame)] = task_or_thread(), call
        return call

    def end(self, frame: FrameType) -> OpenCall | None:
        """Forget the call of a frame; return it if it was remembered."""
        self._setters.pop(id(frame), None)
        return self._calls.pop(id(frame), None)

    def setters(self) -> list[OpenCall]:
        """Return the open calls of the current task, or thread, that may have set context variables."""
        if not self._setters:
            return []
        here = task_or_thread()
        return [call for where, call in list(self._setters.values()) if where == here]
