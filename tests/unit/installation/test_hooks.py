"""Functions of libraries are patched when their module is there."""

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions

from otel_keyaudit import ApiKey, KeyAuditInstrumentor, current_key, use_key
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.guard.metrics import Metrics
from otel_keyaudit.installation.hooks import Hooks
from otel_keyaudit.patching.modules.import_hook import ModuleWatch
from otel_keyaudit.request.workers import propagation
from otel_keyaudit.request.workers.propagation import HandoverPoint, KeyHandover
from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules

SERVER = """
def serve(*, port):
    return port

alias = serve
number = 1
"""


@pytest.fixture
def watch() -> Iterator[ModuleWatch]:
    """A watch of imports that ends with the test."""
    made = ModuleWatch()
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_framework_without_its_usual_entry_point_is_left_alone(
    recorder: Recorder, modules: Modules, comes_first: bool
) -> None:
    """An unusual release, or another module of that name, stops nothing from being instrumented."""
    app = modules.load("def verify(key):\n    return None\n")
    framework = modules.write("class Application: ...", "bottle")
    if comes_first:
        importlib.import_module(framework)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    assert importlib.import_module(framework).Application
    (status,) = KeyAuditInstrumentor().status()
    assert (status.state, status.reason) == ("active", "all of its calls are observed")


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_function_is_called_once_before_a_program_serves(
    watch: ModuleWatch, modules: Modules, comes_first: bool
) -> None:
    """It is called once also if the function has two names, its failure stops nothing, and the arguments are kept."""
    name = modules.write(SERVER)
    if comes_first:
        importlib.import_module(name)
    started: list[int] = []

    def start() -> None:
        started.append(1)
        raise LookupError

    hooks = Hooks(watch)
    hooks.add_start_points(start, [f"{name}:{function}" for function in ("serve", "alias", "number", "missing")])
    module = importlib.import_module(name)
    code = module.serve.__code__
    assert module.serve(port=80) == 80
    assert started == [1]
    hooks.undo()
    assert module.serve.__code__ is not code
    assert module.serve(port=81) == 81
    assert started == [1]


JOBS = """
def submit(work):
    return work
"""


def hand_over(module: ModuleType, handover: KeyHandover) -> Callable[[], object]:
    """Patch the function that starts a job so that the job gets the current key."""

    def call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return original(handover.with_key(args[0]))

    return propagation.wrap(module, "submit", call)


@pytest.mark.parametrize("comes_first", [True, False])
def test_jobs_get_the_key_until_everything_is_restored(watch: ModuleWatch, modules: Modules, comes_first: bool) -> None:
    """A library whose functions are different is counted, and the others are patched."""

    def broken(module: ModuleType, handover: KeyHandover) -> Callable[[], object]:
        raise LookupError(module.__name__)

    names = [modules.write(JOBS), modules.write(JOBS)]
    if comes_first:
        for name in names:
            importlib.import_module(name)
    metrics = Metrics()
    hooks = Hooks(watch)
    points = [HandoverPoint(name, patch) for name, patch in zip(names, (broken, hand_over), strict=True)]
    hooks.add_handover_points(KeyHandover(Faults(metrics)), points)
    other, library = map(importlib.import_module, names)
    with use_key(ApiKey("k_1")):
        job = library.submit(current_key)
        assert other.submit(current_key) is current_key
    assert job() == ApiKey("k_1")
    assert current_key() is None
    assert [(dict(one.attributes or {}), one.value) for one in metrics.degraded.observe(CallbackOptions())] == [
        ({"keyaudit.stage": "authentication", "error.type": "LookupError"}, 1)
    ]
    hooks.undo()
    with use_key(ApiKey("k_1")):
        assert library.submit(current_key) is current_key
