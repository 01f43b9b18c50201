"""A real Jaeger for the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import processes
from integration.jaeger.server import Jaeger


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the binary, so that `-m "not jaeger"` leaves them out."""
    for item in items:
        if isinstance(item, pytest.Function) and "jaeger_binary" in item.fixturenames:
            item.add_marker("jaeger")


@pytest.fixture(scope="session")
def jaeger_binary() -> Path:
    """The Jaeger that `make jaeger` builds; without it these tests fail in CI and are skipped elsewhere."""
    try:
        return processes.jaeger_binary()
    except processes.ServerError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def jaeger(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger with memory storage that all tests of the session share: use your own key ids and services."""
    config = Path(__file__).parent / "memory.yaml"
    with Jaeger(jaeger_binary, config, tmp_path_factory.mktemp("jaeger")) as server:
        yield server
