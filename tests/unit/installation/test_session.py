"""A session starts and stops all targets; those in the started module are resolved before the first request."""

from __future__ import annotations

import asyncio
import json
import logging
import socketserver
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_keyaudit import ApiKey, Detail, KeyAuditInstrumentor, use_key
from otel_keyaudit.testing import Recorder
from otel_keyaudit.version import __version__
from support.environment.log_events import recording_provider
from support.environment.modules import Modules

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
def test_existing_function_is_instrumented_at_once(recorder: Recorder, start: Start, name: str) -> None:
    """A function of the started module is instrumented at once, by either name."""
    main = start(SECURITY)
    recorder.instrument(auth_targets=[f"{name}:verify?id=id"], skip_dep_check=True)
    assert status() == ("active", "all of its calls are observed")
    main.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 1


def _in_an_event_loop() -> None:
    async def serve() -> None:
        SEEN.append(status()[0])

    asyncio.run(serve())


def _in_a_loop_of_its_own() -> None:
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: SEEN.append(status()[0]))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()


def _in_a_socket_server() -> None:
    class Server(socketserver.TCPServer):
        def service_actions(self) -> None:
            SEEN.append(status()[0])
            self._BaseServer__shutdown_request = True

    with Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        server.serve_forever(poll_interval=0.01)


SEEN: list[str] = []


@pytest.mark.parametrize("serve", [_in_an_event_loop, _in_a_loop_of_its_own, _in_a_socket_server])
def test_a_function_defined_later_is_active_when_the_program_serves(
    recorder: Recorder, start: Start, caplog: pytest.LogCaptureFixture, serve: Callable[[], None]
) -> None:
    """Its server need not be known, and a loop that ran before it was defined causes no warning."""
    SEEN.clear()
    codes = [function.__code__ for function in SERVING]
    main = start("")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify"], skip_dep_check=True)
    serve()
    exec(SECURITY, vars(main))  # noqa: S102 - the source above
    serve()
    assert SEEN == ["pending", "active"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    recorder.uninstrument()
    assert [function.__code__ for function in SERVING] == codes


SERVING: list[Any] = [asyncio.BaseEventLoop.run_forever, socketserver.BaseServer.serve_forever]


def test_a_function_defined_later_is_active_at_the_first_use(recorder: Recorder, start: Start) -> None:
    """The target is pending until then, and ``status()`` does not change it."""
    main = start("")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify"], skip_dep_check=True)
    assert status() == ("pending", "module 'keyaudit_shop.worker' has not defined 'verify' yet")
    exec(SECURITY, vars(main))  # noqa: S102 - the source above
    code = main.verify.__code__
    assert status()[0] == "pending"
    assert main.verify.__code__ is code
    with recorder.request():
        assert status()[0] == "active"


LOADS = 2


@pytest.mark.parametrize("name", ["keyaudit_plugin", "keyaudit_plugins.auth"])
def test_a_module_of_a_plugin_loader_is_instrumented_at_the_first_use(
    recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A loader may execute a file, also several times, and never put the module into ``sys.modules``."""
    (tmp_path / "plugin.py").write_text(SECURITY, encoding="utf-8")
    recorder.instrument(auth_targets=[f"{name}:verify"], skip_dep_check=True)
    functions = []
    for _ in range(LOADS):
        spec = spec_from_file_location(name, tmp_path / "plugin.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        functions.append(module.verify)
    assert status()[0] == "pending"
    for index, verify in enumerate(functions):
        with recorder.request():
            verify(f"k_{index}")
        assert dict(recorder.server_spans()[-1].attributes or {})["keyaudit.key.id"] == f"k_{index}"
    assert status() == ("active", "all of its calls are observed")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("source", ["", "raise LookupError"])
def test_a_module_of_a_plugin_loader_without_the_function_stays_pending(
    recorder: Recorder, tmp_path: Path, source: str
) -> None:
    """The loader may have failed, and load the module later. No other test has functions in a module of this name."""
    (tmp_path / "plugin.py").write_text(source, encoding="utf-8")
    recorder.instrument(auth_targets=["keyaudit_empty_plugin:verify"], skip_dep_check=True)
    spec = spec_from_file_location("keyaudit_empty_plugin", tmp_path / "plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with suppress(LookupError):
        spec.loader.exec_module(module)
    with recorder.request():
        assert status() == ("pending", "module 'keyaudit_empty_plugin' is not imported yet")


@pytest.mark.parametrize("strict", [False, True])
def test_missing_function_is_wrong_at_first_use(
    recorder: Recorder, start: Start, caplog: pytest.LogCaptureFixture, strict: bool
) -> None:
    """The reason is logged once, and a key that is set by hand counts as a first use."""
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
    """Each copy of the module has its own functions, and a second look changes nothing."""
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


def test_imported_module_does_not_hide_the_started_one(recorder: Recorder, start: Start, modules: Modules) -> None:
    """The functions that a program defines after its imports are resolved before the first request."""
    main = start("")
    imported = modules.load(SECURITY, "keyaudit_shop.worker")
    recorder.instrument(auth_targets=["keyaudit_shop.worker:verify?id=id"])
    assert status()[0] == "active"
    exec(SECURITY, vars(main))  # noqa: S102 - the source above
    with recorder.request():
        main.verify("k_1")
        imported.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 2


MAIN = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from otel_keyaudit import KeyAuditInstrumentor

{before}

ROWS = []

def verify(key):
    return {{"id": key}}

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

captured = [verify]
{after}

if __name__ == "__main__":
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("x")
    with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
        captured[0]("k_1")
        record("create")
    states = [status.state for status in KeyAuditInstrumentor().status()]
    print(json.dumps({{"rows": [row and row["request_api_key"]["id"] for row in ROWS], "states": states}}))
"""
EARLY = """
from otel_keyaudit import KeyAuditInstrumentor
KeyAuditInstrumentor().instrument(skip_dep_check=True)
"""
CALL = "KeyAuditInstrumentor().instrument(auth_targets=['{module}:verify'], audit_targets=['{module}:record'])"


WORKER = """
import json
from otel_keyaudit import ApiKey, KeyAuditInstrumentor, use_key

ROWS = []

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

with use_key(ApiKey("k_1")):
    record("create")
states = [status.state for status in KeyAuditInstrumentor().status()]
print(json.dumps({"rows": [row and row["request_api_key"]["id"] for row in ROWS], "states": states}))
"""


def run(folder: Path, arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run Python in a folder and return the JSON that it prints."""
    paths = [str(folder), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join(paths), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def write(folder: Path, path: str, source: str) -> None:
    """Write a module into packages."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")
    for parent in file.parents:
        if parent == folder:
            break
        (parent / "__init__.py").touch()


@pytest.mark.parametrize("how", ["early", "before", "after"])
@pytest.mark.parametrize(
    ("path", "arguments", "module"),
    [
        ("main.py", ["main.py"], "main"),
        ("main.py", ["main.py"], "__main__"),
        ("shop/main.py", ["shop/main.py"], "shop.main"),
        ("shop/main.py", ["-m", "shop.main"], "shop.main"),
        ("shop/__main__.py", ["-m", "shop"], "shop.__main__"),
    ],
)
def test_the_module_that_is_started(tmp_path: Path, how: str, path: str, arguments: list[str], module: str) -> None:
    """The rows name the key, whether the library is instrumented before the module runs, at its top or at its end."""
    call = CALL.format(module=module)
    write(tmp_path, path, MAIN.format(**{"before": "", "after": "", how: call}))
    environment = {}
    if how == "early":
        write(tmp_path, "sitecustomize.py", EARLY)
        environment = {
            "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": f"{module}:verify",
            "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": f"{module}:record",
        }
    assert run(tmp_path, arguments, environment) == {"rows": ["k_1"], "states": ["active", "active"]}


def test_a_module_that_is_started_and_imported(tmp_path: Path) -> None:
    """The started copy and the imported copy of the module are observed."""
    source = MAIN.format(before="", after="if __name__ == '__main__': import other\n")
    write(tmp_path, "main.py", source)
    write(tmp_path, "other.py", "import main\nassert main.__name__ == 'main'\n")
    write(tmp_path, "sitecustomize.py", EARLY)
    environment = {
        "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": "main:verify",
        "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "main:record",
    }
    assert run(tmp_path, ["main.py"], environment) == {"rows": ["k_1"], "states": ["active", "active"]}


def test_a_script_without_requests(tmp_path: Path) -> None:
    """A started script that only sets a key by hand is instrumented in time, without a request."""
    write(tmp_path, "worker.py", WORKER)
    write(tmp_path, "sitecustomize.py", EARLY)
    environment = {"OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "worker:record"}
    assert run(tmp_path, ["worker.py"], environment) == {"rows": ["k_1"], "states": ["active"]}


def test_start_is_one_line(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It counts the targets by state, and has the version."""
    caplog.set_level(logging.INFO, "otel_keyaudit")
    recorder.instrument(
        auth_targets=[f"{shop.__name__}:verify", f"{shop.__name__}:gateway", f"{shop.__name__}:missing"],
        audit_targets="email.mime.audio:record",
        sampler="always_minimal",
    )
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert line == (f"keyaudit: 2 targets active, 1 pending, 1 wrong; sampler always_minimal; version {__version__}")


class Choice:
    """A sampler that is an object."""

    def __call__(self, event: object) -> Detail:
        """Keep no lists."""
        return Detail.MINIMAL


@pytest.mark.parametrize(("sampler", "name"), [(Choice(), "Choice"), (Choice().__call__, "Choice.__call__")])
def test_start_names_a_sampler_of_the_application(
    recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture, sampler: object, name: str
) -> None:
    """A function has its qualified name, an object the name of its class."""
    caplog.set_level(logging.INFO, "otel_keyaudit")
    shop.instrument(recorder, sampler=sampler)
    assert f"; sampler {name}; version " in caplog.text


def test_spans_and_events_have_the_scope_of_the_library(recorder: Recorder, shop: Any) -> None:
    """Both have the library's name and version, and each list has at most the configured length."""
    provider, exporter = recording_provider()
    shop.instrument(recorder, events="audits", max_items=1, logger_provider=provider)
    with recorder.request():
        shop.verify(shop.ci_bot("k_1"))
        shop.record("create")
        with pytest.raises(PermissionError):
            shop.verify(None, PermissionError())
    (span,) = recorder.audit_spans()
    (event,) = exporter.get_finished_logs()
    for scope in (span.instrumentation_scope, event.instrumentation_scope):
        assert scope is not None
        assert (scope.name, scope.version) == ("otel_keyaudit", __version__)
    assert event.log_record.event_name == "keyaudit.audit"
    assert [*recorder.server_span()["keyaudit.key.scopes"]] == ["a:read"]


def test_a_failing_server_span_is_counted(recorder: Recorder, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes are also set outside of calls of targets."""
    shop.instrument(recorder)
    with recorder.request() as span:
        monkeypatch.setattr(span, "set_attributes", None)
        with use_key(ApiKey("k_1")):
            shop.record("create")
    assert recorder.degraded()["telemetry"] >= 1
    assert shop.ROWS[-1]["request_api_key"]["id"] == "k_1"


def test_digests_have_the_version_of_the_catalog_until_the_end(recorder: Recorder, shop: Any, tmp_path: Path) -> None:
    """A session without a catalog has digests without a version, as before the session."""
    key, catalog = ApiKey("k_1"), tmp_path / "catalog.json"
    catalog.write_text('{"version": "2026-11", "resources": {"a": ["read"]}}', encoding="utf-8")
    shop.instrument(recorder, scope_catalog=str(catalog))
    assert key.digest == key.digest_under("2026-11") != key.digest_under(None)
    recorder.uninstrument()
    assert key.digest == key.digest_under(None)


def test_status_names_the_preset_of_a_target(recorder: Recorder, shop: Any) -> None:
    """Targets of the user come first, and belong to none."""
    shop.instrument(recorder, presets="logging,pyjwt")
    statuses = KeyAuditInstrumentor().status()
    assert {status.preset for status in statuses if status.target.startswith(shop.__name__)} == {None}
    assert statuses[0].preset is None
    assert statuses[-1].preset in ("logging", "pyjwt")
