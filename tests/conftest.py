"""Fixtures of all tests: a recorder, modules that last for one test, and a check that nothing is left behind."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import trace

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.observers.authentication.call import AuthenticationCall
from otel_keyaudit.request import context
from otel_keyaudit.testing import Recorder
from support.applications import shop as shop_module
from support.environment.modules import LoadModule, Modules

# No example is judged by its time. The full form is chosen with --hypothesis-profile=full.
settings.register_profile("quick", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("full", settings.get_profile("quick"), derandomize=False, max_examples=5_000)
settings.load_profile("quick")


def pytest_sessionstart() -> None:
    """Undo what the parent process has set for its children.

    A shell ignores interrupts in its background jobs. mutmut forks the process that has run the tests: their objects
    are frozen, and the thread in which asgiref runs synchronous code is lost.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.unfreeze()
    if "asgiref.sync" in sys.modules:
        sys.modules["asgiref.sync"].SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


@pytest.fixture(autouse=True)
def _nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without options from outside; uninstrument at the end and check that no context is left."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    instrumentor = KeyAuditInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    assert context.CALL.get() is None
    assert context.USED_KEY.get() is None
    assert AuthenticationCall.innermost.get() is None
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.fixture
def recorder(_nothing_left_behind: None) -> Iterator[Recorder]:
    """A recorder that accepts wrong and pending targets and keeps no rows; it uninstruments at the end."""
    with Recorder(strict=False, keep_rows=False) as made:
        yield made


@pytest.fixture
def shop() -> Iterator[ModuleType]:
    """The application of most tests; its rows and keys last for one test."""
    yield shop_module
    shop_module.ROWS.clear()
    shop_module.KEYS.clear()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    """Modules on disk that can be imported during one test: ``modules.write(source)``."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    made = Modules(folder)
    yield made
    made.forget()


@pytest.fixture
def load_module(modules: Modules) -> LoadModule:
    """A function that writes a module and imports it; targets name it by its ``__name__``."""
    return modules.load
