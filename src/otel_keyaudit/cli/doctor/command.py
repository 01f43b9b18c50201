"""``otel-keyaudit doctor``: check the configuration, and observe a command that runs with it."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec

import click

from otel_keyaudit.cli.child import SIGNALS, check_command, records, run_instrumented, run_until_end
from otel_keyaudit.cli.doctor.findings import FINDINGS, PENDING, WRONG, Finding, find
from otel_keyaudit.cli.doctor.observations import Observations, read_observations
from otel_keyaudit.cli.doctor.options import check_options
from otel_keyaudit.cli.doctor.probe import IMPORT_ERRORS
from otel_keyaudit.cli.doctor.rendering import as_document, print_report
from otel_keyaudit.cli.options import read_names
from otel_keyaudit.cli.output import print_json
from otel_keyaudit.cli.records import DIRECTORY
from otel_keyaudit.cli.usage import OneLineCommand

_ENDED_BY_USER = (0, *(-number for number in SIGNALS), *(128 + number for number in SIGNALS))
"""Exit statuses of a command that ended well, or by Ctrl-C."""


@click.command(
    cls=OneLineCommand,
    context_settings={"allow_interspersed_args": False},
    epilog="Example: otel-keyaudit doctor -- uvicorn shop.main:app",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
@click.option("--allow", metavar="FINDING,...", default="", help="Ignore these findings.")
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def doctor(is_json: bool, allow: str, command: tuple[str, ...]) -> None:
    """Check the options, and observe a command that runs with them.

    Without a command, import the modules of the targets. With a command, run it under opentelemetry-instrument until it
    ends or you press Ctrl-C; send requests meanwhile. Findings: pending, wrong, silent (never called), outside
    (a key outside of every request), ambiguous, failed, degraded.
    """
    allowed = read_names("--allow", allow, FINDINGS)
    if command:
        check_command(command)
    settings, findings = check_options()
    observations = Observations(0, [])
    if settings is not None and (settings.targets or settings.presets):
        observations, more = _observe(command) if command else _import_modules()
        findings += more
    findings = [finding for finding in findings if finding.finding not in allowed]
    if is_json:
        print_json(as_document(observations, findings))
    else:
        print_report(observations, findings, has_run=bool(command))
    sys.exit(1 if findings else 0)


def _observe(command: tuple[str, ...]) -> tuple[Observations, list[Finding]]:
    """Run the command until it ends."""
    with records() as directory:
        click.echo("keyaudit: send requests to your service now, and press Ctrl-C when done", err=True)
        status = run_instrumented(command, directory, "otel_keyaudit.cli.doctor.probe:start")
        observations = read_observations(directory)
    if status not in _ENDED_BY_USER:
        click.echo(f"keyaudit: the command ended with status {status}; its own output says why", err=True)
    instrumentation = version("opentelemetry-instrumentation")
    findings = list(
        find(observations.targets, has_run=True, version=instrumentation, needs_settings=_needs_django_settings())
    )
    if not observations.targets:
        detail = f"the command ended with status {status}, and none of its processes loaded the library"
        remedy = "run it in the environment in which otel-keyaudit is installed, and read its output"
        findings.append(Finding(WRONG, None, detail, remedy))
    return observations, findings


def _needs_django_settings() -> bool:
    """Return whether Django is instrumented, but its settings are not in the environment."""
    is_instrumented = all(find_spec(name) for name in ("django", "opentelemetry.instrumentation.django"))
    return is_instrumented and not os.environ.get("DJANGO_SETTINGS_MODULE")


def _import_modules() -> tuple[Observations, list[Finding]]:
    """Import the modules of all targets in a separate process."""
    with records() as directory:
        program = [sys.executable, "-m", "otel_keyaudit.cli.doctor.imports"]
        status = run_until_end(program, {**os.environ, DIRECTORY: str(directory)})
        observations = read_observations(directory)
        errors = directory / IMPORT_ERRORS
        failed = json.loads(errors.read_text(encoding="utf-8")) if errors.exists() else None
    findings = list(find(observations.targets, has_run=False, needs_settings=_needs_django_settings()))
    if failed is None:
        detail = f"the import of the modules ended the process with status {status}"
        findings.append(Finding(WRONG, None, detail, "read its output; import the modules of the targets by hand"))
    wrong = {target.target.partition(":")[0] for target in observations.targets if target.state == "wrong"}
    for module, error in (failed or {}).items():
        if module in wrong:
            continue  # the target reports it already
        remedy = (
            f"run `python -c 'import {module}'` to see why; if it needs the application, pass the service's command"
        )
        findings.append(Finding(PENDING, None, f"the import of {module} raised {error}", remedy))
    return observations, findings
