"""The usual authentication, in one step: it has returned a key that is known, in a request.

It does what the steps of ``authentication`` do, and nothing of what they do for other cases. Whenever
anything is out of the ordinary, it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.presented_credential import all_presented

if TYPE_CHECKING:
    from otel_keyaudit.observers.authentication import Authentication, AuthenticationMoment


def usual_authentication(plan: Authentication) -> Callable[[AuthenticationMoment], bool] | None:
    """Return the step that concludes a usual call of a target, and does nothing about any other.

    Returns:
        ``None`` for a target that has no usual calls.
    """
    if plan.when is not None or plan.valid is not None or plan.key is not None:
        return None
    reader_of, presented_in, count = plan.fields.reader_of_class, plan.tripwire.presented, plan.count_accepted

    def conclude(moment: AuthenticationMoment) -> bool:
        found = moment.result
        if moment.exc is not None:
            return False
        kind, request = type(found), current_request()
        reader = reader_of(kind)
        if kind is not plan.last_class or reader is None or request is None or not request.is_open:
            return False
        moment.reader = reader
        content = reader.content(moment, found)
        key = reader.known(content[0])
        if key is None:
            moment.content = content
            return False
        presented = presented_in(moment, request.scope)
        if presented:
            for credential in presented:
                if credential in key.written:
                    return False
            request.presented = all_presented(request.presented, presented)
        request.accept(key, moment)
        count()
        return True

    return conclude
