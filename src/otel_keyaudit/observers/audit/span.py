"""The span of one audit write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from otel_keyaudit import names
from otel_keyaudit.errors import class_name
from otel_keyaudit.guard.collection import isolated, may_change_context
from otel_keyaudit.request.boundaries.running import AUDIT_SPAN_MARK
from otel_keyaudit.request.server_span import location_of


class AuditSpan:
    """The span of one audit write: started before the row is built, current while the application writes it.

    Args:
        tracer: Starts the span.
        server_span: The server span of the request. The span belongs to its trace, even after its end.
        attributes: The attributes of the span.

    Attributes:
        location: Trace and span id.
    """

    __slots__ = ("_outer", "location", "span")

    def __init__(self, tracer: Tracer, server_span: Span | None, attributes: Mapping[str, Any]) -> None:
        self.span = isolated(tracer.start_span)(_name(attributes), context=_parent(server_span), attributes=attributes)
        self.location = location_of(self.span)
        self._outer: context_api.Context | None = None
        if self.span.is_recording():  # a disabled tracer returns a shared span or the parent
            setattr(self.span, AUDIT_SPAN_MARK, True)

    def enter(self) -> None:
        """Make the span the current one."""
        if may_change_context():
            self._outer = outer = context_api.get_current()
            context_api.attach(trace.set_span_in_context(self.span, outer))

    def leave(self) -> None:
        """Restore the outer span, unless Python closes an abandoned call in another context.

        The outer context is attached, because ``detach`` swallows the exception of a signal handler.
        """
        outer, self._outer = self._outer, None
        if outer is not None and may_change_context() and trace.get_current_span() is self.span:
            context_api.attach(outer)

    def change(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes that became known after the start."""
        if attributes and self.span.is_recording():
            self.span.set_attributes(attributes)
            if names.ACTION in attributes:
                self.span.update_name(_name(attributes))

    def end(self, attributes: Mapping[str, Any], error: BaseException | None) -> None:
        """End it; an exception is named by its class alone."""
        try:
            if error is not None:
                self.span.set_status(Status(StatusCode.ERROR))
                attributes = {**attributes, names.ERROR_TYPE: class_name(error)}
            self.change(attributes)
        finally:
            self.span.end()


def _name(attributes: Mapping[str, Any]) -> str:
    action = attributes.get(names.ACTION)
    return f"audit {action}" if action else "audit"


def _parent(server_span: Span | None) -> context_api.Context | None:
    """Return the context in which to start the span: the current one if it is in the trace of the request."""
    if server_span is None:
        return None
    current = trace.get_current_span()
    if current is server_span:
        return None
    wanted = server_span.get_span_context()
    if not wanted.is_valid or current.get_span_context().trace_id == wanted.trace_id:
        return None
    return trace.set_span_in_context(server_span)
