"""``otel-keyaudit report``: compare the granted and the used permissions of API keys."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from otel_keyaudit.cli.report.analysis import analyze
from otel_keyaudit.cli.report.model import Report
from otel_keyaudit.cli.report.options import Options
from otel_keyaudit.cli.report.reading.entries import SourceError
from otel_keyaudit.cli.report.reading.sources import read_source
from otel_keyaudit.cli.report.reading.times import EARLIEST
from otel_keyaudit.cli.report.rendering.as_json import render_json
from otel_keyaudit.cli.report.rendering.page import render_page
from otel_keyaudit.cli.report.rendering.table import print_table
from otel_keyaudit.cli.report.tally.tally import Tally
from otel_keyaudit.cli.usage import OneLineCommand, WrongUseError
from otel_keyaudit.errors import shown

_FORMS_OF_ROWS: Final = "expected a database, or one JSON object on each line"
_FORMS_OF_TIMES: Final = "expected ISO 8601 or a number since 1970"


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
    entries = (read_source(source, options.query, options.request_field) for source in options.sources)
    with _no_garbage_collection():
        with _progress(tally):
            try:
                tally.add(chain.from_iterable(entries))
            except SourceError as error:
                raise WrongUseError(str(error)) from None
        found = analyze(tally, options)
    _warn(tally)
    _write(found, options)
    if any(finding.finding in options.fail_on for finding in found.findings):
        sys.exit(1)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector, which would visit all keys again and again and find no cycle to free."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _progress(tally: Tally) -> Iterator[None]:
    """Show the number of rows on standard error if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with Status(_RowCount(tally), console=console):
        yield


class _RowCount:
    """Shows the number of rows at the time when the terminal is updated."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __rich__(self) -> Text:
        return Text(f"reading: {self._tally.number:,} rows")


def _warn(tally: Tally) -> None:
    """Print a hint if none of the rows could be read, or none has a time."""
    if not tally.rows:
        return
    if tally.rows == tally.unreadable:
        click.echo(f"keyaudit: none of {_rows(tally)} could be read; {_FORMS_OF_ROWS}", err=True)
    elif tally.last == EARLIEST:
        click.echo(
            f"keyaudit: none of {_rows(tally)} has a time in 'at' that could be read; {_FORMS_OF_TIMES}", err=True
        )


def _rows(tally: Tally) -> str:
    return f"the {tally.rows:,} rows"


def _write(found: Report, options: Options) -> None:
    """Write the report to the file or to standard output."""
    try:
        if options.output is None:
            _prepare_stdout(options.format)
            _render(found, options, sys.stdout)
            sys.stdout.flush()
        else:
            with Path(options.output).open("w", encoding="utf-8", newline="\n") as file:
                _render(found, options, file)
    except BrokenPipeError:  # the reader, such as ``head``, has seen enough
        raise
    except (OSError, ValueError) as error:
        place = "the report" if options.output is None else shown(options.output)
        reason = error.strerror if isinstance(error, OSError) else error
        raise WrongUseError(f"cannot write {place}: {reason}") from None


def _prepare_stdout(output_format: str) -> None:
    """Write a page in the encoding that it declares."""
    if isinstance(sys.stdout, TextIOWrapper) and output_format == "html":
        sys.stdout.reconfigure(encoding="utf-8", errors="strict")


def _render(found: Report, options: Options, file: Any) -> None:
    if options.format == "json":
        print(render_json(found), file=file)
    elif options.format == "html":
        print(render_page(found, options.jaeger), file=file)
    else:
        print_table(found, file)
