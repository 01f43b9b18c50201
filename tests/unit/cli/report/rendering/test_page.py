"""The report as an HTML page."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from otel_keyaudit import ApiKey
from support.commands.report import BEYOND, ODD_ROWS, SCRIPT, TRACE, full, lines, row, run


class Page(HTMLParser):
    """The elements, links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.classes: list[str] = []
        self.anchors: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert not [name for name in values if name.startswith("on")]
        if tag == "a":
            self.links.append(values["href"] or "")
        self.anchors += filter(None, [values.get("id")])
        self.classes += (values.get("class") or "").split()

    def handle_data(self, data: str) -> None:
        self.text += data


def page(*arguments: str) -> Page:
    """Return the page about the rows."""
    result = run("-", "--format", "html", *arguments, stdin=lines(ODD_ROWS), as_json=False)
    assert result.status == 0, result.errors
    return Page(result.output)


def test_page_has_no_scripts_and_loads_nothing() -> None:
    """No name of a key adds a script or loads anything."""
    found = page()
    assert not {"script", "iframe", "link", "img", "object", "base", "form"} & {*found.tags}
    assert [link for link in found.links if not link.startswith("#key-")] == []
    assert SCRIPT in found.text
    assert "default-src 'none'" in run("-", "--format", "html", stdin="", as_json=False).output


def test_page_shows_findings_first_then_sorted_keys() -> None:
    """Each key has a bar and a timeline of its rows."""
    found = page()
    assert found.text.index("Findings") < found.text.index("Keys (3)")
    parts = [found.text.rindex(name) for name in ("k_<script>", "k_\\ud800", "k_x")]
    assert parts == sorted(parts)
    assert (found.classes.count("bar"), found.classes.count("timeline")) == (3, 3)
    assert {"used", "unused", "not_observable"} <= {*found.classes}
    assert "of 4 used" in found.text


def test_page_links_keys_and_traces() -> None:
    """Links lead to Jaeger and keep its own path and query."""
    links = page("--jaeger", "https://jaeger.test/ui/?service=shop").links
    assert f"https://jaeger.test/ui/trace/{TRACE}?service=shop" in links
    search = "https://jaeger.test/ui/search?service=shop&tags=%7B%22keyaudit.key.id%22%3A%22k_x%22%7D"
    at = 1_795_449_600
    assert f"{search}&lookback=custom&start={at}000000&end={at + 60}000000&limit=100" in links
    assert not [link for link in links if "<" in link or '"' in link]


def test_each_key_has_its_own_anchor() -> None:
    """No id of a key leads to another key, however its characters are escaped."""
    ids = ["k&", "k_26", "k:26", "k%26", "k 26"]
    rows = [row(full(ApiKey(key_id), decisions=[BEYOND])) for key_id in ids]
    found = Page(run("-", "--format", "html", stdin=lines(rows), as_json=False).output)
    assert sorted({f"#{anchor}" for anchor in found.anchors}) == sorted({*found.links})
    assert len({*found.anchors}) == len(found.anchors) == len(ids)


def test_page_has_no_control_characters() -> None:
    """The page has no control characters and no lone surrogates."""
    output = run("-", "--format", "html", stdin=lines(ODD_ROWS), as_json=False).output
    assert not {"\x00", "\x1b", "\u202e"} & {*output}


@pytest.mark.parametrize("days", [0, 1, 59, 60, 400, 4000])
def test_timeline_has_at_most_sixty_bars(days: int) -> None:
    """All bars of a timeline stand for the same number of days."""
    key = full(ApiKey("k", "k", ["a:b"]))
    first, last = 1_600_000_000, 1_600_000_000 + days * 86_400
    text = lines([row(key, at=first), row(key, at=last), row(key, at=last)])
    found = Page(run("-", "--format", "html", stdin=text, as_json=False).output)
    assert 1 <= found.tags.count("rect") <= 60
    assert f"at most {2 if days else 3} rows in" in found.text
