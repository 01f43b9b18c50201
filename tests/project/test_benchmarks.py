"""The benchmarks' own parts: everything runs on tiny counts and is put together rightly. No time is looked at."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # the benchmarks are part of the checkout, not of the wheel

from benchmarks import (  # noqa: E402
    application,
    audit_sql,
    baseline,
    by_hand,
    calls,
    day,
    floors,
    load,
    measure,
    peers,
    profile_calls,
)
from benchmarks.figures import Figure, Skipped  # noqa: E402


def python_benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks as a user does."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300)


def test_rounds_give_every_variant_its_turn_in_each() -> None:
    """Each variant runs once a round, not all rounds of one after the other."""
    turns: list[str] = []

    def turn(name: str) -> float:
        turns.append(name)
        return float(len(name))

    found = measure.interleaved({"a": lambda: turn("a"), "bb": lambda: turn("bb")}, 5)
    assert found == {"a": [1.0] * 5, "bb": [2.0] * 5}
    assert all(set(turns[start : start + 2]) == {"a", "bb"} for start in range(0, 10, 2))


def test_what_is_added_is_the_median_of_the_rounds_differences() -> None:
    """A disturbed round changes nothing."""
    assert measure.added([5.0, 900.0, 7.0], [1.0, 2.0, 3.0]) == 4.0


def test_a_scenarios_ratio_is_that_of_both_kinds_of_rows_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With known times the ratio is known."""
    costs = {"plain": 10.0, "by hand text": 30.0, "by hand dict": 20.0, "ours text": 25.0, "ours dict": 20.0}
    times = {f"{v} {r}": [costs.get(f"{v} {r}", costs["plain"])] for v in calls.VARIANTS for r in calls.ROWS}
    monkeypatch.setattr(calls, "interleaved", lambda batches, rounds: {name: times[name] for name in batches})
    figure = calls.measured(calls.SCENARIOS[0], measure.TINY)
    assert figure.value == pytest.approx((15 + 10) / (20 + 10))
    assert figure.details["ours text, µs"] == 15


@pytest.mark.parametrize("scenario", [*calls.SCENARIOS, *calls.SPAN_ONLY], ids=lambda one: one.name)
def test_every_scenario_writes_the_same_rows_by_hand_and_with_us(scenario: calls.Scenario) -> None:
    """The comparison is of the same work: equal rows, for text and dict."""
    application.present(application.make_key())
    calls.Bench(scenario).check_rows()


def test_different_rows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code by hand that writes another row stops the benchmark."""
    application.present(application.make_key())
    monkeypatch.setattr(by_hand, "with_key", lambda fields, key: {"request_api_key": {"id": "another"}})
    with pytest.raises(AssertionError, match="rows differ"):
        calls.Bench(calls.SCENARIOS[0]).check_rows()


def test_growth_compares_ten_times_the_lists_with_once() -> None:
    """The ratio is ours against ours, and by hand against by hand."""
    once = Figure("once", "", 1, details={f"{v} {r}, µs": 10 for v in ("ours", "by hand") for r in calls.ROWS})
    tenfold = replace(once, details={name: 15 if "ours" in name else 30 for name in once.details})
    figure = calls.growth(calls.SCENARIOS[0], once, tenfold)
    assert (figure.value, figure.details["by hand"]) == (1.5, 3.0)


def test_every_snapshot_of_a_day_is_recovered_from_its_rows() -> None:
    """A short day: smaller rows, and nothing lost."""
    figures = list(day.day_figures(measure.TINY))
    assert [figure.name for figure in figures] == ["day.on_change", "day.actions"]
    assert all(0 < figure.value < 1 and figure.details["snapshots recovered"] > 5 for figure in figures)


def test_a_snapshot_that_is_missing_or_forged_is_noticed() -> None:
    """The proof of recovery can fail."""
    events = list(day.day(300))
    rows = day.written(events, "on_change", None)
    assert day.check_recovery(events, rows) > 3
    with pytest.raises(KeyError):
        day.check_recovery(events, [row.replace('"detail":"full"', '"detail":"lost"') for row in rows])
    with pytest.raises(AssertionError, match="not the digest"):
        day.check_recovery(events, [row.replace("workspace:", "elsewhere:") for row in rows])


def test_a_figure_knows_whether_its_goal_is_met() -> None:
    """Lower or higher is better, as the figure says; no goal, no verdict."""
    assert Figure("a", "", 1.0, 1.0).is_met is True
    assert Figure("a", "", 1.1, 1.0).is_met is False
    assert Figure("a", "", 0.9, 1.0, higher_is_better=True).is_met is False
    assert Figure("a", "", 0.9).is_met is None


def test_only_steady_ratios_that_are_ten_per_cent_worse_are_regressions(tmp_path: Path) -> None:
    """Times and what never repeats are not compared; better is no regression."""
    lower, higher = Figure("lower", "", 1.0), Figure("higher", "", 1.0, higher_is_better=True)
    others = [Figure("time", "", 1.0, unit="ms"), Figure("unsteady", "", 1.0, is_steady=False)]
    path = tmp_path / "baseline.json"
    baseline.write(path, "quick", [lower, higher, *others])
    ratios = baseline.read(path, "quick")
    assert ratios == {"lower": 1.0, "higher": 1.0}
    assert baseline.read(path, "full") == {}
    assert not baseline.regressions([replace(lower, value=1.09), replace(higher, value=0.92), *others], ratios)
    assert not baseline.regressions([replace(lower, value=0.5), replace(higher, value=2.0)], ratios)
    worse = [replace(lower, value=1.11), replace(higher, value=0.9)]
    assert baseline.regressions(worse, ratios) == worse


def test_floors_and_installed_peers_are_measured_and_missing_ones_are_said() -> None:
    """Every part runs; a peer that is not installed is skipped with a reason."""
    assert {figure.unit for figure in floors.floor_figures(measure.TINY)} == {"µs"}
    found = {one.name: one for one in peers.peer_figures(measure.TINY)}
    assert isinstance(found["peer.contrib"], Figure)
    assert all(isinstance(one, Figure) or "not installed" in one.reason for one in found.values())


def test_the_questions_of_the_sql_example_are_measured() -> None:
    """Each in each database that there is; a server that is not installed is said."""
    found = list(audit_sql.sql_figures(measure.TINY))
    figures = [one for one in found if isinstance(one, Figure)]
    assert [one.name for one in figures][:7] == [f"sql.sqlite.{number}" for number in range(1, 8)]
    assert len(figures) == 14 or [one.name for one in found if isinstance(one, Skipped)] == ["sql.postgresql"]


def test_what_takes_too_long_in_sqlite_is_stopped() -> None:
    """A question without an index would run for hours."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError), audit_sql.sqlite_limit(connection, 0.05):
        connection.execute(endless)
    with pytest.raises(sqlite3.OperationalError, match="no such table"), audit_sql.sqlite_limit(connection, 60):
        connection.execute("SELECT * FROM nowhere")
    connection.close()


def test_samples_are_accounted_to_functions_of_ours() -> None:
    """The profile finds our functions below a request."""
    application.present(application.make_key())
    samples, request = profile_calls.sampled(calls.SCENARIOS[0], 0.2)
    assert request > 0
    assert all(function == profile_calls.REQUEST or "." in function for function, _ in samples)


def test_the_99th_percentile_is_what_99_of_100_requests_need() -> None:
    """One slow request in two hundred is beyond it, three are not."""
    assert load.p99([1.0] * 199 + [9.0]) == 1.0
    assert load.p99([9.0] * 3 + [1.0] * 197) == 9.0


@pytest.mark.parametrize("has_hey", [True, False])
def test_servers_are_measured_under_real_load(has_hey: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All variants serve the same rows; the load is hey's where it is installed, else our own."""
    if not has_hey:
        monkeypatch.setenv("PATH", str(tmp_path))
    results = tmp_path / "results.json"
    done = python_benchmarks("--form", "tiny", "--only", "server", "--json", results)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [figure["name"] for figure in read(results)["figures"]]
    assert names == ["server.cpu", "server.sqlite.throughput", "server.sqlite.p99"]


def test_what_needs_a_process_of_its_own_runs_in_one(tmp_path: Path) -> None:
    """Start-up and memory are measured; what is skipped says why."""
    results = tmp_path / "results.json"
    done = python_benchmarks("--form", "tiny", "--only", "startup", "memory", "instructions", "--json", results)
    assert done.returncode == 0, done.stdout + done.stderr
    found = read(results)
    names = [figure["name"] for figure in found["figures"]]
    assert names == ["startup.import", "startup.instrument", "startup.instrument_cached", "memory.always_full"]
    assert "full form" in found["skipped"]["instructions"]
    assert "import over that of the SDK" in done.stdout


def test_check_fails_when_something_is_worse_in_both_measurements(tmp_path: Path) -> None:
    """Against a baseline nobody can reach it is red and says what; against a generous one it is green."""
    arguments = ("check", "--form", "tiny", "--only", "day", "--json", tmp_path / "results.json")
    for ratio, code, said in ((0.001, 1, "worse than the baseline: day.on_change"), (9.0, 0, "nothing is more than")):
        path = tmp_path / "baseline.json"
        path.write_text(json.dumps({baseline.PYTHON: {"tiny": {"day.on_change": ratio}}}))
        done = python_benchmarks(*arguments, "--baseline", path)
        assert (done.returncode, said in done.stdout) == (code, True), done.stdout + done.stderr


def test_check_needs_a_baseline_of_its_own_python(tmp_path: Path) -> None:
    """Ratios of another one are not compared, and that nothing was compared is no success."""
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"2.7": {"tiny": {"day.on_change": 9.0}}}))
    arguments = ("check", "--form", "tiny", "--only", "day", "--json", tmp_path / "results.json")
    done = python_benchmarks(*arguments, "--baseline", path)
    assert (done.returncode, f"no baseline for Python {baseline.PYTHON}" in done.stdout) == (1, True), done.stdout


def test_a_group_that_fails_is_said_and_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other groups are measured all the same."""
    main = pytest.importorskip("benchmarks.__main__")

    def broken(effort: measure.Effort) -> list[Figure | Skipped]:
        raise AssertionError("the rows differ")

    monkeypatch.setitem(main.GROUPS, "calls", broken)
    monkeypatch.setitem(main.GROUPS, "day", lambda effort: [Figure("one", "", 1.0)])
    figures, skipped, failed = main.measure(["calls", "day"], measure.TINY)
    assert [one.name for one in figures] == ["one"]
    assert (skipped, failed) == ([Skipped("calls", "FAILED: the rows differ")], True)


def read(path: Path) -> dict[str, Any]:
    """Return the results of a run."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
