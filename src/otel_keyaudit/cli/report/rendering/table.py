"""Render the report as tables for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import IO, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otel_keyaudit.cli.output import counted, line
from otel_keyaudit.cli.report.model import URGENT, Finding, KeyUse, Report, ScopeUse
from otel_keyaudit.cli.report.reading.times import rfc_3339
from otel_keyaudit.errors import printable

_PIPE_WIDTH: Final = 80


def print_table(report: Report, file: IO[str]) -> None:
    """Print the findings and then every key, with colors only in a terminal. Times are in UTC."""
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_summary(report))
    _print_findings(console, report)
    for key in report.keys:
        _print_key(console, key)
    if report.not_observable:
        console.print(line(("Not observable: ", "bold"), ", ".join(report.not_observable)))
        console.print("No key was seen to need these permissions, so the input cannot show that they are unused.")


def _summary(report: Report) -> Text:
    period = f"{_time(report.start)} to {_time(report.end)} UTC" if report.end is not None else "no time known"
    counts = {
        "without a key": report.rows_without_key,
        "unreadable": report.rows_unreadable,
    }
    parts = [
        counted(report.rows, "row"),
        *(f"{count:,} {name}" for name, count in counts.items() if count),
        counted(len(report.keys), "key"),
        counted(len(report.findings), "finding"),
    ]
    return Text(f"{period}\n{', '.join(parts)}\n")


def _print_findings(console: Console, report: Report) -> None:
    if not report.findings:
        console.print(Text("No findings\n", style="green"))
        return
    for finding in report.findings_by_urgency:
        console.print(_title(finding))
        console.print(Padding(Text(printable(finding.detail)), (0, 0, 0, 4), expand=False))
    console.print()


def _title(finding: Finding) -> Text:
    style = "red" if finding.finding in URGENT else "yellow"
    key = "" if finding.key_id is None else f"  {finding.key_id}"
    row = "" if finding.row is None else f"  row {finding.row}"
    return line((finding.finding, style), (key, "bold"), (row, "dim"))


def _print_key(console: Console, key: KeyUse) -> None:
    name = f"  {key.name}" if key.name else ""
    owner = f"  owner {key.owner}" if key.owner else ""
    console.print(line((key.id, "bold"), name, (owner, "dim")))
    use = f"used {_time(key.first_used)} to {_time(key.last_used)}" if key.last_used is not None else "never used"
    counts = {"row": key.rows, "snapshot": key.snapshots, "denial": key.denials}
    console.print(Text(", ".join([use, *(counted(count, noun) for noun, count in counts.items())])))
    if key.scopes:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("scope", "used", "unused", "not observable", "last used"):
            table.add_column(column, overflow="fold")
        for scope in key.scopes:
            table.add_row(*_scope(scope))
        console.print(table)
    else:
        console.print("scopes unknown or none")
    if {scope.scope for scope in key.scopes} != {*key.proposal}:
        console.print(line(("proposal: ", "green"), ", ".join(key.proposal) or "no scope"))
    console.print()


def _scope(scope: ScopeUse) -> list[Text]:
    resource = scope.scope.partition(":")[0] + ":"
    lists = (
        (scope.used, "green"),
        (scope.unused, "yellow"),
        (scope.not_observable, "dim"),
    )
    shown = [line((", ".join(name.removeprefix(resource) for name in names), style)) for names, style in lists]
    return [line(scope.scope), *shown, Text(_time(scope.last_used)[:10])]


def _time(time: datetime | None) -> str:
    """Format a time to the minute."""
    found = rfc_3339(time)
    return "-" if found is None else found[:16].replace("T", " ")
