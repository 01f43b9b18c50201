"""Targets are active, pending or wrong, whenever their module is imported and whatever it lacks."""

from __future__ import annotations

import functools
import gc
import importlib
import logging
import operator
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import wrapt

from otel_keyaudit import ApiKey, AuthTarget, ConfigurationError, KeyAuditInstrumentor, use_key
from otel_keyaudit.installation import status
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule, Modules, import_lazily

SECURITY = """
def verify(key):
    return {"id": key}

def other(key, *, scope=None):
    return {"id": key}

class Checker:
    def check(self, key):
        return {"id": key}

number = 1
"""
AUDIT = """
def record(action, additional_fields=None):
    return additional_fields

def without(action):
    return action

def anything(action, **more):
    return more
"""


def only_status() -> tuple[str, str]:
    """Return state and reason of the one target."""
    (status,) = KeyAuditInstrumentor().status()
    return status.state, status.reason


def warnings(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return the messages of a level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("auth", "missing", "has no 'missing'"),
        ("auth", "Checker.missing", "class 'Checker' has no 'missing'"),
        ("auth", "Missing.check", "has no 'Missing.check'"),
        ("auth", "Checker", "is a class, not a function; a target may be its method, as in Checker.method"),
        ("auth", "number", "is of type int, not a function"),
        ("auth", "verify?id=args.user", "a parameter 'user', which it does not have"),
        ("auth", "verify?id=self.name", "reads self, but it is not a method"),
        ("audit", "without", "no parameter 'additional_fields'"),
        ("audit", "record?fields=args.extra", "a parameter 'extra', which it does not have"),
        ("audit", "record?action=args.verb", "a parameter 'verb', which it does not have"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_wrong_targets(
    recorder: Recorder,
    modules: Modules,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    name: str,
    reason: str,
    strict: bool,
) -> None:
    """A target that can never match gives a warning and a reason in ``status()``, and an error with ``strict``."""
    target = f"{modules.load(SECURITY + AUDIT).__name__}:{name}"
    options = {f"{kind}_targets": [target], "strict": strict}
    if strict:
        with pytest.raises(ConfigurationError) as caught:
            recorder.instrument(**options)
        assert target in str(caught.value)
        assert reason in str(caught.value)
        assert KeyAuditInstrumentor().status() == []
        return
    recorder.instrument(**options)
    state, told = only_status()
    assert state == "wrong"
    assert reason in told
    (warning,) = warnings(caplog)
    assert target in warning
    assert reason in warning


@pytest.mark.parametrize("name", ["verify", "Checker.check", "other?id=args.scope", "Checker.check?id=self.name"])
def test_active_targets(recorder: Recorder, modules: Modules, name: str) -> None:
    """A function that exists is observed at once."""
    recorder.instrument(auth_targets=[f"{modules.load(SECURITY).__name__}:{name}"], strict=True)
    assert only_status() == ("active", "all of its calls are observed")


@pytest.mark.parametrize("name", ["record", "record?action=args.action", "anything", "anything?action=args.verb"])
def test_active_audit_targets(recorder: Recorder, modules: Modules, name: str) -> None:
    """A function that takes any keyword accepts every field."""
    recorder.instrument(audit_targets=[f"{modules.load(AUDIT).__name__}:{name}"], strict=True)
    assert only_status()[0] == "active"


def test_a_package_that_does_not_exist_is_wrong(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """The package can never be imported, and the reason names only the package."""
    recorder.instrument(auth_targets=["keyaudit_no_such.deep.security:verify"])
    assert only_status() == ("wrong", "there is no package 'keyaudit_no_such'")
    assert len(warnings(caplog)) == 1


MISSING_MODULES = [
    ("email.no_such", "package 'email' has no module 'no_such'"),
    ("email.mime.adio", "package 'email.mime' has no module 'adio'; did you mean 'audio'?"),
    ("keyaudit_depot.atuh", "package 'keyaudit_depot' has no module 'atuh'; did you mean 'auth'?"),
    ("keyaudit_depot.auth.deep", "package 'keyaudit_depot.auth' has no module 'deep'"),
]


@pytest.mark.parametrize(("module", "reason"), MISSING_MODULES)
@pytest.mark.parametrize("is_imported", [True, False])
def test_a_misspelt_submodule_is_wrong(
    recorder: Recorder, modules: Modules, module: str, reason: str, is_imported: bool
) -> None:
    """The reason has the nearest name, ``strict`` makes it an error, and nothing is imported early."""
    modules.write("1 / 0", "keyaudit_depot.auth")
    if is_imported:
        importlib.import_module(module.rpartition(".")[0].partition(".auth")[0])
    before = set(sys.modules)
    recorder.instrument(auth_targets=[f"{module}:verify"])
    assert only_status() == ("wrong", reason)
    recorder.uninstrument()
    with pytest.raises(ConfigurationError) as caught:
        recorder.instrument(auth_targets=[f"{module}:verify"], strict=True)
    assert str(caught.value) == f"target '{module}:verify' is wrong: {reason}"
    assert not any(name.startswith(("email.no", "keyaudit_depot.auth")) for name in set(sys.modules) - before)


def test_a_package_may_come_later_under_opentelemetry_instrument(recorder: Recorder, modules: Modules) -> None:
    """The application's folder may not be importable yet, so the target is pending."""
    name = modules.write(SECURITY)
    sys.path.remove(str(modules.folder))
    recorder.instrument(auth_targets=[f"{name}:verify"], skip_dep_check=True)
    assert only_status()[0] == "pending"
    sys.path.insert(0, str(modules.folder))
    importlib.import_module(name)
    assert only_status()[0] == "active"


def test_a_target_is_active_when_its_module_is_imported(recorder: Recorder, modules: Modules) -> None:
    """The library imports nothing; the application's import instruments the target, even for names taken during it."""
    name = modules.write(SECURITY)
    recorder.instrument(auth_targets=[f"{name}:verify?id=id"])
    assert only_status() == ("pending", f"module {name!r} is not imported yet")
    assert name not in sys.modules
    user = modules.load(f"from {name} import verify")
    assert only_status()[0] == "active"
    user.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 1
    module = sys.modules[name]
    assert type(module.__loader__) is type(user.__loader__)
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


@pytest.mark.parametrize(("strict", "level"), [(False, logging.WARNING), (True, logging.ERROR)])
def test_a_later_import_that_proves_a_target_wrong_goes_on(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture, strict: bool, level: int
) -> None:
    """The import continues, and with ``strict`` the log has an error."""
    name = modules.write(SECURITY)
    recorder.instrument(auth_targets=[f"{name}:missing"], strict=strict)
    assert importlib.import_module(name).number == 1
    assert only_status()[0] == "wrong"
    (message,) = warnings(caplog, level)
    assert f"{name}:missing" in message


def test_an_import_never_fails_because_of_us(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """Modules that raise on attribute access or on import behave as without the library."""
    hostile = modules.write("def __getattr__(name):\n    raise RuntimeError('secret')\n")
    broken = modules.write("1 / 0")
    recorder.instrument(auth_targets=[f"{hostile}:verify", f"{broken}:verify"])
    importlib.import_module(hostile)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(broken)
    states = {status.target: (status.state, status.reason) for status in KeyAuditInstrumentor().status()}
    assert states[f"{hostile}:verify"] == ("pending", f"module {hostile!r} has not loaded 'verify' so far")
    assert states[f"{broken}:verify"][0] == "pending"
    assert "secret" not in caplog.text


def test_a_module_that_instruments_itself_before_it_is_complete(recorder: Recorder, modules: Modules) -> None:
    """A target that is defined further down is pending, and active when the module is complete."""
    module = modules.load(
        """
        from otel_keyaudit import KeyAuditInstrumentor
        KeyAuditInstrumentor().instrument(auth_targets=[__name__ + ":verify?id=id"], strict=True)
        before = KeyAuditInstrumentor().status()[0]
        def verify(key):
            return {"id": key}
        """
    )
    assert module.before.state == "pending"
    assert module.before.reason == f"module {module.__name__!r} has not defined 'verify' yet"
    with recorder.request():
        assert recorder.status()[f"{module.__name__}:verify?id=id"].state == "active"


def test_a_circular_import(recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture) -> None:
    """A module that imports the instrumenting code is looked at again at the first request."""
    name = modules.write(
        "import importlib\nimportlib.import_module('keyaudit_circle')\ndef verify(key):\n    return {'id': key}\n"
    )
    modules.write(
        f"""
        from otel_keyaudit import KeyAuditInstrumentor
        KeyAuditInstrumentor().instrument(auth_targets=["{name}:verify?id=id", "{name}:missing"])
        """,
        "keyaudit_circle",
    )
    module = importlib.import_module(name)
    assert warnings(caplog) == []
    with recorder.request():
        module.verify("k_1")
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["active", "wrong"]


def test_a_target_pending_at_the_first_request_is_one_warning(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """A target that is still pending then is probably a mistake."""
    recorder.instrument(auth_targets=["email.mime.audio:verify"])
    assert warnings(caplog) == []
    for _ in range(3):
        with recorder.request():
            pass
    (warning,) = warnings(caplog)
    assert "email.mime.audio:verify" in warning
    assert "not imported yet" in warning


OVERRIDDEN = """
class Log:
    def write(self, action, additional_fields=None):
        return additional_fields
"""
OVERRIDES = """
from {base} import Log
class DbLog(Log):
    def write(self, action, additional_fields=None):
        return additional_fields
class CallingLog(Log):
    def write(self, action, additional_fields=None):
        return super().write(action, additional_fields)
"""


@pytest.mark.parametrize("is_early", [True, False])
def test_an_override_that_does_not_call_the_target_is_reported_once(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture, is_early: bool
) -> None:
    """Its calls are not observed. Classes that are defined later are known at the first request."""
    base = modules.write(OVERRIDDEN)
    name = modules.write(OVERRIDES.format(base=base))
    importlib.import_module(name if is_early else base)
    recorder.instrument(audit_targets=f"{base}:Log.write")
    assert len(warnings(caplog)) == is_early
    overrides = importlib.import_module(name)
    for _ in range(2):
        with recorder.request():
            overrides.DbLog().write("create")
            overrides.CallingLog().write("create")
    (warning,) = warnings(caplog)
    expected = f"calls of {overrides.__name__}:DbLog.write, which overrides it, are not recorded; name that method, too"
    assert warning == f"keyaudit: target {base}:Log.write: {expected}"
    (status,) = recorder.status().values()
    assert (status.state, status.reason, status.calls) == ("active", expected, 2)


ASSIGNED = """
class Backend:
    def __init__(self, authenticate):
        self.authenticate = authenticate
    def authenticate(self, credential):
        return credential
"""


def test_method_that_instances_replace_is_reported(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """The status and one warning name the method that assigns another function."""
    name = modules.load(ASSIGNED).__name__
    recorder.instrument(auth_targets=f"{name}:Backend.authenticate")
    expected = (
        f"{name}:Backend.__init__ gives instances another function of this name, whose calls are not recorded; "
        "name that function, or one that calls it"
    )
    (warning,) = warnings(caplog)
    assert warning == f"keyaudit: target {name}:Backend.authenticate: {expected}"
    (status,) = recorder.status().values()
    assert (status.state, status.reason) == ("active", expected)


def test_an_override_that_is_a_target_itself_is_not_reported(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """All calls are observed then."""
    base = modules.load(OVERRIDDEN).__name__
    overrides = modules.load(OVERRIDES.format(base=base)).__name__
    recorder.instrument(audit_targets=[f"{overrides}:DbLog.write", f"{base}:Log.write"])
    assert warnings(caplog) == []
    assert {one.reason for one in recorder.status().values()} == {"all of its calls are observed"}


@pytest.mark.parametrize("again", ["reload", "import"])
def test_a_module_that_is_executed_again_keeps_its_target(recorder: Recorder, modules: Modules, again: str) -> None:
    """The functions of a reload are observed, and the old ones stay observed."""
    module = modules.load(SECURITY)
    old = module.verify
    recorder.instrument(auth_targets=[f"{module.__name__}:verify?id=id"])
    for _ in range(3):
        if again == "reload":
            importlib.reload(module)
        else:
            del sys.modules[module.__name__]
            module = importlib.import_module(module.__name__)
    assert module.verify is not old
    for verify in (module.verify, old):
        verify("k_1")
    assert recorder.count("keyaudit.authentications") == 2


CACHED = """
import functools

@functools.lru_cache
def verify(key):
    return key

alias = verify

class Facade:
    static = staticmethod(verify)
    plain = verify
"""


REPLACED = {
    "function": ("verify", lambda app: setattr(app, "verify", lambda key: {"id": key})),
    "method": ("Checker.check", lambda app: setattr(app.Checker, "check", lambda self, key: {"id": key})),
    "class": ("Checker.check", lambda app: setattr(app, "Checker", type("Checker", (), {"check": app.verify}))),
    "no code": ("cached", lambda app: setattr(app, "cached", functools.lru_cache(lambda key: {"id": key}))),
    "mock": ("verify", lambda app: setattr(app, "verify", Mock())),
}


@pytest.mark.parametrize(("name", "replace"), REPLACED.values(), ids=REPLACED)
def test_a_function_that_was_replaced_later_is_reported(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture, name: str, replace: Callable[[Any], None]
) -> None:
    """The cell of a notebook that defines the function was run again, for example."""
    app = modules.load(SECURITY + "import functools\ncached = functools.lru_cache(lambda key: {'id': key})\n")
    recorder.instrument(auth_targets=[f"{app.__name__}:{name}"])
    assert only_status() == ("active", "all of its calls are observed")
    replace(app)
    assert only_status() == ("active", status.REPLACED.format(name))
    with recorder.request():
        pass
    assert [line for line in warnings(caplog) if status.REPLACED.format(name) in line]
    recorder.uninstrument()
    recorder.instrument(auth_targets=[f"{app.__name__}:{name}"])
    assert only_status()[1] != status.REPLACED.format(name)


WRAPPED = {
    "wraps": lambda function: functools.wraps(function)(lambda key, **_: function(key)),
    "closure": lambda function: lambda key, **_: function(key),
    "cache": functools.lru_cache,
    "wrapt": lambda function: wrapt.FunctionWrapper(function, lambda wrapped, _, args, kwargs: wrapped(*args)),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_function_that_was_wrapped_later_is_still_observed(
    recorder: Recorder, modules: Modules, wrap: Callable[[Any], Any]
) -> None:
    """Another instrumentation may wrap the function, which is called as before."""
    app: Any = modules.load(SECURITY)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    app.verify = wrap(app.verify)
    app.verify("k_1")
    (found,) = recorder.status().values()
    assert (found.state, found.reason, found.calls) == ("active", "all of its calls are observed", 1)


@pytest.mark.parametrize("second", ["alias", "Facade.static", "Facade.plain"])
@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_first_target_on_a_cached_function_observes_all_names(
    recorder: Recorder, modules: Modules, second: str, is_swapped: bool
) -> None:
    """The function is replaced once, so the order of the targets decides, and each name is restored."""
    module = modules.load(CACHED)
    original = module.verify
    targets = [f"{module.__name__}:verify", f"{module.__name__}:{second}"]
    recorder.instrument(auth_targets=targets[::-1] if is_swapped else targets)
    with recorder.request():
        for function in (module.verify, operator.attrgetter(second)(module)):
            function("k_1")
    assert [status.calls for status in KeyAuditInstrumentor().status()] == [2, 0]
    assert recorder.authentications()["accepted"] == 2
    recorder.uninstrument()
    assert module.verify is module.alias is module.Facade.static is module.Facade.plain is original


RECEIVERS = """
class Checker:
    def __call__(self, key):
        return key
    def check(self, key):
        return key

class Special(Checker): ...

checker = Checker()
check = checker.check
"""


@pytest.mark.parametrize("name", ["checker", "check", "checker.check", "Special.check"])
def test_a_reload_frees_the_old_receiver(recorder: Recorder, modules: Modules, name: str) -> None:
    """The target selects the calls on one object or class, and does not keep it alive."""
    module = modules.load(RECEIVERS)
    recorder.instrument(auth_targets=f"{module.__name__}:{name}")
    old = [weakref.ref(module.checker), weakref.ref(module.Special)]
    importlib.reload(module)
    gc.collect()
    assert [one() for one in old] == [None, None]
    (status,) = recorder.status().values()
    assert (status.state, status.reason) == ("active", "all of its calls are observed")


def test_a_reexported_function_is_observed_once_after_a_reload(recorder: Recorder, modules: Modules) -> None:
    """A re-executed package that holds the same function does not wrap it twice."""
    modules.write(SECURITY + "import functools\ncached = functools.lru_cache(other)\n", "keyaudit_shop.security")
    package = modules.load("from keyaudit_shop.security import verify, cached", "keyaudit_shop.api")
    targets = [f"keyaudit_shop.api:{name}?id=id" for name in ("verify", "cached")]
    recorder.instrument(auth_targets=targets)
    importlib.reload(package)
    package.verify("k_1")
    package.cached("k_1")
    assert recorder.count("keyaudit.authentications") == 2


def test_two_targets_may_name_one_function(recorder: Recorder, modules: Modules) -> None:
    """Each target observes the calls that it selects."""
    module = modules.load("def verify(key, kind):\n    return {'id': key}\n")
    name = module.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify?when=args.kind|is:a*", f"{name}:verify?id=id|prefix:b_&when=args.kind|is:*b"]
    )
    with recorder.request():
        module.verify("k", "b")
    assert recorder.server_span()["keyaudit.key.id"] == "b_k"
    module.verify("k", "ab")
    module.verify("k", "c")
    assert recorder.count("keyaudit.authentications") == 2


def test_other_import_hooks_are_left_alone(
    recorder: Recorder, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library works beside a finder that asks all finders, as wrapt's does."""
    name = modules.write(SECURITY)

    class Asking:
        def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
            if fullname != name or self.is_asking:
                return None
            self.is_asking = True
            return importlib.util.find_spec(fullname)

        is_asking = False

    monkeypatch.setattr(sys, "meta_path", [Asking(), *sys.meta_path])
    recorder.instrument(auth_targets=[f"{name}:verify?id=id"])
    module = importlib.import_module(name)
    module.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 1
    assert Path(str(module.__file__)).parent == modules.folder
    recorder.uninstrument()


EMPTY = "def verify(key):\n    return None\n\ndef record(action):\n    pass\n"


def statuses() -> list[tuple[str, str]]:
    """Return state and reason of each target."""
    return [(status.state, status.reason) for status in KeyAuditInstrumentor().status()]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the log lines, with their levels."""
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_wrong_target_is_logged_once(
    recorder: Recorder, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the target as written and the reason from its status."""
    name = load_module(EMPTY).__name__
    reason = (
        "it has no parameter 'additional_fields'; add fields=… with the place of the additional fields, or fields=none"
    )
    recorder.instrument(audit_targets=[f"{name}:record?action=args.action"])
    assert logged(caplog) == [("WARNING", f"keyaudit: target {name}:record?action=args.action is wrong: {reason}")]
    assert statuses() == [("wrong", reason)]
    with recorder.request():
        pass
    assert len(caplog.records) == 1


def test_a_pending_target_is_logged_at_the_first_request(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the target as written and the module that it waits for."""
    recorder.instrument(auth_targets=["email.mime.audio:verify"])
    with recorder.request():
        pass
    reason = "module 'email.mime.audio' is not imported yet"
    message = (
        f"keyaudit: target email.mime.audio:verify is not active at the first request: {reason}; correct its name, "
        "unless the service imports it later, as Django imports URLs in the first request"
    )
    assert logged(caplog) == [("WARNING", message)]


@pytest.mark.parametrize(("strict", "level"), [(False, "WARNING"), (True, "ERROR")])
def test_a_target_that_proves_wrong_later_has_the_level_of_strict(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture, strict: bool, level: str
) -> None:
    """With ``strict`` the line is an error."""
    name = modules.write(EMPTY)
    recorder.instrument(auth_targets=[f"{name}:missing"], strict=strict)
    assert caplog.records == []
    __import__(name)
    ((found, message),) = logged(caplog)
    assert found == level
    assert message.startswith(f"keyaudit: target {name}:missing is wrong: ")


def test_references_that_cannot_be_replaced_are_logged(
    recorder: Recorder, load_module: LoadModule, caplog: pytest.LogCaptureFixture
) -> None:
    """A tuple cannot be changed, so the line has the number of references and the target is active."""
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
    recorder.instrument(auth_targets=[target])
    reason = (
        "1 earlier reference (in a tuple or compiled code) could not be replaced; calls through it are not recorded"
    )
    with recorder.request():
        assert statuses() == [("active", reason)]
    assert logged(caplog) == [("WARNING", f"keyaudit: target {target}: {reason}")]


def test_a_captured_replacement_is_not_observed_after_uninstrument(recorder: Recorder, load_module: LoadModule) -> None:
    """A reference to the proxy calls the original and counts nothing."""
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
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    kept = (app.verify,)
    with pytest.raises(app.Denied):
        kept[0]("k_1")
    assert recorder.count("keyaudit.authentications") == 1
    recorder.uninstrument()
    with pytest.raises(app.Denied):
        kept[0]("k_1")
    assert recorder.count("keyaudit.authentications") == 1


def test_a_copied_function_is_not_observed_after_uninstrument(recorder: Recorder, load_module: LoadModule) -> None:
    """Other tools copy functions with their current code; such a copy still works."""
    app = load_module("def verify(key):\n    return {'id': key}\n")
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?id=id"])
    copy = FunctionType(app.verify.__code__, vars(app))
    assert copy("k_1") == {"id": "k_1"}
    recorder.uninstrument()
    assert copy("k_2") == {"id": "k_2"}
    assert recorder.count("keyaudit.authentications") == 1


def test_a_target_of_the_started_module_and_of_an_imported_one(
    recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the started module is not the target's, it stays as it is, whatever its name."""
    module = load_module(EMPTY)
    main = load_module(EMPTY)
    monkeypatch.setitem(sys.modules, "__main__", main)
    code = main.verify.__code__
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"])
    assert statuses()[0][0] == "active"
    assert main.verify.__code__ is code
    with recorder.request():
        module.verify("k")
    assert main.verify.__code__ is code


def test_each_target_has_its_own_state(recorder: Recorder, modules: Modules) -> None:
    """An active target does not stop other targets of any module."""
    first, second = modules.load(EMPTY), modules.write(EMPTY)
    recorder.instrument(auth_targets=[f"{first.__name__}:verify", f"{second}:verify", f"{first.__name__}:record"])
    assert [state for state, _ in statuses()] == ["active", "pending", "active"]
    __import__(second)
    assert [state for state, _ in statuses()] == ["active"] * 3


def test_a_logging_handler_that_raises_stops_no_target(
    recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status still has the reason."""
    module = load_module(EMPTY)

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError

    handler: Any = Broken()
    logger = logging.getLogger("otel_keyaudit")
    logger.addHandler(handler)
    try:
        recorder.instrument(auth_targets=[f"{module.__name__}:missing", f"{module.__name__}:verify"])
    finally:
        logger.removeHandler(handler)
    assert [state for state, _ in statuses()] == ["wrong", "active"]


def test_fields_that_are_named_need_no_parameter_of_the_usual_name(recorder: Recorder, load_module: LoadModule) -> None:
    """A field that the target names replaces the usual parameter."""
    app = load_module("def record(action, extra=None):\n    return extra\n")
    recorder.instrument(audit_targets=[f"{app.__name__}:record?fields=args.extra"])
    assert [state for state, _ in statuses()] == ["active"]


def test_every_field_is_checked(recorder: Recorder, load_module: LoadModule) -> None:
    """Every field is checked, also after a field that is a function."""
    name = load_module(EMPTY).__name__
    recorder.instrument(auth_targets=[AuthTarget(f"{name}:verify", id=str, name="args.user")])
    assert statuses() == [("wrong", "field 'name' reads a parameter 'user', which it does not have")]


def test_targets_of_an_inherited_method_are_earlier_only_for_the_same_objects(
    recorder: Recorder, modules: Modules
) -> None:
    """Classes that share a method of their base share no calls, but the base and its subclasses do."""
    shop = modules.load("""
        class Model:
            def save(self, additional_fields=None): ...

        class Audit(Model): ...

        class Journal(Model): ...

        class Archive(Audit): ...
    """)
    names = ("Audit", "Journal", "Archive", "Model")
    recorder.instrument(audit_targets=[f"{shop.__name__}:{name}.save" for name in names])
    reasons = [status.reason for status in KeyAuditInstrumentor().status()]
    earlier = f"all of its calls are observed; {shop.__name__}:Audit.save, which names the same function, comes first"
    assert reasons == ["all of its calls are observed"] * 2 + [earlier] * 2
    for name in names:
        getattr(shop, name)().save()
    assert [status.calls for status in KeyAuditInstrumentor().status()] == [2, 1, 0, 1]


def test_a_target_in_a_module_that_is_executed_on_first_use(recorder: Recorder, modules: Modules) -> None:
    """The target is pending, the module is not executed, and the first use makes the target active."""
    name = modules.write(SECURITY)
    module = import_lazily(name)
    recorder.instrument(auth_targets=[f"{name}:verify"])
    assert only_status() == ("pending", f"module {name!r} is not imported yet")
    assert type(module) is not ModuleType
    with recorder.request():
        module.verify("k_1")
    assert only_status()[0] == "active"
    assert recorder.authentications()["accepted"] == 1


LAZY = """
LOADED = []

def __getattr__(name):
    if name != "verify":
        raise AttributeError(name)
    def verify(key):
        return {"id": key}
    LOADED.append(name)
    globals()["verify"] = verify
    return verify
"""


def test_a_function_that_its_module_loads_at_first_use(recorder: Recorder, modules: Modules) -> None:
    """The target waits without loading it, and becomes active when the application uses it."""
    module = modules.load(LAZY)
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"])
    assert only_status() == ("pending", f"module {module.__name__!r} has not loaded 'verify' so far")
    assert module.LOADED == []
    with recorder.request():
        module.verify("k_1")
    assert only_status() == ("active", "all of its calls are observed")
    assert recorder.authentications()["accepted"] == 1
    assert module.LOADED == ["verify"]


def test_a_function_that_is_loaded_after_uninstrument_is_left_alone(recorder: Recorder, modules: Modules) -> None:
    """It is the function that the module defines."""
    module = modules.load(LAZY)
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"])
    recorder.uninstrument()
    assert module.verify("k_1") == {"id": "k_1"}
    assert module.verify.__code__.co_consts == modules.load(LAZY).verify.__code__.co_consts
    assert recorder.authentications()["accepted"] == 0


def test_a_loaded_value_that_is_no_function_is_wrong(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """The application gets its value, and the reason is in the status."""
    module = modules.load("def __getattr__(name):\n    return 7\n")
    recorder.instrument(auth_targets=[f"{module.__name__}:verify"])
    assert only_status()[0] == "pending"
    assert module.verify == 7
    assert only_status() == ("wrong", "'verify' is of type int, not a function")


@pytest.mark.parametrize("calls", [1, 2])
def test_calls_that_when_excluded_are_in_the_reason(recorder: Recorder, modules: Modules, calls: int) -> None:
    """They are counted apart from the observed ones."""
    module = modules.load(SECURITY)
    recorder.instrument(auth_targets=[f"{module.__name__}:verify?when=args.key"])
    assert only_status() == ("active", "all of its calls are observed")
    for _ in range(calls):
        module.verify("")
    excluded = "its 'when' excluded " + ("1 call" if calls == 1 else "2 calls")
    assert only_status() == ("active", f"all of its calls are observed; {excluded}")


@pytest.mark.parametrize(
    ("sampler", "parameter", "field", "is_warned"),
    [
        ("actions", "action", "", False),
        ("actions", "text", "?action=args.text", False),
        ("actions", "text", "", True),
        ("always_full", "text", "", False),
    ],
)
def test_a_target_without_an_action_is_one_warning_with_the_sampler_actions(
    recorder: Recorder,
    modules: Modules,
    caplog: pytest.LogCaptureFixture,
    sampler: str,
    parameter: str,
    field: str,
    is_warned: bool,
) -> None:
    """The sampler would keep all of its rows full."""
    module = modules.load(f"def record({parameter}, additional_fields=None):\n    return additional_fields\n")
    target = f"{module.__name__}:record{field}"
    recorder.instrument(audit_targets=[target], sampler=sampler, sampler_arg="x" if sampler == "actions" else None)
    problem = "has no action, so sampler 'actions' keeps all of its rows full; name one with action="
    assert warnings(caplog) == [f"keyaudit: target {target} {problem}"] * is_warned


def test_a_cached_function_cannot_receive_a_row(recorder: Recorder, modules: Modules) -> None:
    """A changed argument would miss the cache."""
    module = modules.load(f"import functools\n{AUDIT}\nrecord = functools.lru_cache(record)\n")
    recorder.instrument(audit_targets=[f"{module.__name__}:record"])
    assert only_status() == (
        "wrong",
        "it caches results by its arguments, so a changed row would miss the cache; name the function inside the cache",
    )


@pytest.mark.parametrize(
    ("annotation", "is_wrong"),
    [
        ("dict[str, str] | None", True),
        ("Closed | None", True),
        ("dict[str, Any] | None", False),
        ("dict | None", False),
        ("str | None", False),
        ("Any", False),
    ],
)
def test_a_decorator_that_checks_arguments_would_refuse_the_row(
    recorder: Recorder, modules: Modules, annotation: str, is_wrong: bool
) -> None:
    """Such a target is wrong if the annotation takes no dict as value, and the function inside can be named."""
    module = modules.load(f"""
from __future__ import annotations
import pydantic
from typing import Any
from typing_extensions import TypedDict

class Closed(TypedDict, total=False):
    a: str

@pydantic.validate_call
def record(action, additional_fields: {annotation} = None):
    return additional_fields
""")
    targets = [f"{module.__name__}:record{inside}" for inside in ("", ".__wrapped__")[: 1 + is_wrong]]
    recorder.instrument(audit_targets=targets)
    states = [(status.state, status.reason) for status in KeyAuditInstrumentor().status()]
    assert states[-1][0] == "active"
    assert (states[0][0] == "wrong") == is_wrong
    assert states[0][1].endswith(f"name the function inside the decorator: {targets[-1]}" if is_wrong else "observed")
    with use_key(ApiKey("k_1")):
        fields = module.record("create", '{"a":"1"}' if annotation == "str | None" else {"a": "1"})
    assert "request_api_key" in fields
    assert recorder.writes()["attributed"] == 1


def test_a_target_whose_function_another_function_defines(recorder: Recorder, modules: Modules) -> None:
    """The outer function must be there."""
    module = modules.load("def outer():\n    def verify(key):\n        return {'id': key}\n    return verify\n")
    names = [f"{module.__name__}:{name}.<locals>.verify" for name in ("outer", "missing")]
    recorder.instrument(auth_targets=names)
    verify = module.outer()
    with recorder.request():
        verify("k_1")
    states = [(status.state, status.calls) for status in KeyAuditInstrumentor().status()]
    assert states == [("active", 1), ("wrong", 0)]
