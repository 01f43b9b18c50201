"""Exceptions that refuse a caller, and exceptions that report a failure."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit.observers.refusals import is_denied_access, is_refusal


class ApplicationError(Exception):
    """An exception with attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("attributes", "refuses"),
    [
        ({}, False),
        ({"status_code": 399}, False),
        ({"status_code": 400}, True),
        ({"status_code": 499}, True),
        ({"status_code": 500}, False),
        ({"code": 404}, True),
        ({"status": 404}, True),
        ({"status": "404"}, False),
        ({"code": "not_found", "status": 404}, True),
        ({"code": 1001, "status": 404}, True),  # an error number of the application
        ({"status_code": 500, "code": 404}, False),
        ({"status_code": True}, False),
    ],
)
def test_http_status(attributes: dict[str, Any], refuses: bool) -> None:
    """The first attribute with an HTTP status counts."""
    assert is_refusal(ApplicationError(**attributes)) is refuses


@pytest.mark.parametrize(("status", "denies"), [(401, True), (403, True), (400, False), (404, False)])
def test_status_that_denies_access(status: int, denies: bool) -> None:
    """Access is denied by 401 and 403 only."""
    assert is_denied_access(ApplicationError(status_code=status)) is denies
