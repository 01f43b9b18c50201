"""Print what a person wants to see: the requests, the audit rows before and after, and the spans."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
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
from story import Sent, Story

PIPE_WIDTH = 110
SHOWN = "keyaudit."
json_colours = JSONHighlighter()


def new_console(picture: bool) -> Console:
    """Return a console for standard output: coloured in a terminal, plain and of fixed width anywhere else."""
    console = Console(markup=False, highlight=False, emoji=False, record=picture)
    if picture or not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def print_settings(console: Console, command: str, settings: Mapping[str, str]) -> None:
    """Show how the service was started."""
    console.print(_heading("The service, unchanged, was started with"))
    lines = [f"{name}='{value}'" for name, value in settings.items()]
    console.print(Text("\n".join([*lines, command]), style="cyan"), soft_wrap=True)


def print_requests(console: Console, requests: Iterable[Sent]) -> None:
    """Show the requests that were sent."""
    console.print(_heading("The same requests, without it and with it"))
    table = _table("#", "key", "request", "answer")
    for number, sent in enumerate(requests, 1):
        colour = "green" if sent.status < 400 else "red"
        table.add_row(str(number), sent.key, f"{sent.method} {sent.path}", Text(str(sent.status), style=colour))
    console.print(table)


def print_audit_log(console: Console, before: Story, after: Story) -> None:
    """Show every audit row: what it said before, and what it says about the key now."""
    console.print(_heading("The audit log: every row, and what its additional_fields now say of the key"))
    table = _table("#", "actor", "what was done", "outcome", "request_api_key", "detail", "api_key", "bytes")
    for plain, row in zip(before.rows, after.rows, strict=True):
        key, subject = _key_members(row)
        table.add_row(
            str(row["id"]),
            row["actor"],
            f"{row['action']} {row['resource_type']} {_short(row['resource_id'])}",
            Text(row["outcome"], style="green" if row["outcome"] == "ok" else "red"),
            Text(str(key.get("name")), style="bold"),
            Text(str(key.get("detail")), style="yellow" if key.get("detail") == "full" else "dim"),
            str(subject.get("name", "")),
            f"{plain['bytes']} → {row['bytes']}",
        )
    console.print(table)


def print_row(console: Console, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Show the additional fields of one audit row, before and after."""
    what = f"{after['actor']} {after['action']} {after['resource_type']} {after['resource_id']}"
    console.print(_heading(f"Row {after['id']}, {what}: additional_fields before and after"))
    width = console.width - 4
    console.print(Panel(_json(before["additional_fields"], width), title="before", title_align="left", box=ROUNDED))
    fields = after["additional_fields"]
    console.print(Panel(_json(fields, width), title="after", title_align="left", box=ROUNDED, border_style="green"))


def print_trace(console: Console, title: str, spans: Sequence[Span], trace_id: str) -> None:
    """Show the spans of one trace as a tree, with what they say about the key."""
    console.print(_heading(title))
    tree = Tree(Text(f"trace {trace_id}", style="dim"), guide_style="dim")
    trace = sorted((span for span in spans if span.trace_id == trace_id), key=lambda span: span.start)
    known = {span.span_id for span in trace}
    for span in trace:
        if span.parent_id not in known:
            _add_span(tree, span, trace)
    console.print(tree)


def print_links(console: Console, ui: str, searches: Mapping[str, Mapping[str, str]]) -> None:
    """Print links of Jaeger's search page, each on a line of its own that can be copied."""
    for what, tags in searches.items():
        console.print(f"{what}:")
        console.print(Text(f"  {search_link(ui, tags)}", style="blue"), soft_wrap=True)


def search_link(ui: str, tags: Mapping[str, str]) -> str:
    """Return the link of Jaeger's search page for the service's traces with these attributes."""
    return f"{ui.rstrip('/')}/search?service=shop&tags={quote(json.dumps(dict(tags), separators=(',', ':')), safe='')}"


def picture(console: Console) -> str:
    """Return everything printed so far as an SVG picture that loads no font from elsewhere."""
    svg = console.export_svg(title="make demo", unique_id="demo", clear=False)
    return re.sub(r"@font-face\s*\{[^}]*\}\s*", "", svg)


def pretty(value: Any, width: int, indent: int = 0) -> str:
    """Return JSON text that opens a list or an object only where it is too long for one line."""
    compact = json.dumps(value, ensure_ascii=False)
    if len(compact) + indent <= width or not isinstance(value, (dict, list)):
        return compact
    pad = " " * (indent + 2)
    if isinstance(value, list):
        inner = [pretty(item, width, indent + 2) for item in value]
        return "[\n" + ",\n".join(pad + item for item in inner) + "\n" + pad[2:] + "]"
    members = []
    for name, member in value.items():
        label = f"{json.dumps(name)}: "
        text = pretty(member, width - len(label) - 1, indent + 2)
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
        text = json_colours(Text(json.dumps(value, ensure_ascii=False)))
        branch.add(Text(f"{name:<{longest}}  ", style="cyan").append_text(text))
    for child in trace:
        if child.parent_id == span.span_id:
            _add_span(branch, child, trace)


def _status(span: Span) -> int | None:
    # FastAPI's own spans have the stable name, contrib's instrumentor still writes the old one.
    status: int | None = span.attributes.get("http.response.status_code") or span.attributes.get("http.status_code")
    return status


def _key_members(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    fields = row["additional_fields"]
    return fields.get("request_api_key", {}), fields.get("api_key", {})


def _json(value: Any, width: int) -> Text:
    return json_colours(Text(pretty(value, width)))


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(
            column, no_wrap=column in ("#", "bytes"), justify="right" if column in ("#", "bytes") else "left"
        )
    return table


def _short(text: str, longest: int = 12) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
