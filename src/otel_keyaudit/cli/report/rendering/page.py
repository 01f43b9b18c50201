"""Render the report as one HTML file without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import resources
from itertools import groupby
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from otel_keyaudit.cli.output import counted
from otel_keyaudit.cli.report.model import FINDINGS, URGENT, Finding, KeyUse, Report, ScopeUse
from otel_keyaudit.cli.report.reading.times import rfc_3339
from otel_keyaudit.cli.report.rendering.markup import document, tag
from otel_keyaudit.cli.report.rendering.timeline import timeline
from otel_keyaudit.names import KEY_ID

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_OPEN: Final = 12
"""Maximum number of keys, and of findings in a group, that are unfolded at first."""
_STATES: Final = {"used": "used", "not_observable": "not observable", "unused": "unused"}


def render_page(report: Report, jaeger: str | None = None) -> str:
    """Render the page.

    Args:
        report: The report.
        jaeger: Base URL of the Jaeger to which keys and traces link; its query, such as ``?service=shop``, is kept.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "API keys: granted and used"),
        tag("style", resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")),
    )
    body = tag(
        "main",
        _header(report),
        _findings(report, jaeger),
        tag("h2", f"Keys ({len(report.keys):,})"),
        _legend(),
        *(_key(key, report, jaeger) for key in report.keys),
        _not_observable(report),
    )
    return document(tag("html", head, tag("body", body), lang="en"))


def _header(report: Report) -> Element:
    days = f"{_time(report.start)} to {_time(report.end)} UTC" if report.end is not None else "No time is known."
    tiles: dict[str, int] = {
        "keys": len(report.keys),
        "findings": len(report.findings),
        "rows": report.rows,
        "rows without a key": report.rows_without_key,
        "unreadable rows": report.rows_unreadable,
    }
    return tag(
        "header",
        tag("h1", "API keys: granted and used"),
        tag("p", days, class_="period"),
        tag("dl", *(_tile(name, count) for name, count in tiles.items()), class_="tiles"),
    )


def _tile(name: str, count: int) -> Element:
    return tag("div", tag("dt", name), tag("dd", f"{count:,}"))


def _findings(report: Report, jaeger: str | None) -> Element:
    """Return the findings, grouped by kind, the most urgent kind first."""
    grouped = groupby(report.findings_by_urgency, key=lambda one: one.finding)
    groups = [_group(kind, list(members), jaeger) for kind, members in grouped]
    return tag("section", tag("h2", "Findings"), *(groups or [tag("p", "Nothing was found.", class_="good")]))


def _group(kind: str, findings: list[Finding], jaeger: str | None) -> Element:
    urgency = "urgent" if kind in URGENT else "notable"
    title = tag(
        "summary",
        tag("span", kind.replace("_", " "), class_="kind"),
        tag("span", f"{len(findings):,}", class_="count"),
        tag("span", FINDINGS[kind], class_="meaning"),
    )
    items = tag("ul", *(_finding(finding, jaeger) for finding in findings))
    return tag("details", title, items, class_=f"group {urgency}", open="open" if len(findings) <= _OPEN else None)


def _finding(finding: Finding, jaeger: str | None) -> Element:
    trace = None
    if jaeger is not None and finding.trace_id is not None:
        trace = tag("a", "trace", href=_trace_link(jaeger, finding.trace_id))
    key = None if finding.key_id is None else tag("a", finding.key_id, href=f"#{_anchor(finding.key_id)}", class_="id")
    row = None if finding.row is None else tag("span", f"row {finding.row}", class_="row")
    parts: list[Element | str] = [part for part in (key, row, trace) if part is not None]
    return tag("li", *_spaced(parts), tag("span", finding.detail, class_="detail"))


def _spaced(parts: Iterable[Element | str]) -> Iterator[Element | str]:
    for part in parts:
        yield part
        yield " "


def _legend() -> Element:
    states = [tag("span", name, class_=f"key-{state}") for state, name in _STATES.items()]
    return tag("p", *_spaced(states), class_="legend")


def _key(key: KeyUse, report: Report, jaeger: str | None) -> Element:
    name = tag("span", key.name, class_="name") if key.name else None
    last = f"last used {_time(key.last_used)[:10]}" if key.last_used is not None else "never used"
    title = tag(
        "summary",
        tag("span", tag("span", key.id, class_="id"), " ", name, class_="title"),
        tag("span", _concerns(key, report), class_="concerns"),
        tag("span", last, class_="last"),
        _bar(key),
    )
    address = None if jaeger is None else _key_link(jaeger, key)
    link = None if address is None else tag("a", "traces in Jaeger", href=address)
    body = tag(
        "div",
        _facts(key, link),
        timeline(key.days, report.start, report.end),
        _scopes(key),
        _proposal(key),
        class_="body",
    )
    is_open = "open" if len(report.keys) <= _OPEN else None
    return tag("details", title, body, class_="key", id=_anchor(key.id), open=is_open)


def _concerns(key: KeyUse, report: Report) -> str:
    number = sum(finding.key_id == key.id for finding in report.findings)
    return counted(number, "finding") if number else ""


def _bar(key: KeyUse) -> Element:
    """Return a bar with the shares of used, not observable and unused permissions."""
    counts = {state: len(key.permissions(state)) for state in _STATES}
    label = ", ".join(f"{count} {_STATES[state]}" for state, count in counts.items())
    parts = [
        tag("span", class_=f"part {state}", style=f"flex-grow:{count}") for state, count in counts.items() if count
    ]
    bar = tag("span", *parts, class_="bar", role="img", aria_label=label, title=label)
    granted = sum(counts.values())
    share = tag("span", f"{counts['used']:,} of {granted:,} used", class_="share") if granted else None
    return tag("span", bar, share, class_="use")


def _facts(key: KeyUse, link: Element | None) -> Element:
    facts: dict[str, str | None] = {
        "owner": key.owner,
        "first used": _time(key.first_used) if key.first_used is not None else None,
        "last used": _time(key.last_used) if key.last_used is not None else None,
        "rows": f"{key.rows:,}",
        "snapshots": f"{key.snapshots:,}",
        "denials": f"{key.denials:,}",
    }
    shown = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items() if value is not None]
    if link is not None:
        shown.append(tag("div", tag("dt", "Jaeger"), tag("dd", link)))
    return tag("dl", *shown, class_="facts")


def _scopes(key: KeyUse) -> Element:
    if not key.scopes:
        return tag("p", "The input has no full snapshot with scopes.", class_="none")
    head = tag("tr", *(tag("th", name, scope="col") for name in ("scope", "permissions", "last used")))
    rows = [_scope(scope) for scope in key.scopes]
    return tag("table", tag("thead", head), tag("tbody", *rows))


def _scope(scope: ScopeUse) -> Element:
    chips = [
        tag("span", permission, class_=f"chip {state}", title=name)
        for state, name in _STATES.items()
        for permission in getattr(scope, state)
    ]
    last = _time(scope.last_used)[:10] if scope.last_used is not None else "never"
    return tag(
        "tr",
        tag("th", scope.scope, scope="row"),
        tag("td", *_spaced(chips)),
        tag("td", last, class_="date", data_label="last used"),
    )


def _proposal(key: KeyUse) -> Element | None:
    if {scope.scope for scope in key.scopes} == set(key.proposal):
        return None
    entries = [tag("code", entry) for entry in key.proposal] or [tag("em", "no scope")]
    return tag("p", tag("strong", "Proposal:"), " ", *_spaced(entries), class_="proposal")


def _not_observable(report: Report) -> Element | None:
    if not report.not_observable:
        return None
    chips = [tag("span", permission, class_="chip not_observable") for permission in report.not_observable]
    why = "No key was seen to need these permissions. The input may not show their use, so they do not count as unused."
    return tag("section", tag("h2", "Not observable"), tag("p", why), tag("p", *_spaced(chips)))


def _anchor(key_id: str) -> str:
    """Return the id of the element of a key. ``quote`` leaves no colon, so different keys have different ids."""
    return "key-" + quote(key_id, safe="", errors="backslashreplace").replace("%", ":")


def _key_link(jaeger: str, key: KeyUse) -> str | None:
    """Return the search for the traces of a key, from its first use to a minute after its last use."""
    if key.first_used is None or key.last_used is None:
        return None
    tags = quote(json.dumps({KEY_ID: key.id}, separators=(",", ":")), safe="")
    start, end = int(key.first_used.timestamp()), int(key.last_used.timestamp()) + 60
    period = f"lookback=custom&start={start}000000&end={end}000000"  # microseconds
    return _page(jaeger, "/search", f"tags={tags}&{period}&limit=100")


def _trace_link(jaeger: str, trace_id: str) -> str:
    return _page(jaeger, f"/trace/{quote(trace_id, safe='', errors='backslashreplace')}", "")


def _page(jaeger: str, path: str, query: str) -> str:
    """Return the address of a page of Jaeger."""
    base = urlsplit(jaeger)
    queries = "&".join(part for part in (base.query, query) if part)
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + path, queries, ""))


def _time(time: datetime | None) -> str:
    """Format a time to the minute. All times of the page are in UTC."""
    found = rfc_3339(time)
    return "unknown" if found is None else found[:16].replace("T", " ")
