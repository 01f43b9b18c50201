"""Unkey's client, against a stand-in for its service: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import make_server

import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, Credential
from presets.requests import assert_requests_are_recorded, requests
from presets.serving import Quiet, serving_wsgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
SNAPSHOT = {
    "id": "key_1",
    "name": "loader",
    "scopes": ["note:create"],
    "owner": "owner-1",
    "expires_at": EXPIRES_AT,
}


def test_the_key_is_on_the_row_and_on_the_span(keyaudit_recorder: Recorder) -> None:
    """A refused key is named as denied, although the service answers 200."""
    from presets.apps import unkey_app  # noqa: PLC0415 - not everywhere

    headers = {"X-API-Key": unkey_app.ALLOWED}, {"X-API-Key": "unkey-s3cret-x"}
    credential = Credential(*headers, SNAPSHOT, ["unkey-s3cret", "root-s3cret"], "valid", "key_2")
    keyaudit_recorder.instrument(presets="unkey", audit_targets=["presets.apps.unkey_app:record"])

    with _serving(unkey_app.service) as address:
        app = unkey_app.application(address)
        assert_requests_are_recorded(serving_wsgi(app, keyaudit_recorder), "", keyaudit_recorder, credential)


def test_unknown_key_is_denied_and_is_no_failure(keyaudit_recorder: Recorder) -> None:
    """The service has no id for a key that it does not know."""
    from presets.apps import unkey_app  # noqa: PLC0415 - not everywhere

    keyaudit_recorder.instrument(presets="unkey")

    with _serving(unkey_app.service) as address:
        app = unkey_app.application(address)
        assert requests(serving_wsgi(app, keyaudit_recorder), "", {"X-API-Key": unkey_app.UNKNOWN}) == [401]

    assert keyaudit_recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}
    assert keyaudit_recorder.degraded() == {}


@contextmanager
def _serving(service: Any) -> Iterator[str]:
    """Serve the stand-in; yield its address."""
    with make_server("127.0.0.1", 0, service, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
