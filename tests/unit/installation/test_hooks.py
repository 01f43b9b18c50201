"""Entry points of requests are patched when their module is there."""

import importlib

import pytest

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules


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
