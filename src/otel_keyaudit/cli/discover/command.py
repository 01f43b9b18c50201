"""``otel-keyaudit discover``: watch a service, and find the functions that authenticate and that write audit rows."""

from __future__ import annotations

import sys

import click

from otel_keyaudit.cli.child import records, run_instrumented
from otel_keyaudit.cli.discover.candidates import rank
from otel_keyaudit.cli.discover.rendering import as_document, print_candidates
from otel_keyaudit.cli.output import print_json
from otel_keyaudit.cli.recorder import read_records
from otel_keyaudit.cli.usage import OneLineCommand


@click.command(
    cls=OneLineCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: otel-keyaudit discover -- uvicorn shop.main:app",
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def discover(is_json: bool, command: tuple[str, ...]) -> None:
    """Watch all calls of a service, and print the likely targets.

    Send one request with an API key that writes an audit row, and press Ctrl-C. The output has names and types, and
    never values. The service is slower while it is watched. Exit status 1: nothing was found.
    """
    with records() as directory:
        click.echo("keyaudit: send a request with an API key that writes an audit row, and press Ctrl-C", err=True)
        run_instrumented(command, directory, "otel_keyaudit.cli.discover.watching.watcher:start")
        candidates = rank(read_records(directory))
    if is_json:
        print_json(as_document(candidates))
    else:
        print_candidates(candidates)
    sys.exit(0 if candidates else 1)
