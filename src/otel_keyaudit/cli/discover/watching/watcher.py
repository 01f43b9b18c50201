"""Watch all calls of a process, and keep the functions that are likely targets."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from opcode import opname
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from otel_keyaudit.cli.discover.watching.credentials import DIRECT, presented, strength
from otel_keyaudit.cli.discover.watching.descriptions import (
    describe_builder,
    describe_key,
    describe_model,
    describe_writer,
)
from otel_keyaudit.cli.discover.watching.functions import Function, is_ignored
from otel_keyaudit.cli.recorder import Recorder, directory_of_records
from otel_keyaudit.guard.guard import quietly

_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_MAX_OPEN_CALLS = 10_000
_MAX_CREDENTIALS = 50
_MAX_BUILT = 200
_CONSTRUCTORS = ("__init__", "_declarative_constructor")
"""Names of the constructors of models, of Django and of SQLAlchemy."""


def start() -> None:
    """Begin to watch. ``opentelemetry-instrument`` calls this in every process of the command."""
    directory = directory_of_records()
    if directory is not None:
        watcher = Watcher(directory)
        watcher.begin()
        threading.setprofile(watcher.profile)
        sys.setprofile(watcher.profile)


class OpenCall:
    """A call that was given the credential and has not ended."""

    __slots__ = ("frame", "has_inner", "strength")

    def __init__(self, frame: FrameType, strength: int) -> None:
        self.frame = frame
        self.strength = strength
        self.has_inner = False


class Watcher(Recorder):
    """Watches all calls.

    Args:
        directory: Directory of the records.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._functions: dict[CodeType, Function | None] = {}
        self._open: dict[int, OpenCall] = {}
        self._credentials: OrderedDict[str, None] = OrderedDict()
        self._built: OrderedDict[int, tuple[object, Function]] = OrderedDict()
        self._models: dict[type, dict[str, Any] | None] = {}

    def totals(self) -> dict[str, list[dict[str, Any]]]:
        """Return the likely targets so far."""
        functions = [function for function in list(self._functions.values()) if function is not None]
        found = {
            "auth": [one.found for one in functions if one.found is not None],
            "audit": [one.audit for one in functions if one.audit is not None],
        }
        found["audit"] += [model for model in list(self._models.values()) if model is not None]
        return found if found["auth"] or found["audit"] else {}

    def forked(self) -> None:
        """Forget the targets of the parent process."""
        self._functions.clear()
        self._models.clear()

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Watch one call or return. ``sys.setprofile`` calls this; a failure of ours must not reach the application."""
        quietly(self._watch, frame, event, argument)

    def _watch(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            function = self._function(frame)
            if function is not None:
                self._called(frame, function)
        elif event == "return" and id(frame) in self._open:
            self._returned(frame, argument)
        elif event == "return" and argument is not None:
            self._note_built(frame, argument)

    def _function(self, frame: FrameType) -> Function | None:
        code = frame.f_code
        if code in self._functions:
            return self._functions[code]
        function = None if is_ignored(code.co_filename) else Function(frame)
        self._functions[code] = function
        return function

    def _called(self, frame: FrameType, function: Function) -> None:
        if function.request_parameter is not None:
            self._note_request(frame.f_locals.get(function.request_parameter))
        if not self._credentials or function.path is None or id(frame) in self._open:
            return
        arguments = frame.f_locals
        values = {name: arguments.get(name) for name in function.arguments}
        credentials = set(self._credentials)
        found = max((strength(value, credentials) for value in values.values()), default=0)
        if found and not (function.is_library and found < DIRECT):
            if len(self._open) > _MAX_OPEN_CALLS:
                self._open.clear()
            self._open[id(frame)] = OpenCall(frame, found)
        if self._built:
            self._note_stored(values)
        if not function.is_library:
            function.audit = function.audit or describe_writer(function, values)
        elif frame.f_code.co_name in _CONSTRUCTORS:
            self._note_model(type(values.get("self")))

    def _note_request(self, scope: object) -> None:
        """Remember the credentials of a request."""
        for credential in presented(scope):
            self._credentials[credential] = None
            if len(self._credentials) > _MAX_CREDENTIALS:
                self._credentials.popitem(last=False)

    def _note_model(self, kind: type) -> None:
        """Describe a model when its first object is constructed."""
        if kind not in self._models:
            self._models[kind] = describe_model(kind)

    def _returned(self, frame: FrameType, value: Any) -> None:
        call, function = self._open[id(frame)], self._functions[frame.f_code]
        is_end = opname[frame.f_code.co_code[frame.f_lasti]] in _RETURNS if frame.f_lasti >= 0 else True
        if function is None or (function.is_coroutine and not is_end):
            return
        if is_end:
            del self._open[id(frame)]
            self._note_built(frame, value)
        found = None if call.has_inner else describe_key(function, value, call.strength)
        if found is not None:
            if not function.is_library:  # a library's function is the right one only if no function of the service is
                self._mark_outer(frame, call.strength)
            if function.found is None or found["score"] > function.found["score"]:
                function.found = found

    def _mark_outer(self, frame: FrameType, given: int) -> None:
        """Mark the calls around a function that returned a key: the innermost function is the right one.

        A function that was given the credential itself is not replaced by one that was given the request.
        """
        outer = frame.f_back
        while outer is not None:
            call = self._open.get(id(outer))
            if call is not None and call.strength <= given:
                call.has_inner = True
                function = self._functions.get(outer.f_code)
                if function is not None:
                    function.found = None
            outer = outer.f_back

    def _note_built(self, frame: FrameType, value: object) -> None:
        """Remember a mapping that a function with a fitting name has built."""
        function = self._functions.get(frame.f_code)
        if function is not None and function.audit_weight and not function.is_library and isinstance(value, Mapping):
            self._built[id(value)] = value, function
            if len(self._built) > _MAX_BUILT:
                self._built.popitem(last=False)

    def _note_stored(self, values: Mapping[str, Any]) -> None:
        """Record the builder of a mapping that another function was given."""
        for value in values.values():
            built = self._built.get(id(value))
            if built is not None and built[1].audit is None:
                built[1].audit = describe_builder(built[1], built[0])
