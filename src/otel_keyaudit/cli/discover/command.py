"""``otel-keyaudit discover``: watch a service, and find the functions that authenticate and that write audit rows."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from otel_keyaudit.cli.child import check_command, records, run_instrumented
from otel_keyaudit.cli.discover.candidates import fitting_presets, preset_paths, rank
from otel_keyaudit.cli.discover.functions.packages import PACKAGES, named_packages
from otel_keyaudit.cli.discover.rendering import Discovery, as_document, print_discovery
from otel_keyaudit.cli.discover.watching.watcher import PRESET_PATHS
from otel_keyaudit.cli.output import print_json
from otel_keyaudit.cli.records import read_records
from otel_keyaudit.cli.usage import OneLineCommand

_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""Environment variable of ``opentelemetry-instrument``. All instrumentations are disabled, because no span is needed,
and they may not be configured yet: this library has no targets, and the instrumentation of Django no settings."""


@click.command(
    cls=OneLineCommand,
    context_settings={"allow_interspersed_args": False},
    epilog="Example: otel-keyaudit discover -- uvicorn shop.main:app",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def discover(is_json: bool, command: tuple[str, ...]) -> None:
    """Watch all calls of a service, and print the likely targets.

    Send one request with an API key that writes an audit row, and press Ctrl-C. The output has names and types, but no
    values. The service is slower while it is watched. Exit status 1: nothing was found.
    """
    check_command(command)
    with records() as directory:
        paths = preset_paths()
        (directory / PRESET_PATHS).write_text(json.dumps(list(paths)), encoding="utf-8")
        click.echo("keyaudit: send a request with an API key that writes an audit row, and press Ctrl-C", err=True)
        variables = {PACKAGES: ",".join(named_packages(command)), _DISABLED: "*"}
        status = run_instrumented(command, directory, "otel_keyaudit.cli.discover.watching.watcher:start", variables)
        seen = list(read_records(directory))
    candidates = rank(seen)
    found = Discovery(candidates, fitting_presets(seen, candidates, paths), _remark(seen, status))
    if is_json:
        print_json(as_document(found))
    else:
        print_discovery(found)
    sys.exit(0 if found.candidates or found.presets else 1)


def _remark(seen: list[dict[str, Any]], status: int) -> str | None:
    """Return the reason why nothing could be found, or ``None``."""
    if not seen:
        return f"no HTTP request reached the service, which ended with status {status}; check its output"
    if not any(record["has_credentials"] for record in seen):
        return "no request had an API key in a header, a cookie or the query; send a request with a key"
    return None
