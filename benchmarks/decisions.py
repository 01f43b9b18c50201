"""Count the bytecodes of an authorization check, against the same decision recorded by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from opentelemetry import trace

from benchmarks import application
from benchmarks.application import Key
from benchmarks.bytecodes import bytecodes
from benchmarks.figure import Figure
from benchmarks.requests import asgi_request
from benchmarks.variants import ACTION, instrumented, tracer_provider

CHECK: Final = ("workspace:action_5", "workspace", "w_1")
"""The required permission, which the last of the key's scopes covers, and the resource."""

REQUIRE: Final = partial(application.require, *CHECK)

FEW, MANY = 8, 100


def figures(*, quick: bool) -> Iterator[Figure]:
    """Compare a check with a covering loop by hand, and many checks of a request with few."""
    key = application.make_key()
    application.present(key)
    provider = tracer_provider("recorded")
    tracer = trace.get_tracer("benchmarks", tracer_provider=provider)

    def added(check: Callable[[], object], checks: int = 1) -> int:
        """Return the number of bytecodes that checks add to a request."""
        return _count(tracer, check, checks) - _count(tracer, check, 0)

    def added_by_us(checks: int) -> int:
        counts = []
        for number in (0, checks):
            with instrumented(provider, authz_targets=["benchmarks.application:require"], audit_spans=False):
                counts.append(_count(tracer, REQUIRE, number))
        return counts[1] - counts[0]

    plain = added(REQUIRE)
    ours, by_hand = added_by_us(1) - plain, added(partial(decide, key)) - plain
    yield Figure(
        "decisions.check",
        "bytecodes that a decision adds to a check, against those by hand",
        ours / by_hand,
        1,
        details={"ours": ours, "by hand": by_hand},
    )
    few, many = (added_by_us(checks) / checks for checks in (FEW, MANY))
    yield Figure(
        "decisions.many",
        f"bytecodes of one of {MANY} checks in a request, against one of {FEW}",
        many / few,
        1.5,
        details={f"one of {MANY}": many, f"one of {FEW}": few},
    )


def _count(tracer: trace.Tracer, check: Callable[[], object], checks: int) -> int:
    return bytecodes(asgi_request(tracer, partial(_checked, check, checks)))


def _checked(check: Callable[[], object], checks: int) -> Any:
    """Make some checks between the authentication and the write of a request."""
    application.verify(application.CREDENTIAL)
    for _ in range(checks):
        check()
    return application.record(*ACTION, application.FIELDS)


def decide(key: Key) -> dict[str, Any]:
    """Check, find the scope that covers the permission, show the decision on the span, and return it for the row."""
    application.require(*CHECK)
    permission, resource_type, resource_id = CHECK
    resource = f"{resource_type}:{resource_id}"
    covering = {permission, f"{permission.partition(':')[0]}:*", "*", "*:*"}
    scope = next((scope for scope in key.scopes if scope in covering), None)
    allowing = {resource, f"{resource_type}:*", "*:*"}
    is_allowed = any(entry in allowing for entry in key.allow_list)
    decision: dict[str, Any] = {
        "required": [permission],
        "outcome": "granted",
        "cause": "scope" if scope and is_allowed else "other" if scope else "unknown",
        "resource": resource,
    }
    if scope and is_allowed:
        decision["scopes"] = [scope]
    trace.get_current_span().set_attributes({f"keyaudit.decision.{name}": value for name, value in decision.items()})
    return decision
