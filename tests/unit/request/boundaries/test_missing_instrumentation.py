"""The remedy for a key that is accepted outside of every request."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from otel_keyaudit.request.boundaries.missing_instrumentation import (
    _INSTRUMENTATIONS,
    _module,
    missing_instrumentation_hint,
)


@pytest.fixture(autouse=True)
def _nothing_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, package in _INSTRUMENTATIONS.items():
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.delitem(sys.modules, _module(package), raising=False)


def test_use_key_is_always_a_remedy() -> None:
    """A script has no framework, so the remedy is ``use_key``."""
    hint = missing_instrumentation_hint()
    assert hint == "put `with use_key(key):` around the work, or serve the application by ASGI or WSGI"


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("aiohttp.web", "opentelemetry-instrumentation-aiohttp-server"),
        ("tornado.web", "opentelemetry-instrumentation-tornado"),
        ("grpc", "opentelemetry-instrumentation-grpc"),
        ("sanic", "opentelemetry-instrumentation-sanic"),
    ],
)
def test_instrumentation_of_an_imported_framework(
    module: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint names the distribution and the imported module."""
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    hint = missing_instrumentation_hint()
    assert hint.startswith(f"install and enable {distribution} ({module} is imported), or put `with use_key(key):`")


def test_framework_that_only_its_instrumentation_imported_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is the only one. Then it is enabled, and the remedy is ``use_key``."""
    for module in ("celery", "opentelemetry.instrumentation.celery"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    assert missing_instrumentation_hint() == (
        "put `with use_key(key):` around the work, because opentelemetry-instrumentation-celery (celery is imported) "
        "opened no span of a request around it"
    )
    monkeypatch.setitem(sys.modules, "aiohttp.web", ModuleType("aiohttp.web"))
    hint = missing_instrumentation_hint()
    assert hint.startswith(
        "install and enable opentelemetry-instrumentation-aiohttp-server (aiohttp.web is imported), or put"
    )
