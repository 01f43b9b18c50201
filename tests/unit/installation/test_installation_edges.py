"""What is said of a target, word by word; entry points that share a function; what is kept of a target taken off."""

import importlib
import logging
import sys
from types import FunctionType
from typing import Any

import pytest

from otel_keyaudit import AuthTarget, KeyAuditInstrumentor
from support.keyaudit import KeyAudit, LoadModule, Modules

SECURITY = "def verify(key):\n    return None\n\ndef record(action):\n    pass\n"


def statuses() -> list[tuple[str, str]]:
    """Return state and reason of each target."""
    return [(status.state, status.reason) for status in KeyAuditInstrumentor().status()]


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was logged, with its level."""
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_target_that_can_never_fire_is_said_so_once(
    keyaudit: KeyAudit, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """With the target as written and the reason that the status has, when it is found out."""
    name = load_module(SECURITY).__name__
    reason = (
        "it has no parameter 'additional_fields'; add fields=… with the place of the additional fields, or fields=none"
    )
    keyaudit.instrument(audit_targets=[f"{name}:record?action=args.action"])
    assert said(caplog) == [("WARNING", f"keyaudit: target {name}:record?action=args.action is wrong: {reason}")]
    assert statuses() == [("wrong", reason)]
    with keyaudit.request():
        pass
    assert len(caplog.records) == 1


def test_a_package_is_named_alone(keyaudit: KeyAudit, caplog: pytest.LogCaptureFixture) -> None:
    """It is the package that does not exist, whatever was looked for inside of it."""
    keyaudit.instrument(auth_targets=["keyaudit_no_such.deep.security:verify"])
    assert statuses() == [("wrong", "there is no package 'keyaudit_no_such'")]
    assert len(caplog.records) == 1


def test_what_waits_at_the_first_request_is_said(keyaudit: KeyAudit, caplog: pytest.LogCaptureFixture) -> None:
    """With the target as written and what it waits for."""
    keyaudit.instrument(auth_targets=["email.mime.audio:verify"])
    with keyaudit.request():
        pass
    reason = "module 'email.mime.audio' is not imported yet"
    assert said(caplog) == [
        ("WARNING", f"keyaudit: target email.mime.audio:verify is not active at the first request: {reason}")
    ]


@pytest.mark.parametrize(("strict", "level"), [(False, "WARNING"), (True, "ERROR")])
def test_what_turns_out_later_is_said_with_its_level(
    keyaudit: KeyAudit, modules: Modules, caplog: pytest.LogCaptureFixture, strict: bool, level: str
) -> None:
    """An error in the log where the user asked for one."""
    name = modules.write(SECURITY)
    keyaudit.instrument(auth_targets=[f"{name}:missing"], strict=strict)
    assert caplog.records == []
    __import__(name)
    ((found, message),) = said(caplog)
    assert found == level
    assert message.startswith(f"keyaudit: target {name}:missing is wrong: ")


def test_references_that_stay_are_said_and_pass_calls_through_afterwards(
    keyaudit: KeyAudit, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """A tuple keeps what it holds: that is said with the number, and the target is active all the same."""
    app = load_module(
        """
        from functools import lru_cache

        @lru_cache
        def verify(key):
            return None

        KEPT = (verify,)
        """
    )
    target = f"{app.__name__}:verify"
    keyaudit.instrument(auth_targets=[target])
    reason = (
        "1 earlier reference (in a tuple or compiled code) could not be replaced; calls through it are not recorded"
    )
    with keyaudit.request():
        assert statuses() == [("active", reason)]
    assert said(caplog) == [("WARNING", f"keyaudit: target {target}: {reason}")]


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_framework_without_its_usual_entry_point_is_left_alone(
    keyaudit: KeyAudit, modules: Modules, comes_first: bool
) -> None:
    """Another release of one, or another module of that name, keeps nothing from being instrumented."""
    app = modules.load(SECURITY)
    framework = modules.write("class Application: ...", "bottle")
    if comes_first:
        importlib.import_module(framework)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    assert importlib.import_module(framework).Application
    assert statuses() == [("active", "every call of it is observed")]


def test_what_was_captured_meanwhile_is_quiet_after_the_end(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """A reference to our proxy that somebody keeps calls the original and counts nothing."""
    app = load_module(
        """
        from functools import lru_cache

        class Denied(Exception):
            pass

        @lru_cache
        def verify(key):
            raise Denied
        """
    )
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    kept = (app.verify,)
    with pytest.raises(app.Denied):
        kept[0]("k_1")
    assert keyaudit.count("keyaudit.authentications") == 1
    keyaudit.uninstrument()
    with pytest.raises(app.Denied):
        kept[0]("k_1")
    assert keyaudit.count("keyaudit.authentications") == 1


def test_a_copy_that_was_made_meanwhile_is_quiet_after_the_end(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """Other tools copy functions with the code that these have at the time: such a copy goes on to work."""
    app = load_module("def verify(key):\n    return {'id': key}\n")
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?id=id"])
    copy = FunctionType(app.verify.__code__, vars(app))
    assert copy("k_1") == {"id": "k_1"}
    keyaudit.uninstrument()
    assert copy("k_2") == {"id": "k_2"}
    assert keyaudit.count("keyaudit.authentications") == 1


def test_a_target_of_the_started_module_and_of_an_imported_one(
    keyaudit: KeyAudit, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the module that was started is not the target's, it is left alone, whatever it is called."""
    module = load_module(SECURITY)
    main = load_module(SECURITY)
    monkeypatch.setitem(sys.modules, "__main__", main)
    code = main.verify.__code__
    keyaudit.instrument(auth_targets=[f"{module.__name__}:verify"])
    assert statuses()[0][0] == "active"
    assert main.verify.__code__ is code
    with keyaudit.request():
        module.verify("k")
    assert main.verify.__code__ is code


def test_several_targets_are_each_looked_at(keyaudit: KeyAudit, modules: Modules) -> None:
    """One that is already on does not keep others from being found in the same module, or in another one."""
    first, second = modules.load(SECURITY), modules.write(SECURITY)
    keyaudit.instrument(auth_targets=[f"{first.__name__}:verify", f"{second}:verify", f"{first.__name__}:record"])
    assert [state for state, _ in statuses()] == ["active", "pending", "active"]
    __import__(second)
    assert [state for state, _ in statuses()] == ["active"] * 3


def test_a_logging_handler_that_raises_keeps_no_target_off(
    keyaudit: KeyAudit, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be said is still in the status."""
    module = load_module(SECURITY)

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError

    handler: Any = Broken()
    logger = logging.getLogger("otel_keyaudit")
    logger.addHandler(handler)
    try:
        keyaudit.instrument(auth_targets=[f"{module.__name__}:missing", f"{module.__name__}:verify"])
    finally:
        logger.removeHandler(handler)
    assert [state for state, _ in statuses()] == ["wrong", "active"]


def test_fields_that_are_named_need_no_parameter_of_the_usual_name(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """What the option says beats what is looked for without it."""
    app = load_module("def record(action, extra=None):\n    return extra\n")
    keyaudit.instrument(audit_targets=[f"{app.__name__}:record?fields=args.extra"])
    assert [state for state, _ in statuses()] == ["active"]


def test_every_field_is_checked(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """Also those that come after one that is a function."""
    name = load_module(SECURITY).__name__
    keyaudit.instrument(auth_targets=[AuthTarget(f"{name}:verify", id=str, name="args.user")])
    assert statuses() == [("wrong", "field 'name' reads a parameter 'user', which it does not have")]
