"""Targets on methods that an application overrides for a library, which calls them itself."""

from __future__ import annotations

from types import ModuleType

import pytest

from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import AuthOverrideTarget
from otel_keyaudit.targets.target import AuthTarget
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

SERVICE = """
    class Key:
        id = "k_1"

    def verify(*args):
        return Key()

    class Backend:
        def authenticate(self):
            return verify()

    class Inheriting(Backend):
        pass

    class Static:
        authenticate = staticmethod(verify)

    class Assigned:
        def __init__(self):
            self.authenticate = verify

    class Callable:
        class Method:
            __call__ = verify
        authenticate = Method()

    class Middleware:
        def __init__(self, backend):
            self.backend = backend
        def run(self):
            return self.backend.authenticate()

    class Own:
        def run(self):
            return self.authenticate()
        def authenticate(self):
            return {"id": "k_1", "prefix": "p_1"}

    class Unfit:
        @property
        def authenticate(self):
            return verify

    class Without(Middleware):
        def __init__(self):
            pass
        def run(self):
            super_run = Middleware.run
            try:
                return super_run(self)
            except AttributeError:
                return "no backend"

    def record(additional_fields=None):
        return additional_fields
"""


@pytest.fixture
def service(recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A service, instrumented with a preset for its middleware."""
    module = load_module(SERVICE)
    targets = (
        AuthOverrideTarget(f"{module.__name__}:Middleware.run", method="backend.authenticate"),
        AuthOverrideTarget(f"{module.__name__}:Own.run", method="authenticate", id="prefix"),
    )
    made = Preset(library="pytest", oldest="1", records="", never="", targets=targets)
    monkeypatch.setattr(presets, "preset", lambda name: made)  # in place of the real one
    recorder.instrument(presets="knox", audit_targets=[f"{module.__name__}:record"])
    return module


@pytest.mark.parametrize("backend", ["Backend", "Inheriting", "Static", "Assigned", "Callable"])
def test_every_kind_of_override_is_observed(backend: str, recorder: Recorder, service: ModuleType) -> None:
    """Methods, inherited and static ones, attributes of the object and callable objects are observed."""
    middleware = service.Middleware(getattr(service, backend)())

    for _ in range(2):
        with recorder.request():
            middleware.run()
            assert service.record()["request_api_key"]["id"] == "k_1"

    assert recorder.count("keyaudit.authentications") == 2
    assert recorder.errors() == {}


def test_missing_override_is_counted_and_the_call_goes_on(recorder: Recorder, service: ModuleType) -> None:
    """The application handles the missing attribute as before, and it is counted."""
    with recorder.request():
        assert service.Without().run() == "no backend"

    assert recorder.errors() == {("authentication", "AttributeError"): 1}


def test_status_names_no_target_of_the_method_that_calls_the_override(
    recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another target on the library's method observes other calls, another one on the override observes its calls."""
    module = load_module(SERVICE)
    library, override = f"{module.__name__}:Middleware.run", f"{module.__name__}:Backend.authenticate"
    targets = AuthTarget(library, when="return"), AuthOverrideTarget(library, method="backend.authenticate")
    made = Preset(library="pytest", oldest="1", records="", never="", targets=targets)
    monkeypatch.setattr(presets, "preset", lambda name: made)  # in place of the real one

    for auth_targets, expected in ([], False), ([override], True):
        recorder.instrument(presets="knox", auth_targets=auth_targets)
        module.Middleware(module.Backend()).run()
        assert ("comes first" in recorder.status()[library].reason) is expected
        recorder.uninstrument()


def test_uninstrument_restores_an_override(recorder: Recorder, service: ModuleType) -> None:
    """The override has its own code again."""
    before = service.Backend.authenticate.__code__
    service.Middleware(service.Backend()).run()
    assert service.Backend.authenticate.__code__ is not before

    recorder.uninstrument()

    assert service.Backend.authenticate.__code__ is before


def test_override_is_observed_for_every_object_of_its_class(recorder: Recorder, service: ModuleType) -> None:
    """Two objects of one class are observed."""
    for _ in range(2):
        service.Middleware(service.Backend()).run()

    assert recorder.count("keyaudit.authentications") == 2


def test_fields_of_the_target_apply_to_a_method_of_the_object_itself(recorder: Recorder, service: ModuleType) -> None:
    """The fields apply if the library's class calls its own abstract method."""
    with recorder.request():
        service.Own().run()
        assert service.record()["request_api_key"]["id"] == "p_1"


def test_override_that_cannot_be_observed_is_counted_once(
    recorder: Recorder, service: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """The application is served as before, and later calls of the class count nothing."""
    for _ in range(3):
        assert service.Middleware(service.Unfit()).run().id == "k_1"

    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.WrongTargetError"): 1}
    (message,) = caplog.messages
    assert message.startswith(f"keyaudit: {service.__name__}:Middleware.run: authentication failed with ")
