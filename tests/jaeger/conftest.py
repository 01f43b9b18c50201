"""A real Jaeger for the tests."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaeger.server import Jaeger

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "examples" / "jaeger" / "build" / "build.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the binary, so that `-m "not jaeger"` leaves it out."""
    for item in items:
        if isinstance(item, pytest.Function) and "jaeger_binary" in item.fixturenames:
            item.add_marker("jaeger")


@pytest.fixture(scope="session")
def jaeger_binary() -> Path:
    """The Jaeger that `make jaeger` has built; without it these tests fail in CI and are skipped elsewhere."""
    spec = importlib.util.spec_from_file_location("build", BUILD)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    if binary := build.binary():
        return Path(binary)
    reason = "Jaeger is not built yet: run `make jaeger` (needs Go, takes about 5 minutes once)"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def jaeger(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger with memory storage that all tests of the session share: use key ids and services of your own."""
    with Jaeger(jaeger_binary, HERE / "memory.yaml", tmp_path_factory.mktemp("jaeger")) as server:
        yield server
