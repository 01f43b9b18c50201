"""The counters: their sums, their attributes, and which provider they belong to."""

import os
import subprocess
import sys
import weakref
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, NoOpMeterProvider, get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider

from otel_keyaudit import ApiKey, AuditTarget, use_key
from otel_keyaudit.guard import metrics
from otel_keyaudit.guard.metrics import Count, Metrics, Tally, metrics_for
from otel_keyaudit.testing import Recorder
from otel_keyaudit.version import __version__
from support.applications.writers import APP, instrument
from support.environment.concurrency import at_once
from support.environment.modules import LoadModule


def points(tally: Tally) -> dict[tuple[Any, ...], int]:
    """Return the points of a tally by their attributes."""
    observed = tally.observe(CallbackOptions())
    return {tuple((point.attributes or {}).items()): int(point.value) for point in observed}


def test_a_count_is_not_changed_by_reading_it() -> None:
    """The value starts at zero and can be read repeatedly."""
    count = Count()
    seen = [count.value, count.value]
    for _ in range(12):
        count.increment()
    assert [*seen, count.value, count.value] == [0, 0, 12, 12]


def test_threads_lose_no_increment() -> None:
    """Eight threads increment one count at once, and the sum is right."""
    count = Count()

    def work() -> None:
        for _ in range(5_000):
            count.increment()

    at_once(*[work] * 8)
    assert count.value == 40_000


def test_threads_lose_no_increment_of_a_tally() -> None:
    """A combination that several threads count first has one counter."""
    tally = Tally("name")

    def work() -> None:
        for number in range(2_000):
            tally.add(str(number % 100))

    at_once(*[work] * 4)
    assert tally.by_name() == {str(number): 80 for number in range(100)}


def test_a_tally_adds_up_the_counts_of_all_targets() -> None:
    """Each target has its own count of a combination; absent attributes are left out."""
    tally = Tally("keyaudit.attribution", "keyaudit.detail")
    first, second = tally.counter("attributed", "full"), tally.counter("attributed", "full")
    other = tally.counter("none", None)
    first.increment()
    second.increment()
    second.increment()
    other.increment()
    tally.add("attributed", "full")
    assert points(tally) == {
        (("keyaudit.attribution", "attributed"), ("keyaudit.detail", "full")): 4,
        (("keyaudit.attribution", "none"),): 1,
    }


def test_a_count_of_zero_is_not_reported() -> None:
    """A combination is reported only after something has happened."""
    tally = Tally("a")
    tally.counter("x")
    assert points(tally) == {}


def test_closed_counts_stay_in_the_sum() -> None:
    """Closed counts are dropped and their numbers stay in the sum, so cycles of sessions do not grow."""
    tally = Tally("a")
    for _ in range(100):
        count, unused = tally.counter("x"), tally.counter("y")
        count.increment()
        tally.close([count, unused])
    open_count = tally.counter("x")
    open_count.increment()
    tally.close([Count()])
    assert points(tally) == {(("a", "x"),): 101}
    assert sum(map(len, tally._counts.values())) == 3  # the closed counts of two combinations, and the open one


def test_sum_never_falls() -> None:
    """A reader that exports while a session ends sees every closed count, and sees it once."""
    tally = Tally("a")
    tally.add("x")
    seen: list[int] = []

    def close() -> None:
        for _ in range(500):
            count = tally.counter("x")
            count.increment()
            tally.close([count])

    def read() -> None:
        seen.extend(tally.totals()[("x",)] for _ in range(2_000))

    at_once(close, read)
    assert seen == sorted(seen)
    assert tally.by_name() == {"x": 501}


def test_each_counter_has_its_attributes() -> None:
    """Queries and alerts of users depend on their names."""
    own = Metrics()
    tallies = (own.authentications, own.writes, own.decisions, own.degraded)
    for tally in tallies:
        tally.add("first", "second")
    assert [[name for name, _ in found] for tally in tallies for found in points(tally)] == [
        ["keyaudit.outcome", "error.type"],
        ["keyaudit.attribution", "keyaudit.detail"],
        ["keyaudit.decision.outcome", "keyaudit.decision.cause"],
        ["keyaudit.stage", "error.type"],
    ]


def test_adding_goes_on_after_a_close() -> None:
    """The shared count of a combination belongs to no target, whose own count stays as it is."""
    tally = Tally("a")
    closed, own = tally.counter("x"), tally.counter("x")
    closed.increment()
    tally.close([closed])
    tally.add("x")
    tally.shared("x").increment()
    assert points(tally) == {(("a", "x"),): 3}
    assert own.value == 0


def test_a_full_tally_counts_new_error_types_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known combinations, and those without an error, count as before."""
    monkeypatch.setattr(metrics, "MAX_COMBINATIONS", 3)
    tally = Tally("stage", "detail", "error.type")
    for error in ("A", "B", "C", "D", "E", "A"):
        tally.add("audit", "x", error)
    tally.add("audit", "x", None)
    tally.add(None, "x", "A")
    tally.add(None, None, "A")
    assert {tuple(value for _, value in found): number for found, number in points(tally).items()} == {
        ("audit", "x", "A"): 2,
        ("audit", "x", "B"): 1,
        ("audit", "x", "C"): 1,
        ("audit", "x", "_OTHER"): 2,
        ("audit", "x"): 1,
        ("x", "_OTHER"): 1,
        ("_OTHER",): 1,
    }


CHECKED = """
def verify(key):
    if not key:
        raise PermissionError
    return {"id": key}

def check(permission):
    return True

def record(additional_fields=None):
    return additional_fields
"""


def test_each_counter_has_a_unit_and_a_description(recorder: Recorder, load_module: LoadModule) -> None:
    """The counters belong to the name and version of the package."""
    name = load_module(CHECKED).__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify"], audit_targets=[f"{name}:record"], authz_targets=[f"{name}:check"]
    )
    app: Any = sys.modules[name]
    with recorder.request():
        app.verify("k_1")
        app.check("a:read")
        app.record(7)
    data: Any = recorder.metric_reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("otel_keyaudit", __version__)
    assert {metric.name: (metric.unit, metric.description) for metric in scope.metrics} == {
        "keyaudit.authentications": ("1", "Authentications, by outcome"),
        "keyaudit.audit.writes": ("1", "Calls of audit targets, by attribution"),
        "keyaudit.decisions": ("1", "Authorization decisions, by outcome and cause"),
        "keyaudit.degraded": ("1", "Failures of the instrumentation itself"),
    }


def test_an_authentication_counts_by_outcome_and_exception(recorder: Recorder, load_module: LoadModule) -> None:
    """Only a denial has the class of the exception."""
    app = load_module(CHECKED)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    with recorder.request():
        app.verify("k_1")
        with pytest.raises(PermissionError):
            app.verify("")
    assert recorder.counters() == {
        ("keyaudit.authentications", frozenset({("keyaudit.outcome", "accepted")})): 1,
        (
            "keyaudit.authentications",
            frozenset({("keyaudit.outcome", "denied"), ("error.type", "PermissionError")}),
        ): 1,
    }


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose writes return, raise, hang, and are abandoned."""
    return load_module(APP)


def test_a_write_has_a_detail_only_when_attributed(recorder: Recorder, app: Any) -> None:
    """A write has its detail if it is attributed, and never the id of the key."""
    instrument(recorder, app)
    app.record({})
    with use_key(ApiKey("k_1")):
        app.record({})
        app.record(["no object"])
    writes = {attributes: value for (name, attributes), value in recorder.counters().items() if "writes" in name}
    assert writes == {
        frozenset({("keyaudit.attribution", "attributed"), ("keyaudit.detail", "full")}): 1,
        frozenset({("keyaudit.attribution", "none")}): 1,
        frozenset({("keyaudit.attribution", "failed")}): 1,
    }


def test_a_fault_counts_each_time_and_is_logged_once_per_instrument(
    recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every degraded call counts, and each session logs the warning again."""
    for round_ in (1, 2):
        instrument(recorder, app)
        with use_key(ApiKey("k_1")):
            for _ in range(3):
                app.record(["no object"])
                app.brecord("no json").close()
                list(app.brecord("no json"))
        assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 6 * round_}
        assert [record.levelname for record in caplog.records].count("WARNING") == 2 * round_
        recorder.uninstrument()


def test_several_unreadable_fields_are_one_degraded_call(recorder: Recorder, app: Any) -> None:
    """A stage counts at most once per call."""
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify?name=a&scopes=b&allow_list=c&owner=d"])
    with recorder.request():
        app.verify(app.Key("k_1"))
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


def test_each_stage_of_a_call_counts(recorder: Recorder, app: Any) -> None:
    """An unreadable field, a failing sampler and unchangeable fields count as three failures."""

    def fail(_: object) -> object:
        raise KeyError

    target = AuditTarget(f"{app.__name__}:record", fields="args.fields", action=fail)
    recorder.instrument(audit_targets=[target], sampler=fail)
    with use_key(ApiKey("k_1")):
        app.record(["no object"])
    assert sorted(stage for stage, _ in recorder.errors()) == ["audit", "merge", "sampling"]


def test_the_sums_of_a_provider_go_on_after_uninstrument(recorder: Recorder, app: Any) -> None:
    """The sums of a provider continue over all sessions, and another provider has its own."""
    other = Recorder(strict=False, keep_rows=False)
    for one in (recorder, other, recorder):
        instrument(one, app)
        app.record({})
        one.uninstrument()
    app.record({})
    assert recorder.writes()["none"] == 2
    assert other.writes()["none"] == 1


def test_all_global_providers_share_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real provider that replaces the proxy continues its counts."""
    first = metrics_for(None)
    assert metrics_for(get_meter_provider()) is first
    real, other = MeterProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: real)
    assert metrics_for(None) is metrics_for(real) is first
    assert metrics_for(other) is metrics_for(other) is not first


PROGRAM = """
from types import ModuleType
import sys
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_keyaudit import KeyAuditInstrumentor

app = sys.modules["app"] = ModuleType("app")
exec("def record(additional_fields=None): pass", app.__dict__)
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
instrumentor = KeyAuditInstrumentor()

def write(**options):
    instrumentor.instrument(audit_targets="app:record", **options)
    app.record()
    instrumentor.uninstrument()

for step in sys.argv[1:]:
    {
        "set": lambda: set_meter_provider(provider),
        "global": write,
        "given": lambda: write(meter_provider=provider),
    }[step]()
for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
    print(metric.name, [(dict(point.attributes), point.value) for point in metric.data.data_points])
"""


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        (["set", "global", "global"], 2),
        (["global", "set", "global"], 2),
        (["set", "given", "global"], 2),
        (["global", "set", "given"], 2),
        (["given", "set", "global"], 2),
    ],
)
def test_the_global_provider_counts_every_write(steps: list[str], count: int) -> None:
    """No write is lost or counted twice, whenever the provider is set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *steps],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [f"keyaudit.audit.writes [({{'keyaudit.attribution': 'none'}}, {count})]"]
    assert done.stderr == ""


def test_meter_provider_without_hash_is_registered_once() -> None:
    """Providers are compared by identity, because a dataclass, as in Logfire, has no hash."""

    @dataclass
    class Provider(NoOpMeterProvider):
        name: str = "provider"

    one, other = Provider(), Provider()
    assert one == other
    assert metrics_for(one) is metrics_for(one)
    assert metrics_for(one) is not metrics_for(other)


def test_meter_provider_is_not_kept_alive() -> None:
    """The metrics of a collected provider are dropped when another one is registered."""
    provider = NoOpMeterProvider()
    gone = weakref.ref(provider)
    metrics_for(provider)
    del provider
    assert gone() is None
