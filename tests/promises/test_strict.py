"""With ``strict`` a missing target is an error at once, or in the log later, and never breaks an import."""

import importlib
from typing import Any

import pytest

from otel_keyaudit import ConfigurationError, KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule, Modules

APP = """
class Service:
    def record(self, additional_fields=None):
        pass

def verify(key):
    return key

def record(action, additional_fields=None):
    return additional_fields
"""
WRONG = ["missing", "verify?id=args.missing", "Service", "verify?id=self.id", "Service.missing"]
"""A name, parameter, or method that is not there, and a class in place of a function."""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that is imported."""
    return load_module(APP)


@pytest.mark.parametrize("target", WRONG)
def test_a_wrong_target_raises(recorder: Recorder, app: Any, target: str) -> None:
    """The error names the target, and all earlier targets are restored."""
    before = app.verify.__code__
    written = f"{app.__name__}:{target}"
    with pytest.raises(ConfigurationError, match=app.__name__) as caught:
        recorder.instrument(auth_targets=[f"{app.__name__}:verify", written], strict=True)
    assert repr(written) in str(caught.value)
    assert app.verify.__code__ is before
    assert KeyAuditInstrumentor().status() == []
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], strict=True)
    assert len(recorder.status()) == 1


@pytest.mark.parametrize("target", WRONG)
def test_without_strict_a_wrong_target_is_one_warning(
    recorder: Recorder, app: Any, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and ``status()`` report the wrong target, and all others are active."""
    written = f"{app.__name__}:{target}"
    recorder.instrument(auth_targets=[f"{app.__name__}:verify", written])
    assert [status.state for status in recorder.status().values()] == ["active", "wrong"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert written in record.getMessage()
    assert recorder.status()[written].reason in record.getMessage()


def test_an_audit_target_without_additional_fields_is_wrong(recorder: Recorder, app: Any) -> None:
    """The target needs the default parameter, which the function does not have."""
    recorder.instrument(audit_targets=[f"{app.__name__}:verify"])
    (status,) = recorder.status().values()
    assert status.state == "wrong"
    assert "additional_fields" in status.reason


@pytest.mark.parametrize("strict", [True, False])
def test_a_package_that_does_not_exist_is_wrong(recorder: Recorder, strict: bool) -> None:
    """Its top-level package cannot be found, so no import can load it."""
    target = "keyaudit_nowhere.security:verify"
    if strict:
        with pytest.raises(ConfigurationError, match="keyaudit_nowhere"):
            recorder.instrument(auth_targets=[target], strict=True)
    else:
        recorder.instrument(auth_targets=[target])
        assert recorder.status()[target].state == "wrong"


def test_for_the_loader_a_package_that_does_not_exist_is_pending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The application's folder may not be importable yet, so even ``strict`` accepts the target."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS", "keyaudit_nowhere.security:verify")
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_STRICT", "TRUE")
    KeyAuditInstrumentor().instrument(skip_dep_check=True)
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["pending"]
    assert not caplog.records


@pytest.mark.parametrize(("strict", "level"), [(True, "ERROR"), (False, "WARNING")])
def test_target_that_proves_wrong_at_an_import_is_logged(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture, strict: bool, level: str
) -> None:
    """The import works, and the line comes once, even after requests."""
    name = modules.write(APP)
    recorder.instrument(auth_targets=[f"{name}:missing", f"{name}:verify"], strict=strict)
    assert not caplog.records
    importlib.import_module(name)
    for _ in range(2):
        with recorder.request():
            pass
    (record,) = caplog.records
    assert record.levelname == level
    assert f"{name}:missing" in record.getMessage()
    assert [status.state for status in recorder.status().values()] == ["wrong", "active"]


def test_pending_target_is_one_warning_at_the_first_request(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """Each pending target has one line at the first request, and is still instrumented when its module comes."""
    name = modules.write(APP)
    recorder.instrument(audit_targets=[f"{name}:record"], strict=True)
    for _ in range(2):
        with recorder.request():
            pass
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{name}:record" in record.getMessage()
    importlib.import_module(name).record("create", {})
    assert recorder.writes()["none"] == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("sampler", ["keyaudit_nowhere:choose", "json:choose"])
def test_a_sampler_that_can_never_be_found_is_an_error_at_once(recorder: Recorder, app: Any, sampler: str) -> None:
    """A sampler whose package or name cannot exist is an error, also without ``strict``."""
    with pytest.raises(ConfigurationError, match="sampler") as caught:
        recorder.instrument(audit_targets=[f"{app.__name__}:record"], sampler=sampler)
    assert sampler in str(caught.value)


def test_a_failed_import_of_the_application_is_its_own(recorder: Recorder, modules: Modules) -> None:
    """A module that raises on import raises the same exception and can be imported again."""
    name = modules.write("raise LookupError('of the application')\n")
    recorder.instrument(auth_targets=[f"{name}:verify"], strict=True)
    for _ in range(2):
        with pytest.raises(LookupError, match="of the application"):
            importlib.import_module(name)
    assert recorder.status()[f"{name}:verify"].state == "pending"
