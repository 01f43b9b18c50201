"""Render the report as tables for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import IO, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_keyaudit.cli.output import counted
from otel_keyaudit.cli.report.model import FINDINGS, KeyUse, Report, ScopeUse
from otel_keyaudit.cli.report.reading.times import rfc_3339
from otel_keyaudit.errors import printable

_PIPE_WIDTH: Final = 80
_URGENT: Final = ("forged", "altered", "beyond_scopes")


def print_table(report: Report, file: IO[str]) -> None:
    """Print the findings and then every key, with colors only in a terminal."""
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_summary(report))
    _print_findings(console, report)
    for key in report.keys:
        _print_key(console, key)
    if report.not_observable:
        console.print(Text("Not observable", style="bold"), Text(printable(", ".join(report.not_observable))))
        console.print("No key was seen to need these permissions, so the input cannot show that they are unused.")


def _summary(report: Report) -> Text:
    period = f"{_time(report.start)} to {_time(report.end)}" if report.end is not None else "no time known"
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
    table = Table("finding", "key", "row", "detail", box=SIMPLE_HEAD, pad_edge=False, expand=False)
    order = list(FINDINGS)
    for finding in sorted(report.findings, key=lambda found: order.index(found.finding)):
        style = "red" if finding.finding in _URGENT else "yellow"
        row = "" if finding.row is None else str(finding.row)
        kind = Text(finding.finding, style=style, no_wrap=True)
        table.add_row(kind, _text(finding.key_id), row, _text(finding.detail))
    console.print(table)


def _print_key(console: Console, key: KeyUse) -> None:
    title = Text(printable(key.id), style="bold")
    title.append(f"  {printable(key.name)}" if key.name else "", style="not bold")
    title.append(f"  owner {printable(key.owner)}" if key.owner else "", style="not bold dim")
    console.print(title)
    use = f"used {_time(key.first_used)} to {_time(key.last_used)}" if key.last_used is not None else "never used"
    counts = {"row": key.rows, "snapshot": key.snapshots, "denial": key.denials}
    console.print(Text(", ".join([use, *(counted(count, noun) for noun, count in counts.items())])))
    if key.scopes:
        table = Table("scope", "used", "unused", "not observable", "last used", box=SIMPLE_HEAD, pad_edge=False)
        for scope in key.scopes:
            table.add_row(*_scope(scope))
        console.print(table)
    else:
        console.print("scopes unknown or none")
    if {scope.scope for scope in key.scopes} != {*key.proposal}:
        console.print(Text("proposal: ", style="green"), Text(printable(", ".join(key.proposal)) or "no scope"), sep="")
    console.print()


def _scope(scope: ScopeUse) -> list[Text]:
    resource = scope.scope.partition(":")[0] + ":"
    lists = (
        (scope.used, "green"),
        (scope.unused, "yellow"),
        (scope.not_observable, "dim"),
    )
    shown = [Text(printable(", ".join(name.removeprefix(resource) for name in names)), style) for names, style in lists]
    return [_text(scope.scope), *shown, Text(_time(scope.last_used)[:10])]


def _text(value: str | None) -> Text:
    return Text(printable(value or ""))


def _time(time: datetime | None) -> str:
    return rfc_3339(time) or "-"
