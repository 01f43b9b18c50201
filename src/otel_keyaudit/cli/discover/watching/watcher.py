"""Watch all calls of a process, and record the likely targets."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from gc import get_referents
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from otel_keyaudit.cli.discover.functions.function import SCOPES, Function
from otel_keyaudit.cli.discover.functions.packages import is_ignored
from otel_keyaudit.cli.discover.watching.credentials import (
    DIRECT,
    INDIRECT,
    LOCAL,
    holds,
    is_direct,
    presented,
    request_of,
    strength,
)
from otel_keyaudit.cli.discover.watching.events import refresh, watch
from otel_keyaudit.cli.discover.watching.keys import PossibleKey, describe_check, describe_key, may_be_id, possible_keys
from otel_keyaudit.cli.discover.watching.models import describe_model, packages_of
from otel_keyaudit.cli.discover.watching.open_calls import OpenCall, OpenCalls
from otel_keyaudit.cli.discover.watching.statements import STATEMENTS, describe_statement
from otel_keyaudit.cli.discover.watching.stored_keys import in_context, in_flask, stored_keys
from otel_keyaudit.cli.discover.watching.values import attributes, is_a, is_plain
from otel_keyaudit.cli.discover.watching.writers import describe_builder, describe_writer
from otel_keyaudit.cli.records import RecordWriter, directory_of_records

_MAX_CREDENTIALS: Final = 50
_MAX_BUILT: Final = 200
_CONSTRUCTORS: Final = ("__init__", "_declarative_constructor")
"""Names of the constructors of models."""

_NEW_ROW: Final = "_save_impl"
"""Name of the method of SQLAlchemy's session that receives the state of a new row. The code of the constructor of a
``MappedAsDataclass`` has no file."""

PRESET_PATHS: Final = "preset-paths.json"
"""Name of the file that lists the functions of presets."""


def start() -> None:
    """Start a watcher in this process. ``opentelemetry-instrument`` calls this in every process of the command."""
    directory = directory_of_records()
    if directory is not None:
        watcher = Watcher(directory)
        watcher.begin()
        watch(watcher)


def _preset_paths(directory: Path) -> frozenset[str]:
    file = directory / PRESET_PATHS
    return frozenset(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else frozenset()


class Watcher(RecordWriter):
    """Records the likely targets among all calls of a process.

    Args:
        directory: Directory of the records.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._functions: dict[int, tuple[CodeType, Function | None]] = {}
        self._open = OpenCalls()
        self._preset_paths = _preset_paths(directory)
        self._called: dict[str, None] = {}
        self._requests = 0
        self._credentials: OrderedDict[str, None] = OrderedDict()
        self._built: OrderedDict[int, tuple[object, Function]] = OrderedDict()
        self._models: dict[type, dict[str, Any] | None] = {}

    def totals(self) -> dict[str, Any]:
        """Return the likely targets found so far."""
        if not self._requests:  # a server's main process may fork at any time, so it must not be busy here
            return {}
        functions = [function for _, function in list(self._functions.values()) if function is not None]
        models = [model for model in list(self._models.values()) if model is not None]
        return {
            "has_credentials": bool(self._credentials),
            "auth": [one.auth for one in functions if one.auth is not None],
            "audit": [one.audit for one in functions if one.audit is not None] + models,
            "called": list(self._called),
            "packages": sorted({package for kind in list(self._models) for package in packages_of(kind)}),
        }

    def forked(self) -> None:
        """Forget the targets of the parent process."""
        self._requests = 0
        self._called.clear()
        self._functions.clear()
        self._models.clear()

    def watches(self, code: CodeType) -> bool:
        """Return whether a function is watched. Before the first credential, only functions with a request are."""
        known = self._functions.get(id(code))
        if known is not None:
            return known[1] is not None
        is_watched = not is_ignored(code.co_filename)
        if is_watched and not self._credentials:
            parameters = code.co_varnames[: code.co_argcount]
            is_watched = any(name in parameters for name in SCOPES)
        if not is_watched:
            self._functions[id(code)] = code, None
        return is_watched

    def called(self, frame: FrameType) -> None:
        """Record the credential of a request, a call that holds a credential, or an audit writer."""
        function = self._function(frame)
        for name in function.request_parameters:
            self._note_request(frame.f_locals.get(name))
        if not self._credentials or function.path is None or frame in self._open:
            return
        self._note_contexts()
        arguments = frame.f_locals
        is_constructor = frame.f_code.co_name in _CONSTRUCTORS
        if is_constructor:
            self._note_model(type(arguments.get("self")))
            if function.is_library:
                return
        if frame.f_code.co_name == _NEW_ROW:
            self._note_model(attributes(arguments.get("state")).get("class_", object))
        values = {name: arguments.get(name) for name in function.arguments}
        is_holder = self._note_holder(frame, function, values)
        if self._built:
            self._note_stored(values)
        if not (function.is_library or is_constructor):
            function.audit = function.audit or describe_writer(function, values)
        if function.path in STATEMENTS:
            function.audit = function.audit or describe_statement(function.path, values)
        elif function.count_call(is_holder):
            self._functions[id(function.code)] = function.code, None

    def returned(self, frame: FrameType, value: Any, is_end: bool) -> None:
        """Record the key that a call returned or stored, or the row that it built."""
        function = self._function(frame)
        call = self._open.end(frame) if is_end else self._open.get(frame)
        if function.path is None or not self._credentials or (function.is_coroutine and not is_end):
            return
        storing = call if is_end and call is not None and call.stored is not None else None
        if function.is_async_generator and not is_end:
            value = next(iter(get_referents(value)), None)  # Python wraps a yielded value
        may_be_key = type(value) is tuple or not is_plain(value) or (function.is_identifier and may_be_id(value))
        if function.is_library if call is None else not (may_be_key or storing):
            return
        held = self._strength(frame, function, call)
        if held and may_be_key:
            self._note_key(frame, function, call, held, tuple(possible_keys(value)))
        if value is True and storing is not None and storing.strength == DIRECT:
            function.keep(describe_check(function, frame.f_locals, self._credentials))
        if storing is not None:
            arguments = {name: frame.f_locals.get(name) for name in function.arguments}
            self._note_stored_key(frame, function, storing, stored_keys(arguments, function.variables))
        if is_end:
            self._note_built(function, value)

    def raised(self, frame: FrameType) -> None:
        """Forget a call that raised an exception."""
        self._open.end(frame)

    def _function(self, frame: FrameType) -> Function:
        code = frame.f_code
        function = self._functions.get(id(code), (None, None))[1]
        if function is None:
            function = Function(frame)
            self._functions[id(code)] = code, function
            if function.path in self._preset_paths and self._credentials:
                self._called[function.path] = None
        return function

    def _note_request(self, value: object) -> None:
        """Remember the credentials of a request."""
        request = request_of(value)
        if request is None:
            return
        self._requests += 1
        found = presented(request)
        if found and not self._credentials:
            self._functions.clear()
            refresh()
        for credential in found:
            self._credentials[credential] = None
            if len(self._credentials) > _MAX_CREDENTIALS:
                self._credentials.popitem(last=False)

    def _note_holder(self, frame: FrameType, function: Function, values: Mapping[str, Any]) -> bool:
        """Remember a call if it holds a credential or could store a key in ``flask.g``; return whether it holds one."""
        if function.is_library:
            is_holder = any(is_direct(value, self._credentials) for value in values.values())
            if is_holder:
                self._open.begin(OpenCall(frame, DIRECT))
            return is_holder
        found = max((strength(value, self._credentials) for value in values.values()), default=0)
        if found or in_flask():
            stored = {one.expression: id(one.value) for one in stored_keys(values, function.variables)}
            self._open.begin(OpenCall(frame, found, stored), sets_context=bool(function.variables))
        return found > 0

    def _note_contexts(self) -> None:
        """Record the keys that open calls have stored in context variables, which they may reset before they end."""
        for call in self._open.setters():
            function = self._function(call.frame)
            self._note_stored_key(call.frame, function, call, in_context(function.variables))

    def _strength(self, frame: FrameType, function: Function, call: OpenCall | None) -> int:
        """Return how directly a call holds a credential when it returns."""
        given = 0 if call is None else call.strength
        if given >= LOCAL or function.is_library:
            return given
        is_local = any(holds(value, self._credentials) for value in frame.f_locals.values())
        return LOCAL if is_local else given

    def _note_key(
        self, frame: FrameType, function: Function, call: OpenCall | None, held: int, found: Sequence[PossibleKey]
    ) -> None:
        """Record the key that a call returned, unless a nested call with the credential returned the same key."""
        inner = {} if call is None else call.inner
        is_outer = any(strength >= held for strength in inner.values())
        before = set((call.stored or {}).values()) if call is not None else set()
        own = [one for one in found if inner.get(id(one.value), 0) < held and id(one.value) not in before]
        described = describe_key(function, own, held, self._credentials, is_outer=is_outer)
        if described is not None:
            function.keep(described)
            if not function.is_library and not function.is_container:
                self._mark_outer(frame, held, (id(one.value) for one in found))

    def _note_stored_key(
        self, frame: FrameType, function: Function, call: OpenCall, found: Iterable[PossibleKey]
    ) -> None:
        """Record the key that a call stored, unless a nested call returned or stored the same key."""
        held = max(self._strength(frame, function, call), INDIRECT)
        new = [
            one
            for one in found
            if (call.stored or {}).get(one.expression) != id(one.value) and id(one.value) not in call.inner
        ]
        described = describe_key(function, new, held, self._credentials, is_outer=False)
        if described is not None:
            function.keep(described)
            self._mark_outer(frame, held, (id(one.value) for one in new))

    def _mark_outer(self, frame: FrameType, held: int, keys: Iterable[int]) -> None:
        """Mark all callers of a function that returned or stored a key. The innermost function is the target."""
        marks = dict.fromkeys(keys, held)
        outer = frame.f_back
        while outer is not None:
            if self.watches(outer.f_code) and not self._function(outer).is_library:
                call = self._open.get(outer) or self._open.begin(OpenCall(outer, 0))
                call.inner.update(marks)
            outer = outer.f_back

    def _note_model(self, kind: type) -> None:
        """Describe a model when its first instance is constructed."""
        if kind not in self._models:
            self._models[kind] = describe_model(kind)

    def _note_built(self, function: Function, value: object) -> None:
        """Remember a mapping that a function built whose name suggests an audit log."""
        if function.audit_weight and not function.is_library and is_a(value, Mapping):
            self._built[id(value)] = value, function
            if len(self._built) > _MAX_BUILT:
                self._built.popitem(last=False)

    def _note_stored(self, values: Mapping[str, Any]) -> None:
        """Record the function that built a mapping when another function receives the mapping."""
        for value in values.values():
            built = self._built.get(id(value))
            if built is not None and built[1].audit is None:
                built[1].audit = describe_builder(built[1], built[0])
