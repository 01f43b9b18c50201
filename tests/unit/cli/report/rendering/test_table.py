"""The report as a table for a terminal."""

from __future__ import annotations

from otel_keyaudit import ApiKey
from support.report import EARLY, ODD_ROWS, full, lines, row, run


def test_table_is_at_most_eighty_columns_wide() -> None:
    """The table has no colors and no terminal sequences."""
    output = run("-", stdin=lines(ODD_ROWS), as_json=False).output
    assert max(map(len, output.splitlines())) <= 80
    assert not {"\x00", "\x1b", "\u202e", "\r"} & {*output}


def test_table_shows_keys_and_findings() -> None:
    """Names are never read as markup."""
    key = ApiKey("[red]k[/red]", "[bold]", ["workspace:read", "workspace:create"], owner="tenant-A")
    rows = [
        row(full(key), at=EARLY),
        row(full(key)),
        row(full(ApiKey("k_x", None, ["workspace:read"])), "workspace:read"),
    ]
    output = run("-", stdin=lines(rows), as_json=False).output
    assert "[red]k[/red]  [bold]  owner tenant-A" in output
    assert "unused_scope" in output
    assert "proposal: workspace:create" in output


def test_table_says_that_there_are_no_findings() -> None:
    """The table says that there are no findings, and why a permission is not observable."""
    output = run("-", stdin=lines([row(full(ApiKey("k", None, ["a:b"])), "x:y")]), as_json=False).output
    assert "No findings" in output
    assert "Not observable" in output
