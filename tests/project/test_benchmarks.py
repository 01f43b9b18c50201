"""The benchmarks compare the same work, measure everything, and fail when the library executes more bytecodes."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # the benchmarks are part of the checkout, not of the wheel

from benchmarks import __main__ as program  # noqa: E402
from benchmarks import (  # noqa: E402
    application,
    bytecodes,
    compiled_targets,
    cpu,
    day,
    keys_and_scopes,
    memory,
    peers,
    report,
    server,
    sql,
    startup,
    variants,
)
from benchmarks.by_hand import ByHand  # noqa: E402
from benchmarks.figure import Figure, table  # noqa: E402
from benchmarks.variants import SCENARIOS, Scenario, Variants  # noqa: E402

COUNTS = {"bytecodes.recorded": 1_000.0, "bytecodes.dropped": 500.0}


@pytest.fixture(autouse=True)
def _key() -> None:
    application.present(application.make_key())


def comparable(row: Any) -> dict[str, Any]:
    """Return a row with the ids of the span, which differ from request to request, replaced by their lengths."""
    fields: dict[str, Any] = json.loads(row) if isinstance(row, str) else row
    member = fields.get("request_api_key")
    if member is None:
        return fields
    ids = {name: len(member[name]) for name in ("trace_id", "span_id") if name in member}
    return {**fields, "request_api_key": {**member, **ids}}


@pytest.mark.parametrize("fields", variants.ROWS.values(), ids=variants.ROWS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_all_variants_write_the_same_row(scenario: Scenario, fields: Any) -> None:
    """Code by hand writes the library's row, and the plain request the application's."""
    found = {}
    for name in ("plain", "F1", "F2", "F3", "ours"):
        with Variants(scenario, fields).request(name) as request:
            found[name] = comparable(request())
    assert "request_api_key" not in found.pop("plain")
    assert found["F1"] == found["F2"] == found["F3"] == found["ours"]
    assert found["ours"]["request_api_key"]["id"] == "k_0"


@pytest.mark.parametrize("audit_spans", [False, True])
def test_code_by_hand_sets_the_attributes_of_the_library(audit_spans: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both show the same attributes on the same spans."""
    shown = {}
    for name in ("F1", "ours"):
        exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(variants, "tracer_provider", lambda telemetry, provider=provider: provider)
        with Variants(Scenario("recorded", audit_spans), application.FIELDS).request(name) as request:
            request()
        spans = exporter.get_finished_spans()
        shown[name] = {span.name: dict(span.attributes or {}) for span in spans}
        assert len(spans) == 1 + audit_spans
    assert shown["F1"] == shown["ours"]


def test_careful_code_by_hand_protects_credential_and_reserved_name() -> None:
    """F2 names no key whose name contains the credential, and moves a forged member aside."""
    by_hand = ByHand(trace.NoOpTracer(), audit_spans=False, is_careful=True)
    row = by_hand.handle(application.CREDENTIAL, variants.ACTION, {"request_api_key": "forged"})
    assert (row["request_api_key_unverified"], row["request_api_key"]["id"]) == ("forged", "k_0")
    key = application.make_key()
    key.name = f"my {application.CREDENTIAL}"
    application.present(key)
    assert by_hand.handle(application.CREDENTIAL, variants.ACTION, {"a": 1}) == {"a": 1}


def test_bytecodes_of_a_call_repeat() -> None:
    """The same work has the same count, and more work a higher one."""
    once = bytecodes.bytecodes(lambda: sum([1]))
    assert once == bytecodes.bytecodes(lambda: sum([1])) > 0
    assert bytecodes.bytecodes(lambda: [sum([1]), sum([1])]) > once


def test_work_with_different_counts_is_an_error() -> None:
    """A count that does not repeat proves nothing."""
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        for _ in calls:
            pass

    with pytest.raises(AssertionError, match="does not repeat"):
        bytecodes.bytecodes(work)


@pytest.mark.parametrize(
    ("measure", "names"),
    [
        (bytecodes.figures, [f"bytecodes.{scenario.name}" for scenario in SCENARIOS] + ["bytecodes.fastapi"]),
        (cpu.figures, ["cpu.F1.recorded.no_audit_span", "cpu.F3.recorded.no_audit_span",
                       "cpu.F1.recorded.audit_span", "cpu.F3.recorded.audit_span"]),
        (keys_and_scopes.figures, ["growth.keys", "growth.scopes"]),
        (memory.figures, ["memory.key"]),
        (compiled_targets.figures, ["compiled_targets"]),
        (day.figures, ["day.on_change", "day.actions"]),
        (server.figures, ["server.sqlite"]),
        (startup.figures, ["startup.import", "startup.instrument"]),
        (report.figures, ["report.minimal", "report.decided", "report.full"]),
    ],
    ids=["bytecodes", "cpu", "growth", "memory", "compiled", "day", "server", "startup", "report"],
)  # fmt: skip
def test_every_figure_is_measured(measure: Callable[..., Any], names: list[str]) -> None:
    """A quick run measures everything."""
    figures = list(measure(quick=True))
    assert [figure.name for figure in figures] == names
    assert all(figure.value > 0 for figure in figures)


def test_missing_peers_are_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Each peer is measured or named as missing."""
    figures = list(peers.figures(quick=True))
    assert figures[0].name == "peer.contrib"
    assert len(figures) + capsys.readouterr().err.count("is not installed") == 3


def test_questions_of_the_sql_example_are_answered() -> None:
    """Each question has a time in SQLite, and so have its indexes."""
    figures = list(sql.figures(quick=True))
    names = ["sql.sqlite.indexes", *(f"sql.sqlite.{number}" for number in range(1, 8))]
    assert [figure.name for figure in figures][:8] == names


def test_slow_questions_are_stopped() -> None:
    """A question without an index would run for hours."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError), sql.sqlite_limit(connection, 0.05):
        connection.execute(endless)
    with pytest.raises(sqlite3.OperationalError, match="no such table"), sql.sqlite_limit(connection, 60):
        connection.execute("SELECT * FROM nowhere")
    connection.close()


def test_missing_or_forged_snapshot_is_noticed() -> None:
    """The recovery of snapshots can fail."""
    events = list(day.day(300))
    rows = day.written(events, "on_change")
    assert day.check_recovery(events, rows) > 3
    with pytest.raises(KeyError):
        day.check_recovery(events, [row.replace('"detail":"full"', '"detail":"lost"') for row in rows])
    with pytest.raises(AssertionError, match="not the digest"):
        day.check_recovery(events, [row.replace("workspace:", "elsewhere:") for row in rows])


def test_figure_compares_with_its_goal() -> None:
    """Lower or higher is better, as the figure says."""
    assert Figure("a", "", 1.0, 1.0).is_met is True
    assert Figure("a", "", 1.1, 1.0).is_met is False
    assert Figure("a", "", 0.9, 1.0, higher_is_better=True).is_met is False
    assert Figure("a", "", 0.9).is_met is None


def test_table_shows_value_goal_and_details() -> None:
    """The table is Markdown, so it can be copied into a document."""
    figure = Figure("a", "bytecodes", 1_234.5, 1_300, details={"F1 adds": 2.345678, "note": "text"})
    (row,) = table([figure]).splitlines()[2:]
    assert row == "| bytecodes | 1,234 | ≤ 1,300 | yes | F1 adds: 2.35, note: text |"


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.05, 0), (1.06, 1), (0.5, 0)])
def test_check_fails_above_five_per_cent(
    factor: float, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A count that is 5 % above the baseline passes; more fails and is named."""
    path = tmp_path / "baseline.json"
    assert program.write(COUNTS, path) == 0
    assert program.check({**COUNTS, "bytecodes.dropped": 500 * factor}, path) == status
    assert ("worse than the baseline: bytecodes.dropped" in capsys.readouterr().out) is bool(status)


def test_check_needs_a_baseline_of_its_own_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of another Python are not compared, and the check fails."""
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"2.7": COUNTS}))
    assert program.check(COUNTS, path) == 1
    assert f"no baseline for Python {program.PYTHON}" in capsys.readouterr().out
    program.write(COUNTS, path)
    assert json.loads(path.read_text()) == {"2.7": COUNTS, program.PYTHON: COUNTS}


def test_count_without_a_baseline_fails_the_check(tmp_path: Path) -> None:
    """A new scenario needs a new baseline."""
    path = tmp_path / "baseline.json"
    program.write(COUNTS, path)
    assert program.check({**COUNTS, "bytecodes.new": 1.0}, path) == 1


def test_commands_measure_print_and_compare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``run`` measures the named figures, ``baseline`` writes the counts, and ``check`` compares with them."""
    path = tmp_path / "baseline.json"
    counts = [Figure("bytecodes.recorded", "bytecodes", 100)]
    monkeypatch.setitem(program.MEASURES, "bytecodes", lambda *, quick: iter(counts))
    monkeypatch.setitem(program.MEASURES, "day", lambda *, quick: iter([Figure("day.x", "bytes", 2 if quick else 1)]))
    assert program.main(["--quick", "--only", "day"]) == 0
    assert "| bytes | 2 |" in capsys.readouterr().out
    assert program.main(["baseline", "--baseline", str(path)]) == 0
    assert program.main(["check", "--baseline", str(path)]) == 0
    counts[0] = Figure("bytecodes.recorded", "bytecodes", 106)
    assert program.main(["check", "--baseline", str(path)]) == 1
