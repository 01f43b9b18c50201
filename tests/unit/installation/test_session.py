"""The module that was started, seen from inside: looked at while its code runs, and for the last time at first use."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from otel_keyaudit import ApiKey, KeyAuditInstrumentor, use_key
from otel_keyaudit.testing import Recorder
from support.modules import Modules

SECURITY = "def verify(key):\n    return {'id': key}\n"
Start = Callable[[str], ModuleType]


@pytest.fixture
def start(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Stands for a program that is started as ``python shop/worker.py``, and has come as far as some source."""

    def started(source: str) -> ModuleType:
        main = ModuleType("__main__")
        main.__file__ = str(modules.folder / "keyaudit_shop" / "worker.py")
        exec(source, vars(main))  # noqa: S102 - one of the sources above
        monkeypatch.setitem(sys.modules, "__main__", main)
        return main

    return started


def status() -> tuple[str, str]:
    """Return state and reason of the one target."""
    (one,) = KeyAuditInstrumentor().status()
    return one.state, one.reason


@pytest.mark.parametrize("name", ["keyaudit_shop.worker", "__main__"])
def test_what_is_there_is_put_on(recorder: Recorder, start: Start, name: str) -> None:
    """At once, though the module is not known by its name."""
    main = start(SECURITY)
    recorder.instrument(auth_targets=[f"{name}:verify?id=id"], skip_dep_check=True)
    assert status() == ("active", "every call of it is observed")
    main.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 1


def test_a_function_defined_later_is_active_at_the_first_use(recorder: Recorder, start: Start) -> None:
    """Until then it is pending, and ``status()`` changes nothing."""
    main = start("")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify"], skip_dep_check=True)
    assert status() == ("pending", "module 'keyaudit_shop.worker' has not defined 'verify' yet")
    exec(SECURITY, vars(main))  # noqa: S102 - the source above
    code = main.verify.__code__
    assert status()[0] == "pending"
    assert main.verify.__code__ is code
    with recorder.request():
        assert status()[0] == "active"


@pytest.mark.parametrize("strict", [False, True])
def test_what_is_not_there_at_first_use_is_wrong(
    recorder: Recorder, start: Start, caplog: pytest.LogCaptureFixture, strict: bool
) -> None:
    """The module is complete by then; this is said once, and a key set by hand is a use, too."""
    start("")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify"], strict=strict, skip_dep_check=True)
    for _ in range(2):
        with use_key(ApiKey("k_1")):
            assert status() == ("wrong", "module '__main__' has no 'verify'")
    (record,) = caplog.records
    assert record.levelno == (logging.ERROR if strict else logging.WARNING)
    assert record.getMessage() == (
        "keyaudit: target keyaudit_shop.worker:verify is wrong: module '__main__' has no 'verify'"
    )


def test_a_module_that_was_started_and_imported_is_observed_twice(
    recorder: Recorder, start: Start, modules: Modules
) -> None:
    """Each copy has functions of its own, whichever came first; looking again changes nothing."""
    modules.write(SECURITY, "keyaudit_shop.worker")
    main = start(SECURITY)
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify?id=id"])
    imported = __import__("keyaudit_shop.worker").worker
    assert imported.verify is not main.verify
    code = [module.verify.__code__ for module in (main, imported)]
    assert status()[0] == "active"
    with recorder.request():
        main.verify("k_1")
        imported.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 2
    assert [module.verify.__code__ for module in (main, imported)] == code


def test_a_module_that_was_imported_first_hides_none_that_was_started(
    recorder: Recorder, start: Start, modules: Modules
) -> None:
    """What a program defines after its imports is looked at before the first request."""
    main = start("")
    imported = modules.load(SECURITY, "keyaudit_shop.worker")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify?id=id"])
    assert status()[0] == "active"
    exec(SECURITY, vars(main))  # noqa: S102 - the source above
    with recorder.request():
        main.verify("k_1")
        imported.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 2
