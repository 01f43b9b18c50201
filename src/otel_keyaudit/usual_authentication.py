"""The usual authentication, in one step: it has returned a key that is known, in a request.

It does what the steps of :mod:`otel_keyaudit.authentication` do, and nothing of what they do for other cases. Whenever
anything is out of the ordinary, it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_keyaudit.finalizers import collection
from otel_keyaudit.request_state import call_in_context
from otel_keyaudit.tripwire import all_presented

if TYPE_CHECKING:
    from otel_keyaudit.authentication import Authentication, AuthenticationMoment


def usual_authentication(plan: Authentication) -> Callable[[AuthenticationMoment], bool]:
    """Return the step that concludes a usual call of a target, and does nothing about any other."""
    is_never_usual = plan.when is not None or plan.valid is not None or plan.key is not None
    reader_of, presented_in, count = plan.fields.reader_of_class, plan.tripwire.presented, plan.count_accepted

    def conclude(moment: AuthenticationMoment) -> bool:
        if is_never_usual or moment.exc is not None or collection.thread is not None:
            return False
        found = moment.result
        kind, request = type(found), call_in_context()
        reader = reader_of(kind)
        if kind is not plan.last_class or reader is None or request is None:
            return False
        if not request.is_open or request.has_consumers:
            return False
        moment.reader = reader
        moment.content = content = reader.content(moment, found)
        key = reader.known(content)
        if key is None:
            return False
        presented = presented_in(moment, request.scope)
        for credential in presented:
            if credential in key.written:
                return False
        if presented and presented != request.presented:
            request.presented = all_presented(request.presented, presented)
        request.accept(key, moment)
        count()
        return True

    return conclude
