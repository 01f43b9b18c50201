"""``otel-keyaudit doctor``: the options, the modules of the targets, and the calls of a command."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit.cli.records import DIRECTORY

SHOP = """
class Key:
    def __init__(self, id, **more):
        self.id, self.name, self.scopes, self.allow_list = id, "ci", ["a:read"], []
        self.__dict__.update(more)

def verify(raw):
    if raw == "bad":
        raise PermissionError("bad")
    return Key(raw)

def record(action, additional_fields=None):
    return additional_fields

def unused(action, additional_fields=None):
    return additional_fields
"""
SERVICE = """
import shop
from otel_keyaudit import ApiKey, use_key

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    try:
        shop.verify(dict(scope["headers"])[b"x-api-key"].decode())
        status = 200
    except PermissionError:
        status = 401
    shop.record("create", {})
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
FORKS = """
import multiprocessing, os, time
import shop
from otel_keyaudit import ApiKey, use_key

def work(count):
    with use_key(ApiKey("k_1")):
        for _ in range(count):
            shop.record("create", {})

if __name__ == "__main__":
    work(1)
    child = os.fork()
    if child == 0:
        work(20)
        time.sleep(0.5)
        os._exit(0)
    os.waitpid(child, 0)
    worker = multiprocessing.get_context("fork").Process(target=work, args=(300,))
    worker.start()
    worker.join()
    shop.verify("k_2")
"""
KEYS = ("finding", "target", "detail", "remedy")
INSTRUMENTATION = version("opentelemetry-instrumentation")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the application."""
    for name, source in (("shop", SHOP), ("service", SERVICE), ("forks", FORKS)):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    return tmp_path


def environment(**options: str) -> dict[str, str]:
    """Return an environment with options."""
    variables = {f"OTEL_PYTHON_KEYAUDIT_{name.upper()}": value for name, value in options.items()}
    return {**os.environ, **variables, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "django,celery,flask,fastapi,starlette"}


def doctor(folder: Path, *arguments: str, **options: str) -> tuple[int, Any, str]:
    """Run the command; return its status, its JSON document and its standard error."""
    program = [sys.executable, "-m", "otel_keyaudit", "doctor", "--json", *arguments]
    done = subprocess.run(
        program, cwd=folder, env=environment(**options), capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def findings(document: Any) -> list[tuple[str, str | None]]:
    """Return the findings with their targets; each has a detail and a remedy."""
    assert all(tuple(one) == KEYS and one["detail"] and one["remedy"] for one in document["findings"])
    return [(one["finding"], one["target"]) for one in document["findings"]]


def test_right_targets_have_no_findings(folder: Path) -> None:
    """The modules of right targets are imported and their states are shown, although nothing was called."""
    status, document, _ = doctor(folder, auth_targets="shop:verify", audit_targets="shop:record")
    assert (status, document["format"], findings(document)) == (0, "keyaudit-doctor/1", [])
    assert [(one["target"], one["kind"], one["state"], one["calls"]) for one in document["targets"]] == [
        ("shop:verify", "auth", "active", 0),
        ("shop:record", "audit", "active", 0),
    ]
    assert document["targets"][0].keys() == {
        "target", "kind", "state", "reason", "preset", "calls", "outcomes", "unreadable", "last_member",
    }  # fmt: skip


def test_wrong_names_are_findings(folder: Path) -> None:
    """Module, function and parameter are checked, and the nearest name is given."""
    targets = ["shop:verfy", "shop:record?fields=args.aditional_fields", "shp:record"]
    status, document, _ = doctor(folder, auth_targets=targets[0], audit_targets=",".join(targets[1:]))
    assert status == 1
    assert {("wrong", target) for target in targets} <= set(findings(document))
    details = {one["target"]: one["detail"] for one in document["findings"]}
    assert "verify" in details[targets[0]]
    assert "additional_fields" in details[targets[1]]


def test_findings_can_be_allowed(folder: Path) -> None:
    """Allowed findings are left out and do not change the exit status."""
    status, document, _ = doctor(folder, "--allow", "wrong, pending", auth_targets="shop:verfy")
    assert (status, findings(document)) == (0, [])


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"sampler": "action", "auth_targets": "shop:verify"}, "did you mean 'actions'?"),
        ({"presets": "pyjtw"}, "did you mean 'pyjwt'?"),
        ({}, "no targets and no presets are configured"),
        ({"auth_target": "shop:verify"}, "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS"),
        ({"auth_targets": "shop:verify", "sampler": "rules", "sampler_arg": "no.json"}, "No such file"),
    ],
)
def test_wrong_options_are_findings(folder: Path, options: dict[str, str], detail: str) -> None:
    """The line names the option and the remedy, and the application is not imported."""
    (folder / "shop.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    status, document, error = doctor(folder, **options)
    assert status == 1
    assert ("wrong", None) in findings(document)
    assert any(detail in one["detail"] for one in document["findings"])
    assert ("imported" in error) == ("auth_targets" in options and options["sampler"] == "")


def test_a_module_that_cannot_be_imported_is_a_finding(folder: Path) -> None:
    """The finding has the class of the exception and not its message, which can hold a secret."""
    (folder / "shop.py").write_text("raise RuntimeError('s3cret')", encoding="utf-8")
    status, document, _ = doctor(folder, auth_targets="shop:verify")
    assert status == 1
    assert {name for name, _ in findings(document)} == {"pending"}
    assert any("RuntimeError" in one["detail"] for one in document["findings"])
    assert any("pass the service's command" in one["remedy"] for one in document["findings"])
    assert "s3cret" not in json.dumps(document)


def test_models_of_a_django_project_are_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its applications are loaded before, if the environment names the settings; otherwise the remedy asks for them."""
    pytest.importorskip("django")
    (folder / "ledger").mkdir()
    (folder / "ledger" / "__init__.py").touch()
    (folder / "ledger" / "models.py").write_text(
        "from django.db import models\nclass AuditLog(models.Model):\n    details = models.JSONField()\n",
        encoding="utf-8",
    )
    (folder / "ledger_settings.py").write_text("INSTALLED_APPS = ['ledger']\nUSE_TZ = True\n", encoding="utf-8")
    target = "ledger.models:AuditLog._save_table?fields=self.details&when=self._state.adding"
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    _, document, _ = doctor(folder, audit_targets=target)
    assert {name for name, _ in findings(document)} == {"pending"}
    assert "export DJANGO_SETTINGS_MODULE" in document["findings"][0]["remedy"]
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "ledger_settings")
    status, document, error = doctor(folder, audit_targets=target)
    assert (status, findings(document)) == (0, []), error
    assert [one["state"] for one in document["targets"]] == ["active"]


def test_an_import_that_ends_the_process_is_a_finding(folder: Path) -> None:
    """A script without a guard around its main part ends the process."""
    (folder / "shop.py").write_text("import os; print('output', flush=True); os._exit(3)", encoding="utf-8")
    status, document, error = doctor(folder, auth_targets="shop:verify")
    assert (status, findings(document)) == (1, [("wrong", None)])
    assert "status 3" in document["findings"][0]["detail"]
    assert "output" in error  # standard output has the report only


def test_all_processes_are_added_up(folder: Path) -> None:
    """The first process, a fork and a worker without ``atexit`` add up; a key outside of requests is a finding."""
    status, document, error = doctor(
        folder, "--", sys.executable, "forks.py", auth_targets="shop:verify", audit_targets="shop:record,shop:unused"
    )
    verify, record, unused = document["targets"]
    assert (verify["calls"], verify["outcomes"]["accepted"]) == (1, 1), error
    assert (record["calls"], record["outcomes"]["attributed"]) == (321, 321)
    assert record["last_member"]["id"] == "k_1"
    assert (unused["calls"], unused["last_member"]) == (0, None)
    assert document["processes"] == 3
    assert status == 1
    assert findings(document) == [("outside", "shop:verify"), ("silent", "shop:unused")]


RECORDED = f"""
import glob, os, time
def wait_until_recorded(count):
    names = os.path.join(os.environ["{DIRECTORY}"], "*.jsonl")
    while not any(f'"calls": {{count}}' in open(name).read() for name in glob.glob(names)):
        time.sleep(0.05)
"""


def test_unreadable_fields_are_counted_by_name(folder: Path) -> None:
    """The names are those of the target's fields, for keys and for events."""
    calls = "import shop; shop.verify('k_1'); shop.verify('k_2'); shop.record('create')"
    targets = {
        "auth_targets": "shop:verify?owner=tenant",
        "audit_targets": "shop:record?resource_id=args.action.id&subject=args.action&subject_id=key_id",
    }
    _, document, _ = doctor(folder, "--", sys.executable, "-c", calls, **targets)
    verify, record = document["targets"]
    assert verify["unreadable"] == {"owner": 2, "NoRequestError": 2}
    assert record["unreadable"] == {"resource_id": 1, "subject_id": 1}


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_killed_process_is_counted(folder: Path, number: str) -> None:
    """SIGTERM loses no calls, and SIGKILL none that were recorded; both end the process as without the doctor."""
    program = f"""
import os, shop, signal, time
from recorded import wait_until_recorded
for _ in range(7):
    shop.record("create", {{}})
if "{number}" == "SIGKILL":
    wait_until_recorded(7)
os.kill(os.getpid(), signal.{number})
time.sleep(60)
"""
    (folder / "recorded.py").write_text(RECORDED, encoding="utf-8")
    (folder / "killed.py").write_text(program, encoding="utf-8")
    parent = "import os; child = os.fork(); child or __import__('killed'); print('status', os.waitpid(child, 0)[1])"
    _, document, error = doctor(folder, "--", sys.executable, "-c", parent, audit_targets="shop:record")
    assert (document["targets"][0]["calls"], document["processes"]) == (7, 1), error
    assert f"status {int(getattr(signal, number))}" in error


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--jsn"], "No such option '--jsn'. Did you mean '--json'? Try: otel-keyaudit doctor --help"),
        (["--allow"], "Option '--allow' requires an argument. Try: otel-keyaudit doctor --help"),
        (["no-such-command"], "there is no command 'no-such-command' to run; check its name and your PATH"),
        (["--", "shop.py", "--port"], "there is no command 'shop.py' to run; run it by: python shop.py"),
    ],
)
def test_wrong_use_is_one_line(folder: Path, arguments: list[str], line: str) -> None:
    """The line names the remedy, and nothing runs, whatever the options."""
    status, document, error = doctor(folder, *arguments)
    assert (status, document, error.splitlines()) == (2, None, [f"keyaudit: {line}"])


def test_an_unknown_finding_is_wrong_use(folder: Path) -> None:
    """The line names the nearest finding."""
    status, document, error = doctor(folder, "--allow", "silnt")
    assert (status, document) == (2, None)
    assert error.strip().endswith("did you mean 'silent'?")


@contextmanager
def doctor_at(folder: Path, line: str, *arguments: str, **targets: str) -> Iterator[subprocess.Popen[str]]:
    """Start doctor, and wait until a line on its standard error tells how far it is."""
    command = [sys.executable, "-m", "otel_keyaudit", "doctor", "--json", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(**targets), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while process.stderr.readline() != f"{line}\n":
            assert process.poll() is None
        yield process


@contextmanager
def served(folder: Path, *command: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run a server under the doctor; yield its port and the process of the doctor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "otel_keyaudit", "doctor", "--json", "--", *command, "--port", str(port)]
    options = environment(auth_targets="shop:verify", audit_targets="shop:record")
    with subprocess.Popen(
        program, cwd=folder, env=options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield port, process
        finally:
            process.kill()


def send(port: int, key: str) -> int:
    """Send a request, as soon as the server listens; return its status."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"X-API-Key": key})
    for _ in range(300):
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
                return int(response.status)
        except urllib.error.HTTPError as error:  # noqa: PERF203 - until it listens
            with error:
                return error.code
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(port)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_server_is_observed_until_a_signal(folder: Path, number: signal.Signals, workers: int) -> None:
    """The signal reaches the server, and the calls of all workers count."""
    command = [sys.executable, "-m", "uvicorn", "service:app", "--workers", str(workers)]
    with served(folder, *command) as (port, process):
        statuses = [send(port, key) for key in ("k_1", "k_2", "bad") * 4]
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    assert statuses == [200, 200, 401] * 4
    document = json.loads(output)
    if workers > 1 and INSTRUMENTATION.startswith("0.62b"):  # it does not instrument new processes
        assert {name for name, _ in findings(document)} == {"pending"}
        assert all("upgrade it to 0.63b1" in one["remedy"] for one in document["findings"])
        return
    assert findings(document) == [], error
    assert process.returncode == 0
    verify, record = document["targets"]
    assert (verify["calls"], verify["outcomes"]) == (12, {"accepted": 8, "denied": 4})
    assert (record["calls"], record["outcomes"]) == (12, {"attributed": 8, "none": 4})
    assert record["last_member"]["id"] in ("k_1", "k_2")
    assert 1 <= document["processes"] <= max(workers, error.count("Started server process")), error
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pytest.fail("the server still listens")


def test_a_command_that_fails_is_named(folder: Path) -> None:
    """Its exit status is on standard error, beside the findings."""
    command = (sys.executable, "-c", "import shop; raise SystemExit(3)")
    status, document, error = doctor(folder, "--", *command, auth_targets="shop:verify")
    assert (status, findings(document)) == (1, [("silent", "shop:verify")])
    assert "keyaudit: the command ended with status 3; its own output says why" in error.splitlines()


def test_the_options_of_the_command_are_its_own(folder: Path) -> None:
    """``opentelemetry-instrument`` has options of similar names, such as ``--configurator`` for ``--config``."""
    source = "import json, sys, shop\nopen('arguments', 'w').write(json.dumps(sys.argv[1:])); shop.verify('k_1')"
    arguments = ["--config", "gunicorn.py", "--version", "--", "--traces_exporter", "-c"]
    status, _, error = doctor(
        folder, "--allow", "outside,silent", "--", sys.executable, "-c", source, *arguments, auth_targets="shop:verify"
    )
    assert status == 0, error
    assert json.loads((folder / "arguments").read_text(encoding="utf-8")) == arguments


def test_the_third_signal_kills_a_command_that_ignores_it(folder: Path) -> None:
    """The observations until then are printed."""
    program = """
import shop, signal, time
from recorded import wait_until_recorded
signal.signal(signal.SIGINT, signal.SIG_IGN)
shop.record("create", {})
wait_until_recorded(1)
print("ready", flush=True)
time.sleep(100)
"""
    (folder / "recorded.py").write_text(RECORDED, encoding="utf-8")
    (folder / "stubborn.py").write_text(program, encoding="utf-8")
    with doctor_at(folder, "ready", "--", sys.executable, "stubborn.py", audit_targets="shop:record") as process:
        while process.poll() is None:  # two signals that arrive at once count as one
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        output, _ = process.communicate(timeout=60)
    assert json.loads(output)["targets"][0]["calls"] == 1


@pytest.fixture
def _unignored() -> Iterator[None]:
    """A shell ignores SIGQUIT in its background jobs, nohup SIGHUP, and every child process inherits that."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGQUIT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_unignored")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_closed_terminal_ends_the_command(folder: Path, number: signal.Signals) -> None:
    """Otherwise the service would run on, because it has a process group of its own."""
    program = """
import shop, time
from recorded import wait_until_recorded
shop.record("create", {})
wait_until_recorded(1)
print("ready", flush=True)
time.sleep(100)
"""
    (folder / "recorded.py").write_text(RECORDED, encoding="utf-8")
    (folder / "sleeping.py").write_text(program, encoding="utf-8")
    with doctor_at(folder, "ready", "--", sys.executable, "sleeping.py", audit_targets="shop:record") as process:
        process.send_signal(number)
        output, error = process.communicate(timeout=60)
    document = json.loads(output)
    assert (findings(document), document["targets"][0]["calls"]) == ([], 1)
    assert "ended with status" not in error


def test_an_import_is_interrupted_without_a_traceback(folder: Path) -> None:
    """Ctrl-C ends the import; the finding says so."""
    (folder / "shop.py").write_text(
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(100)"
    )
    with doctor_at(folder, "importing", auth_targets="shop:verify") as process:
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert "Traceback" not in error
    assert findings(json.loads(output)) == [("wrong", None)]


def test_a_target_without_a_package_is_one_finding(folder: Path) -> None:
    """The failed import of its module says nothing more."""
    status, document, _ = doctor(folder, auth_targets="shp:verify")
    assert (status, findings(document)) == (1, [("wrong", "shp:verify")])


def test_lines_for_people(folder: Path) -> None:
    """Each target has its state, calls and last member, each finding a remedy, and a pipe has no colors."""
    program = [sys.executable, "-m", "otel_keyaudit", "doctor", "--", sys.executable, "forks.py"]
    options = environment(auth_targets="shop:verify", audit_targets="shop:record")
    done = subprocess.run(program, cwd=folder, env=options, capture_output=True, text=True, check=False, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "active auth shop:verify" in lines
    assert "  321 calls: attributed 321" in lines
    assert any(line.startswith('  last member: {"id": "k_1"') for line in lines)
    assert any(line.startswith("outside shop:verify: accepted outside of every request: 1 key") for line in lines)
    assert lines[-1].startswith("  remedy: ")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("settings", "is_named"), [("shop.settings", False), ("", True)])
def test_missing_settings_of_django_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str, is_named: bool
) -> None:
    """Where Django is instrumented, the remedy of a pending target names the variable unless it is set."""
    for name in ("django", "opentelemetry.instrumentation.django"):
        pytest.importorskip(name)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", settings)
    _, document, error = doctor(folder, "--", sys.executable, "-c", "pass", auth_targets="shop:verify")
    (finding,) = document["findings"]
    assert finding["finding"] == "pending", error
    assert ("export DJANGO_SETTINGS_MODULE" in finding["remedy"]) == is_named
