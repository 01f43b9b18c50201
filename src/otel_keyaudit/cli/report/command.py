"""``otel-keyaudit report``: compare the granted and the used permissions of API keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.status import Status

from otel_keyaudit.cli.report.analysis import analyze
from otel_keyaudit.cli.report.model import Report
from otel_keyaudit.cli.report.options import Options
from otel_keyaudit.cli.report.reading.entries import SourceError
from otel_keyaudit.cli.report.reading.sources import read_source
from otel_keyaudit.cli.report.rendering.as_json import render_json
from otel_keyaudit.cli.report.rendering.page import render_page
from otel_keyaudit.cli.report.rendering.table import print_table
from otel_keyaudit.cli.report.tally.tally import Tally
from otel_keyaudit.cli.usage import OneLineCommand, WrongUseError
from otel_keyaudit.errors import shown


@click.command(cls=OneLineCommand, epilog="Example: otel-keyaudit report audit.db --since 90d --catalog scopes.json")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--since", metavar="90d|DATE", help="Start of the period.")
@click.option("--until", metavar="DATE", help="End of the period; a date includes the whole day.")
@click.option("--min-age", metavar="30d", default="30d", help="Age from which a key can be reported as unused.")
@click.option("--key", metavar="GLOB", help="Report only keys whose id matches.")
@click.option("--catalog", metavar="PATH", help="The scope catalog.")
@click.option("--query", metavar="SQL", help="Query that selects the columns of a row.")
@click.option("--format", metavar="table|json|html", default="table", help="Format of the report.")
@click.option("-o", "--output", metavar="FILE", help="Write the report into a file.")
@click.option("--jaeger", metavar="URL", help="Link keys and traces of the HTML page to this Jaeger.")
@click.option("--fail-on", metavar="FINDING,...", default="", help="Exit with status 1 if there are such findings.")
def report(**given: Any) -> None:
    """Compare the granted and the used permissions of API keys.

    A SOURCE is an SQLite file, a postgresql:// URL, JSON lines of audit rows or log events (also .gz), or - for
    standard input. Several sources are read as one, and all are opened read-only.
    """
    options = Options.read(given)
    names = options.request_field, options.subject_field
    tally = Tally(*names, options.since, options.until, counts_days=options.format == "html")
    with _progress() as progress:
        entries = (read_source(source, options.query, options.request_field) for source in options.sources)
        try:
            tally.add(chain.from_iterable(entries), progress)
        except SourceError as error:
            raise WrongUseError(str(error)) from None
    found = analyze(tally, options)
    _write(found, options)
    if any(finding.finding in options.fail_on for finding in found.findings):
        sys.exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show the number of rows on standard error if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda rows: None
        return
    with Status("reading", console=console) as status:
        yield lambda rows: status.update(f"reading: {rows:,} rows")


def _write(found: Report, options: Options) -> None:
    """Write the report to the file or to standard output."""
    if options.output is None:
        _render(found, options, sys.stdout)
        return
    try:
        with Path(options.output).open("w", encoding="utf-8", newline="\n") as file:
            _render(found, options, file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WrongUseError(f"cannot write {shown(options.output)}: {reason}") from None


def _render(found: Report, options: Options, file: Any) -> None:
    if options.format == "json":
        print(render_json(found), file=file)
    elif options.format == "html":
        print(render_page(found, options.jaeger), file=file)
    else:
        print_table(found, file)
