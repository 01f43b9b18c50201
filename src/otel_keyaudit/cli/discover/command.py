"""``otel-keyaudit discover``: watch a service, and find the functions that authenticate and that write audit rows."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from otel_keyaudit.cli.child import check_command, records, run_instrumented
from otel_keyaudit.cli.discover.candidates import fitting_presets, kinds_of, preset_paths, rank
from otel_keyaudit.cli.discover.functions.packages import PACKAGES, named_packages
from otel_keyaudit.cli.discover.rendering import Discovery, as_document, print_discovery
from otel_keyaudit.cli.discover.watching.watcher import PRESET_PATHS
from otel_keyaudit.cli.output import print_json
from otel_keyaudit.cli.records import read_records
from otel_keyaudit.cli.usage import OneLineCommand

_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""Environment variable of ``opentelemetry-instrument``. All instrumentations are disabled, because no span is needed,
and they may not be configured yet: this library has no targets, and the instrumentation of Django no settings."""


_UNRECOGNIZED = {
    "auth": "No function that returns or stores a key with an id was recognized. If the service has one, name it "
    "yourself ('Functions that authenticate' in the documentation).",
    "audit": "No function that writes an audit row was recognized. If the request wrote a row, name the function that "
    "receives or builds its additional fields yourself ('Functions that write rows' in the documentation).",
}
"""The remark about each kind of which no function was found."""


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
    presets = fitting_presets(seen, candidates, paths)
    missing = sorted({"auth", "audit"} - kinds_of(candidates, presets), reverse=True)
    found = Discovery(candidates, presets, _remark(seen, status, missing))
    if is_json:
        print_json(as_document(found))
    else:
        print_discovery(found)
    sys.exit(0 if found.candidates or found.presets else 1)


def _remark(seen: list[dict[str, Any]], status: int, missing: list[str]) -> str | None:
    """Return the reason why no function of a kind was found, or ``None``."""
    if not seen:
        return f"no HTTP or gRPC request reached the service, which ended with status {status}; check its output"
    if not any(record["has_credentials"] for record in seen):
        return "no request had an API key in a header, a cookie or the query; send a request with a key"
    return " ".join(_UNRECOGNIZED[kind] for kind in missing) or None
