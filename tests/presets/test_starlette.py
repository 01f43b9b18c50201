"""Starlette's authentication middleware with a backend of the application's, which no preset can know by name."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.credential import Credential
from presets.requests import assert_requests_are_recorded, requests, server_spans
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
RECORD = "presets.apps.starlette_app:record"
SNAPSHOT = {"id": "k_1", "name": "loader", "scopes": ["note:create"]}
REASON = "starlette.authentication.AuthenticationError"


def _header(number: object) -> dict[str, str]:
    return {"X-API-Key": f"starlette-s3cret-{number}"}


CREDENTIAL = Credential(_header(1), _header("x"), SNAPSHOT, ["starlette-s3cret"], REASON)


@pytest.fixture
def starlette_app() -> Any:
    """The module of the application."""
    from presets.apps import starlette_app  # noqa: PLC0415 - not everywhere

    return starlette_app


def test_the_key_is_on_the_row_and_on_the_span(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """The key is the result of the backend, the reason is its exception, and no result is anonymous."""
    keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])

    server = serving_asgi(starlette_app.app, keyaudit_recorder)
    assert_requests_are_recorded(server, "starlette", keyaudit_recorder, CREDENTIAL)


def test_an_application_that_has_answered_requests_is_reached(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """Middleware that was built before ``instrument()`` is reached."""
    app = starlette_app.application(starlette_app.Backend())
    with serving_asgi(app, keyaudit_recorder) as address:
        httpx.post(f"{address}/starlette", headers=CREDENTIAL.allowed)
        keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])
        httpx.post(f"{address}/starlette", headers=CREDENTIAL.allowed)

    assert_names(keyaudit_recorder.rows[-1], "k_1")


def test_a_user_without_an_id_is_known_by_its_identity(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """A user without an id is named by its identity, as Starlette's own user is."""
    keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])

    requests(serving_asgi(starlette_app.app, keyaudit_recorder), "starlette", _header(2))

    assert_names(keyaudit_recorder.rows[0], "k_2")


def test_a_user_that_is_not_authenticated_is_no_key(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """A backend can return an unauthenticated user to say that there is no key."""
    keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])

    assert requests(serving_asgi(starlette_app.app, keyaudit_recorder), "starlette", _header(3)) == [403]

    assert server_spans(keyaudit_recorder) == [{}]
    assert keyaudit_recorder.degraded() == {}


def test_each_class_of_backends_is_found_once(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """Two applications whose backends call each other count each request once per backend."""

    class Derived(starlette_app.Backend):
        async def authenticate(self, conn: Any) -> Any:
            return await super().authenticate(conn)

    class Inheriting(Derived):
        pass

    keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])

    for backend in (starlette_app.Backend(), Derived(), Inheriting(), Inheriting()):
        requests(serving_asgi(starlette_app.application(backend), keyaudit_recorder), "starlette", _header(1))

    assert [assert_names(row, "k_1")["name"] for row in keyaudit_recorder.rows] == ["loader"] * 4
    assert keyaudit_recorder.authentications() == {"accepted": 1 + 2 + 2 + 2, "denied": 0}


def test_backend_is_restored(starlette_app: Any, keyaudit_recorder: Recorder) -> None:
    """``uninstrument()`` restores the methods that were found while requests were served."""
    authenticate = starlette_app.Backend.authenticate
    before = authenticate.__code__
    keyaudit_recorder.instrument(presets="starlette", audit_targets=[RECORD])
    requests(serving_asgi(starlette_app.app, keyaudit_recorder), "starlette", _header(1))
    changed = authenticate.__code__

    keyaudit_recorder.__exit__(None, None, None)

    assert isinstance(authenticate, FunctionType)
    assert changed is not before
    assert authenticate.__code__ is before
