"""The application of a server is replaced, and every other argument is passed on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otel_keyaudit.request.boundaries.entry_points import ENTRY_POINTS, EntryPoint
from otel_keyaudit.request.boundaries.handlers import Boundaries

SERVERS = [entry for entry in ENTRY_POINTS if entry.protocol in ("asgi_application", "wsgi_application")]


def _boundaries() -> Boundaries:
    return Boundaries(None)  # type: ignore[arg-type]


def _passed(entry: EntryPoint, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that the original of an entry point gets."""
    return _boundaries().handler(entry, lambda *args, **kwargs: (args, kwargs))(args, kwargs)  # type: ignore[no-any-return]


def _application(environ: Any, start_response: Any) -> list[bytes]:
    return [b"ok"]


async def _asgi_application(scope: Any, receive: Any, send: Any) -> list[bytes]:
    return [b"ok"]


def _answer(entry: EntryPoint, application: Any) -> Any:
    """Return what an application answers that an entry point passed on."""
    if entry.protocol == "wsgi_application":
        return application({"PATH_INFO": "/"}, None)
    return asyncio.run(application({"type": "http"}, None, None))


@pytest.mark.parametrize("entry", SERVERS, ids=lambda entry: entry.path)
def test_only_the_application_is_replaced(entry: EntryPoint) -> None:
    """Other arguments that are the same object or ``None`` are not replaced."""
    application = _application if entry.protocol == "wsgi_application" else _asgi_application
    given: list[Any] = [None, None, application, application]
    given[entry.position] = application
    args, kwargs = _passed(entry, *given, other=application, empty=None)
    assert kwargs == {"other": application, "empty": None}
    assert [one is other for one, other in zip(args, given, strict=True)] == [
        number != entry.position for number in range(4)
    ]
    assert _answer(entry, args[entry.position]) == [b"ok"]


@pytest.mark.parametrize("application", [None, "shop:app", 7])
@pytest.mark.parametrize("entry", SERVERS, ids=lambda entry: entry.path)
def test_application_that_cannot_be_called_stays(entry: EntryPoint, application: Any) -> None:
    """The server reports the error itself."""
    given = (application,) * 4
    args, _ = _passed(entry, *given)
    assert args == given


def test_wsgiref_handler_that_runs_none() -> None:
    """``None`` is passed on to the server."""
    entry = next(entry for entry in SERVERS if entry.path.startswith("wsgiref"))
    assert _passed(entry, "self", None) == (("self", None), {})
