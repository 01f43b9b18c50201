"""Delimit requests by the request contexts that an application pushes inside another request.

A batch endpoint of Flask or Quart may dispatch its items itself: it pushes a request context for each item
(``app.test_request_context``) and calls ``app.full_dispatch_request``. No application is called for such an item.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from opentelemetry.context import Context, get_current

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request.attribution import UNATTRIBUTED
from otel_keyaudit.request.boundaries.entry_points import Arguments, EntryPoint
from otel_keyaudit.request.boundaries.running import await_inside, leave, run_inside, use_inside
from otel_keyaudit.request.boundaries.same_request import is_inner_request
from otel_keyaudit.request.context import CALL, USED_KEY, Request, UsedKey, current_attribution, current_request
from otel_keyaudit.request.server_span import ServerSpans

_PUSHES = "otel_keyaudit_pushes"
"""Attribute of a context: its open pushes since it began a request, ``None`` for each push that began none."""


class _Push(NamedTuple):
    """A push that began a request, with the context around it."""

    request: Request
    call: Request | None
    used: UsedKey | None
    context: Context


class InnerRequest(Request):
    """A request whose rows receive the key of the outer request until it authenticates itself.

    A context is also pushed to render a template or to build a URL in the name of the outer request.

    Args:
        spans: Shows the state of a request on its server span.
        scope: The ASGI scope or WSGI environ.
        outer: The request in which the context was pushed.
    """

    def __init__(self, spans: ServerSpans, scope: Any, outer: Request | None) -> None:
        super().__init__(spans, scope)
        self.within = outer
        self.attribution = current_attribution(outer)
        if outer is not None:
            self.presented = outer.presented
        self.has_outer_key = True

    def accept(self, *args: Any, **options: Any) -> bool:
        """Record a key that an authentication accepted, in place of the key of the outer request."""
        self.has_outer_key = False
        return super().accept(*args, **options)

    def deny(self, *args: Any) -> ApiKey | None:
        """Record a denial, which also ends the use of the key of the outer request."""
        if self.has_outer_key:
            self.has_outer_key, self.attribution = False, UNATTRIBUTED
        return super().deny(*args)


class PushedContexts:
    """Creates the handlers of the entry points that push and pop a request context.

    Args:
        spans: Shows the state of a request on its server span.
    """

    def __init__(self, spans: ServerSpans) -> None:
        self._request_spans = spans
        self.handlers: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "push": self._push,
            "pop": partial(_pop, run_inside),
            "pop_later": partial(_pop, await_inside),
        }

    def _push(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        scope_of = entry.subject

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            quietly(begin, args)
            return original(*args, **kwargs)

        def begin(args: Arguments) -> None:
            scope, call = scope_of(args), CALL.get()
            if scope is not None and (call is None or call.scope is not scope or hasattr(args[0], _PUSHES)):
                self._begin(args[0], scope)

        return handler

    def _begin(self, context: Any, scope: Any) -> None:
        """Begin a request, unless the context belongs to the current request or is pushed outside of every request."""
        pushes: list[_Push | None] | None = getattr(context, _PUSHES, None)
        if is_inner_request(scope):
            request, used = InnerRequest(self._request_spans, scope, current_request()), USED_KEY.get()
            setattr(context, _PUSHES, [*(pushes or ()), _Push(request, CALL.get(), used, get_current())])
            CALL.set(request)
            use_inside(request, used)
        elif pushes:
            pushes.append(None)


def _pop(run: Callable[..., Any], _: EntryPoint, original: Callable[..., Any]) -> Handler:
    """Create a handler that runs the end of an inner request, such as its teardown functions, inside the request."""

    def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
        pushes = getattr(args[0], _PUSHES, None)
        request = quietly(_leave, pushes) if pushes else None
        return original(*args, **kwargs) if request is None else run(request, partial(original, *args, **kwargs))

    return handler


def _leave(pushes: list[_Push | None]) -> Request | None:
    """Restore the context around the last push, and return its request, which is still open."""
    push = pushes.pop()
    if push is None:
        return None
    push.request.lasts = True
    leave(*push)
    push.request.lasts = False
    return push.request
