"""waitress, which gets its application as an argument."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder
from support.services import bare


@pytest.mark.parametrize("arguments", [((None,), {}), ((), {"application": None})])
def test_waitress_without_an_application(arguments: Any, recorder: Recorder) -> None:
    """The server raises its own error, whichever way the argument is passed."""
    waitress: Any = pytest.importorskip("waitress")
    bare.instrument(recorder)
    args, kwargs = arguments
    with pytest.raises(ValueError, match="application"):
        waitress.create_server(*args, **kwargs)


@pytest.mark.parametrize("by_keyword", [True, False])
def test_waitress_gets_its_application(by_keyword: bool, recorder: Recorder) -> None:
    """Requests are delimited, whether the application is passed by position or by keyword."""
    waitress: Any = pytest.importorskip("waitress")
    bare.instrument(recorder)
    options = {"host": "127.0.0.1", "port": 0, "clear_untrusted_proxy_headers": True}
    if by_keyword:
        server = waitress.create_server(application=bare.wsgi_app, **options)
    else:
        server = waitress.create_server(bare.wsgi_app, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.effective_port}") as client:
            for path, key in (("/a", "ka"), ("/b", ""), ("/c", "kc")):
                assert client.get(path, headers={"x-api-key": key} if key else {}).text == "ok"
    finally:
        server.trigger.pull_trigger(server.close)
        thread.join(10)
    named = {action.partition(":")[0]: key for action, key in bare.named().items()}
    assert named == {"/a": "ka", "/b": None, "/c": "kc"}
