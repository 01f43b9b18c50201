"""Which bodies of WSGI responses may still run code of the application when the server reads them."""

from __future__ import annotations

from typing import Any
from wsgiref.util import FileWrapper

import pytest

from otel_keyaudit.request.boundaries.response_body import runs_code


class Chunks(list[bytes]):
    """May do anything when it is read."""


@pytest.mark.parametrize(
    ("body", "environ", "expected"),
    [
        (None, {}, False),
        ([b"1"], {}, False),
        ((b"1",), {}, False),
        (Chunks(), {}, True),
        (iter([b"1"]), {}, True),
        (iter([b"1"]), {"wsgi.file_wrapper": "not a class"}, True),
        (iter([b"1"]), {"wsgi.file_wrapper": FileWrapper}, True),
        (FileWrapper(None), {"wsgi.file_wrapper": FileWrapper}, False),  # type: ignore[arg-type]
        (FileWrapper(None), {}, True),  # type: ignore[arg-type]
        (iter([b"1"]), None, True),
    ],
)
def test_a_body_that_runs_code(body: Any, environ: Any, expected: bool) -> None:
    """All but those that are plain data and the server's own files; an environ may be anything an application gets."""
    assert runs_code(body, environ) is expected
