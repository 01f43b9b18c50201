"""The preparation for the first request runs once."""

import pytest

from otel_keyaudit.request import first_request
from otel_keyaudit.request.first_request import cancel_preparation, prepare_first_request, schedule_preparation


def test_preparation_runs_once() -> None:
    """A second preparation replaces the first if that has not run. A cancelled preparation never runs."""
    ran: list[str] = []
    schedule_preparation(lambda: ran.append("replaced"))
    schedule_preparation(lambda: ran.append("first"))
    prepare_first_request()
    prepare_first_request()
    schedule_preparation(lambda: ran.append("cancelled"))
    cancel_preparation()
    prepare_first_request()
    assert ran == ["first"]


def test_first_requests_at_once_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread takes the preparation after this one has seen it."""

    class Taken(list[object]):
        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr(first_request, "pending", Taken())
    prepare_first_request()
