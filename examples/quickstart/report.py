"""Print the requests, the audit rows before and after, and the spans."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from otlp import SERVER, Span
from story import Story

WIDTH = 80  # the narrowest common terminal, and the width of a pipe and of the picture
SHOWN = "keyaudit."
json_colors = JSONHighlighter()


def new_console() -> Console:
    """Return a console for standard output: colored in a terminal, plain and of fixed width elsewhere."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def print_settings(console: Console, command: str, settings: Mapping[str, str]) -> None:
    """Show the command and the variables that started the service."""
    console.print(_heading("The unchanged service was started with"))
    lines = [f"{name}='{value}'" for name, value in settings.items()]
    console.print(Text("\n".join([*lines, command]), style="cyan"), soft_wrap=True)


def print_requests(console: Console, before: Story, after: Story) -> None:
    """Show the requests and their answers without and with the library, which are the same."""
    console.print(_heading("The same requests, without the library and with it: the answers are the same"))
    table = _table("#", "key", "request", "without", "with", "body")
    same = [plain == answer for plain, answer in zip(before.answers(), after.answers(), strict=True)]
    for number, (plain, sent) in enumerate(zip(before.requests, after.requests, strict=True), 1):
        statuses = [
            Text(str(status), style="green" if status < 400 else "red") for status in (plain.status, sent.status)
        ]
        body = "same" if same[number - 1] else "differs"
        table.add_row(str(number), sent.key, f"{sent.method} {_short(sent.path, 24)}", *statuses, body)
    console.print(table)


def print_audit_log(console: Console, before: Story, after: Story) -> None:
    """Show every audit row, and the key that its additional fields now name."""
    console.print(_heading("The audit log, by number of request: each row now names its key"))
    table = _table("#", "actor", "row", "outcome", "key", "detail", "bytes")
    for number, plain, row in zip(after.row_requests, before.rows, after.rows, strict=True):
        key = row["additional_fields"].get("request_api_key", {})
        table.add_row(
            str(number),
            row["actor"],
            f"{row['action']} {row['resource_type']} {row['resource_id']}",
            Text(row["outcome"], style="green" if row["outcome"] == "ok" else "red"),
            Text(str(key.get("name")), style="bold"),
            Text(str(key.get("detail")), style="yellow" if key.get("detail") == "full" else "dim"),
            f"{plain['bytes']} → {row['bytes']}",
        )
    console.print(table)
    silent = [number for number in range(1, len(after.requests) + 1) if number not in after.row_requests]
    console.print(f"Requests {', '.join(map(str, silent))} wrote no row.", style="dim")


def print_row(console: Console, before: Story, after: Story, number: int, members: Sequence[str] = ()) -> None:
    """Show the additional fields of a request's row before and after, or only some members of its snapshots.

    Args:
        console: Receives the output.
        before: The run without the library.
        after: The run with it.
        number: The number of the request.
        members: Names of the members to show, beside `id` and `name`; all if empty.
    """
    row = after.row_of(number)
    title = f"The row of request {number}: {row['actor']}, {row['action']} {row['resource_type']} {row['resource_id']}"
    console.print(_heading(title))
    width = console.width - 4
    fields = before.row_of(number)["additional_fields"]
    console.print(Panel(_json(fields, width), title="before", title_align="left", box=ROUNDED))
    fields, name = row["additional_fields"], "after"
    if members:
        shown = {"id", "name", *members}
        fields, name = _with_members(fields, members, shown), f"after, only {', '.join(members)}"
    console.print(Panel(_json(fields, width), title=name, title_align="left", box=ROUNDED, border_style="green"))


def print_trace(console: Console, title: str, spans: Sequence[Span], trace_id: str) -> None:
    """Show the spans of one trace as a tree, with the attributes of the library."""
    console.print(_heading(title))
    tree = Tree(Text(f"trace {trace_id}", style="dim"), guide_style="dim")
    trace = sorted((span for span in spans if span.trace_id == trace_id), key=lambda span: span.start)
    known = {span.span_id for span in trace}
    for span in trace:
        if span.parent_id not in known:
            _add_span(tree, span, trace)
    console.print(tree)


def print_links(console: Console, ui: str, trace_id: str, searches: Mapping[str, Mapping[str, str]]) -> None:
    """Print links of Jaeger's pages, a trace and searches, each on its own line so that it can be copied."""
    console.print(_heading("The traces are in Jaeger"))
    links = {"The trace in which release-bot deleted the workspace": f"{ui.rstrip('/')}/trace/{trace_id}"}
    links |= {title: search_link(ui, tags) for title, tags in searches.items()}
    for title, link in links.items():
        console.print(f"{title}:")
        console.print(Text(f"  {link}", style="blue"), soft_wrap=True)


def search_link(ui: str, tags: Mapping[str, str]) -> str:
    """Return the link of Jaeger's search page for the service's traces with these attributes."""
    return f"{ui.rstrip('/')}/search?service=shop&tags={quote(json.dumps(dict(tags), separators=(',', ':')), safe='')}"


def picture(before: Story, after: Story, spans: Sequence[Span], number: int, trace_id: str) -> str:
    """Return an SVG picture of the audit log and one trace. It loads no font from elsewhere."""
    console = Console(markup=False, highlight=False, emoji=False, record=True, width=WIDTH, file=io.StringIO())
    print_audit_log(console, before, after)
    print_trace(console, f"The trace of request {number}", spans, trace_id)
    svg = console.export_svg(title="make demo", unique_id="demo")
    return re.sub(r"@font-face\s*\{[^}]*\}\s*", "", svg)


def pretty(value: Any, width: int, indent: int = 0, used: int = 0) -> str:
    """Return JSON that breaks a list or an object only if it is too long for the rest of its line."""
    compact = json.dumps(value, ensure_ascii=False)
    if len(compact) + indent + used <= width or not isinstance(value, (dict, list)):
        return compact
    pad = " " * (indent + 2)
    if isinstance(value, list):
        inner = [pretty(item, width, indent + 2) for item in value]
        return "[\n" + ",\n".join(pad + item for item in inner) + "\n" + pad[2:] + "]"
    members = []
    for name, member in value.items():
        label = f"{json.dumps(name)}: "
        text = pretty(member, width, indent + 2, len(label) + 1)
        members.append(pad + label + text)
    return "{\n" + ",\n".join(members) + "\n" + pad[2:] + "}"


def _add_span(tree: Tree, span: Span, trace: Sequence[Span]) -> None:
    server = span.kind == SERVER
    label = Text(span.name, style="bold green" if server else "bold yellow" if span.name[:5] == "audit" else "")
    status = _status(span) if server else None
    label.append(f"  {status}" if status else "", style="red" if status and status >= 400 else "green")
    label.append(f"  {(span.end - span.start) / 1e6:.1f} ms", style="dim")
    branch = tree.add(label)
    attributes = {name: value for name, value in span.attributes.items() if name.startswith(SHOWN)}
    longest = max(map(len, attributes), default=0)
    for name, value in attributes.items():
        text = json_colors(Text(json.dumps(value, ensure_ascii=False)))
        branch.add(Text(f"{name:<{longest}}  ", style="cyan").append_text(text))
    for child in trace:
        if child.parent_id == span.span_id:
            _add_span(branch, child, trace)


def _status(span: Span) -> int | None:
    # FastAPI's own spans have the stable name, contrib's instrumentor still writes the old one.
    status: int | None = span.attributes.get("http.response.status_code") or span.attributes.get("http.status_code")
    return status


def _with_members(fields: Mapping[str, Any], members: Sequence[str], shown: set[str]) -> dict[str, Any]:
    """Return the snapshots that have one of some members, reduced to the members to show."""
    snapshots = {name: fields[name] for name in ("request_api_key", "api_key") if name in fields}
    return {
        name: {member: value for member, value in snapshot.items() if member in shown}
        for name, snapshot in snapshots.items()
        if any(member in snapshot for member in members)
    }


def _json(value: Any, width: int) -> Text:
    return json_colors(Text(pretty(value, width)))


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in ("#", "bytes") else "left")
    return table


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
