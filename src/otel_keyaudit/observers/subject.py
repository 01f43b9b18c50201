"""Observe functions that return a stored API key, to compare it with a later row about that key in the same request."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from otel_keyaudit.names import STAGE_AUDIT
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget, ObservedCall
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.call import Reader
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.presented_credential import without_credentials
from otel_keyaudit.targets.target import SubjectTarget


class StoredKey(CompiledTarget):
    """A subject target, compiled for its function."""

    def __init__(self, components: Components, target: SubjectTarget, binding: Binding) -> None:
        super().__init__(components, target, binding)
        self.key = self.reader(self.source("key"))
        self.key_source = self.source_of_keys(target.key_sources())

    @property
    def outcomes(self) -> dict[str, int]:
        """Empty, because a subject target has no outcomes."""
        return {}

    def observer(self) -> Observe:
        """Return the function that starts the observation of a call."""
        return self.observing(Lookup)


class Lookup(ObservedCall):
    """One call of a subject target."""

    target: StoredKey
    stage = STAGE_AUDIT
    lasts = False

    def __enter__(self) -> None:
        """Do nothing before the call."""

    def returned(self, result: Any) -> Any:
        """Remember the snapshot of the returned key, and return it unchanged."""
        self.result = result
        self.guarded(STAGE_AUDIT, self._remember)
        self.forget()
        return result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing after an exception."""

    def _remember(self) -> None:
        if not self.find_target():
            return
        target, request = self.target, current_request()
        target.calls.increment()
        found = self.guarded("key", self._key_object)
        if found is None or request is None or not request.is_open:
            return
        key = target.key_source.reader_for(type(found)).read(self, found, self.report)
        if key is not None and request.presented:
            key = without_credentials(key, request.presented, self.report)
        if key is not None:
            request.remember_subject(key, replaces=False)

    def matches(self, when: Reader) -> bool:
        """Return whether a condition holds that needs the end or the key object."""
        key_object = self.guarded("key", self._key_object) if self.target.when_needs_key else None
        return self.holds("when", when, key_object)

    def _key_object(self) -> Any:
        return behind(self.result if self.target.key is None else self.target.key(self, None))
