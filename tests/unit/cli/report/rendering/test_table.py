"""The report as a table for a terminal."""

from __future__ import annotations

from otel_keyaudit import ApiKey
from support.commands.report import EARLY, ODD_ROWS, denied, full, lines, row, run


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


def test_ids_and_scopes_are_never_cut() -> None:
    """A long id, scope or permission is wrapped, so that it can be copied."""
    key = ApiKey("k_" + "x" * 90, None, ["long:" + "Q" * 60])
    output = run("-", stdin=lines([row(full(key, decisions=[denied("long:z")]))]), as_json=False).output
    assert "".join(output.split()).count("x" * 90) == 2
    assert output.count("Q") == 3 * 60
    assert "…" not in output


def test_words_fit_the_numbers() -> None:
    """One row is not called rows."""
    output = run("-", stdin=lines([row(None)]), as_json=False).output
    assert "1 row, 1 without a key, 0 keys, 1 finding\n" in output
    assert "    1 row without a key (first" in output
