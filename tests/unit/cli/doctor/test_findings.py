"""The findings of the doctor, and their remedies."""

import pytest

from otel_keyaudit.cli.doctor.findings import FINDINGS, REMEDIES, find
from otel_keyaudit.cli.doctor.observations import TargetReport
from support.commands.doctor import report


def names(*targets: TargetReport, has_run: bool = True) -> list[tuple[str, str | None]]:
    """Return the findings with their targets."""
    return [(one.finding, one.target) for one in find(targets, has_run=has_run)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (report(), []),
        (report(state="pending", calls=0), ["pending"]),
        (report(state="wrong", calls=0), ["wrong"]),
        (report(calls=0), ["silent"]),
        (report(outcomes={"ambiguous": 1, "attributed": 2}), ["ambiguous"]),
        (report(outcomes={"failed": 1}), ["failed"]),
        (report(unreadable={"name": 2}), ["degraded"]),
        (report(kind="auth", unreadable={"NoRequestError": 2}), ["outside"]),
        (report(kind="auth", unreadable={"NoRequestError": 2, "name": 1}), ["outside", "degraded"]),
        (report(kind="authz", outcomes={"denied": 5}), []),
    ],
)
def test_findings(target: TargetReport, expected: list[str]) -> None:
    """Each kind of finding has its own condition."""
    assert names(target) == [(name, "shop:record") for name in expected]


def test_a_result_without_a_key_may_be_a_refusal() -> None:
    """A refusal such as ``Err`` counts as accepted unless the target has ``valid``."""
    (finding,) = find([report(kind="auth", unreadable={"key": 1})], has_run=True)
    assert finding.remedy.startswith("if the function returned a refusal without a key, add valid=…, so that it counts")
    (other,) = find([report(kind="auth", unreadable={"name": 1})], has_run=True)
    assert other.remedy.startswith("read the first warning of this target in the log")


def test_without_a_command_no_target_is_silent() -> None:
    """Without a command no target can have been called."""
    assert names(report(calls=0), has_run=False) == []


@pytest.mark.parametrize("method", ["before_insert", "_save_table"])
def test_a_silent_method_of_a_model_names_bulk_inserts(method: str) -> None:
    """Bulk inserts call neither SQLAlchemy's event nor Django's method, so another function is the target."""
    target = report(target=f"shop.models:AuditLog.{method}?fields=self.details", calls=0)
    (finding,) = find([target], has_run=True)
    assert "rows that are inserted in bulk bypass this method" in finding.remedy
    (other,) = find([report(calls=0)], has_run=True)
    assert "bulk" not in other.remedy


def test_a_preset_is_silent_as_a_whole() -> None:
    """A preset is a finding only if none of its functions was called."""
    first, second = report(target="a:f", preset="x", calls=0), report(target="a:g", preset="x", calls=0)
    assert names(first, second) == [("silent", "a:f")]
    assert names(first, report(target="a:g", preset="x", calls=1)) == []


def test_a_target_whose_condition_excluded_every_call_says_so() -> None:
    """The function was called, so looking for another function would not help."""
    (finding,) = find([report(calls=0, excluded=2)], has_run=True)
    assert finding.detail == "its 'when' excluded 2 calls, and it observed none"
    assert finding.remedy == "send a request for which its 'when' holds, or correct the 'when'"


def test_a_silent_target_with_limits_names_them() -> None:
    """The calls may go through a reference or an override that is not observed."""
    (finding,) = find([report(calls=0, reason="calls of shop:Log.write are not recorded")], has_run=True)
    assert finding.detail == "it was never called; calls of shop:Log.write are not recorded"


def test_a_preset_whose_conditions_excluded_every_call_says_so() -> None:
    """The excluded calls of all functions of the preset are added up."""
    first, second = report(target="a:f", preset="x", calls=0), report(target="a:g", preset="x", calls=0, excluded=3)
    (finding,) = find([first, second], has_run=True)
    assert finding == (
        "silent",
        "a:f",
        "the targets of preset x excluded 3 calls and observed none",
        "`otel-keyaudit presets x` tells which calls it observes; name a target of your own for others",
    )


@pytest.mark.parametrize("calls", [0, 1])
def test_a_target_behind_an_earlier_one_is_named(calls: int) -> None:
    """The earlier target is the reason only if it observed calls itself."""
    first, second = report(target="a:f", calls=calls), report(target="b:f", calls=0, earlier="a:f")
    *_, finding = find([first, second], has_run=True)
    expected = "a:f, which names the same function, comes first and observed all calls"
    assert finding[:3] == ("silent", "b:f", expected if calls else "it was never called")


def test_unreadable_fields_are_named() -> None:
    """The finding names each field and how often it could not be read."""
    (finding,) = find([report(unreadable={"scopes": 1, "name": 2})], has_run=True)
    assert finding.detail == "unreadable: name 2 times, scopes 1 time"


def test_every_finding_has_a_remedy() -> None:
    """The documented findings are exactly those with a remedy."""
    assert tuple(REMEDIES) == FINDINGS == (
        "pending", "wrong", "silent", "outside", "ambiguous", "failed", "degraded",
    )  # fmt: skip


@pytest.mark.parametrize(("version", "is_named"), [("0.62b0", True), ("0.63b1", False), ("0.66b2", False)])
def test_an_instrumentation_that_skips_new_processes_is_named(version: str, is_named: bool) -> None:
    """Workers of that release do not load the library, so the remedy names another release."""
    (finding,) = find([report(state="pending", calls=0)], has_run=True, version=version)
    assert (f"opentelemetry-instrumentation {version} does not instrument" in finding.remedy) == is_named
    assert ("upgrade it to 0.63b1" in finding.remedy) == is_named


@pytest.mark.parametrize("needs_settings", [True, False])
def test_missing_settings_of_django_are_named(needs_settings: bool) -> None:
    """Without them, Django's instrumentation configures empty settings, and the application imports nothing."""
    (finding,) = find([report(state="pending", calls=0)], has_run=True, needs_settings=needs_settings)
    assert ("export DJANGO_SETTINGS_MODULE" in finding.remedy) == needs_settings
