"""The options of ``otel-keyaudit report``: wrong ones are answered in one line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_keyaudit import ApiKey
from otel_keyaudit.cli.group import group
from support.commands.report import full, lines, report, row, run

CI = ApiKey("k_ci", "ci-bot", ["workspace:create"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--format", "tabel"], "--format is 'tabel'; allowed are table, json, html; did you mean 'table'?"),
        (["--fail-on", "unused_scop"], "--fail-on has 'unused_scop'; allowed are .*; did you mean 'unused_scope'?"),
        (["--fail-on", "denied,,altered"], "--fail-on has ''; allowed are"),
        (["--since", "last week"], "--since is 'last week'; allowed is a date"),
        (["--since", "2026-13-01"], "--since is '2026-13-01'"),
        (["--until", "x" * 500], "--until is 'x{200}'…; allowed"),
        (["--since", "2026-11-02", "--until", "2026-10-01"], "--since '2026-11-02' is not before --until"),
        (["--min-age", "30"], "--min-age is '30'; allowed is a number with m, h, d or w"),
        (["--jaeger", "javascript:alert(1)"], "--jaeger is 'javascript:alert(1)'; allowed is an address"),
        (["--jaeger", "http://["], "--jaeger is"),
        (["--catalog", "no.json"], "the scope catalog 'no.json' cannot be read: No such file"),
        (["--catalgo", "x"], "No such option.*--catalog"),
        (["-o", "/no/such/folder/report"], "cannot write '/no/such/folder/report': No such file"),
    ],
)
def test_wrong_option(arguments: list[str], expected: str) -> None:
    """A wrong option gives status 2, no output, and one line with option, value and nearest name."""
    result = run("-", *arguments, stdin="", as_json=False)
    assert (result.status, result.output) == (2, "")
    (line,) = result.errors.splitlines()
    assert re.match("keyaudit: " + expected.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?"), line), line


def test_source_is_required() -> None:
    """A missing source is reported in one line."""
    result = run(as_json=False)
    assert (result.status, len(result.errors.splitlines())) == (2, 1)
    assert "SOURCE" in result.errors


def test_command_is_in_the_group() -> None:
    """The group has the command ``report``."""
    done = CliRunner().invoke(group, ["report", "-", "--format", "json"], input="")
    assert (done.exit_code, '"keyaudit-report/1"' in done.stdout) == (0, True)


@pytest.mark.parametrize(("period", "days"), [("90d", 90), ("2w", 14), ("48h", 2), ("2880m", 2)])
def test_since_counts_back_from_now(period: str, days: int) -> None:
    """The period counts back from now or from the given end."""
    now = datetime.now(timezone.utc)
    inside, outside = (now - timedelta(days=days, minutes=minutes) for minutes in (-5, 5))
    rows = [row(full(CI), at=inside.isoformat()), row(full(CI), at=outside.isoformat())]
    assert report(rows, "--since", period).json["rows"] == 1
    rows = [row(full(CI), at=at) for at in ("2026-06-01T00:00:00Z", "2026-03-01T00:00:00Z")]
    assert report(rows, "--since", "30d", "--until", "2026-06-10").json["rows"] == 1


def test_period_can_be_longer_than_the_calendar() -> None:
    """The start is at the earliest in the year 1, and the end at the latest in the year 9999."""
    content = report([row(full(CI))], "--since", "999999w", "--until", "9999-12-31", "--min-age", "999999w").json
    assert (content["from"], content["to"]) == ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    assert content["rows"] == 1


def test_period_of_an_empty_input() -> None:
    """The period of an empty input is unknown."""
    content = report([]).json
    assert content == {
        "format": "keyaudit-report/1", "from": None, "to": None, "rows": 0, "rows_without_key": 0, "rows_unreadable": 0,
        "not_observable": [], "keys": [], "findings": [],
    }  # fmt: skip


def test_period_is_the_one_given() -> None:
    """The period is shown in RFC 3339."""
    content = report([row(full(CI))], "--since", "2026-10-01", "--until", "2026-12-01T06:30:00.5Z").json
    assert (content["from"], content["to"]) == ("2026-10-01T00:00:00Z", "2026-12-01T06:30:00.500000Z")


@pytest.mark.parametrize("output_format", ["table", "json", "html"])
def test_output_file(tmp_path: Path, output_format: str) -> None:
    """The file has the whole output, and standard output stays empty."""
    path = tmp_path / "report"
    text = lines([row(full(CI))])
    printed = run("-", "--format", output_format, stdin=text, as_json=False)
    written = run("-", "--format", output_format, "-o", path, stdin=text, as_json=False)
    assert (written.status, written.output, written.errors) == (0, "", "")
    assert path.read_text(encoding="utf-8") == printed.output


def test_a_source_is_never_overwritten(tmp_path: Path) -> None:
    """The output file must not be one of the sources, under any name."""
    source = tmp_path / "rows.jsonl"
    source.write_text(lines([row(full(CI))]))
    (tmp_path / "link").symlink_to(source)
    for output in (source, tmp_path / "link"):
        result = run("-", source, "-o", output, stdin="", as_json=False)
        assert (result.status, "which is a source and would be overwritten" in result.errors) == (2, True)
    assert source.read_text() == lines([row(full(CI))])


def test_json_has_the_members_of_the_format() -> None:
    """The members are in the documented order, and every list is sorted."""
    result = report([row(full(CI))])
    assert result.json["keys"] == [
        {
            "id": "k_ci", "name": "ci-bot", "owner": None, "first_used": "2026-11-23T16:00:00Z",
            "last_used": "2026-11-23T16:00:00Z", "rows": 1, "snapshots": 1, "denials": 0,
            "scopes": [{
                "scope": "workspace:create", "used": ["workspace:create"], "unused": [], "not_observable": [],
                "last_used": "2026-11-23T16:00:00Z",
            }],
            "proposal": ["workspace:create"],
        }
    ]  # fmt: skip
    assert list(result.json) == [
        "format", "from", "to", "rows", "rows_without_key", "rows_unreadable", "not_observable", "keys", "findings",
    ]  # fmt: skip


def test_standard_error_is_empty() -> None:
    """Without a terminal no progress is shown."""
    assert run("-", stdin=lines([row(full(CI))])).errors == ""
