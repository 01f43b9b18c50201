"""The counters: what they add up to, and how often each fault counts and is logged."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions

from otel_keyaudit import ApiKey, AuditTarget, use_key
from otel_keyaudit.guard.metrics import Tally
from support.keyaudit import KeyAudit, LoadModule
from support.writes import APP, instrument


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose writes return, raise, hang, and are abandoned."""
    return load_module(APP)


def test_a_hanging_write_is_counted_while_it_hangs(keyaudit: KeyAudit, app: Any) -> None:
    """Its row was given its key before the call, so it counts before it returns."""
    instrument(keyaudit, app)

    async def hang() -> None:
        with use_key(ApiKey("k_1")):
            task = asyncio.ensure_future(app.arecord({}, "hangs"))
            await asyncio.sleep(0)
        assert keyaudit.writes()["attributed"] == 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(hang())
    assert keyaudit.writes()["attributed"] == 1


def test_the_detail_counts_only_when_attributed(keyaudit: KeyAudit, app: Any) -> None:
    """The points have exactly the documented attributes, and no key id among them."""
    instrument(keyaudit, app)
    app.record({})
    with use_key(ApiKey("k_1")):
        app.record({})
        app.record(["no object"])
    points = {attributes: value for (name, attributes), value in keyaudit.metrics().items() if "writes" in name}
    assert points == {
        frozenset({("keyaudit.attribution", "attributed"), ("keyaudit.detail", "full")}): 1,
        frozenset({("keyaudit.attribution", "none")}): 1,
        frozenset({("keyaudit.attribution", "failed")}): 1,
    }


def test_a_fault_counts_each_time_and_is_logged_once(
    keyaudit: KeyAudit, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each degraded call counts; a warning comes once per target and kind, and again after the next instrument()."""
    for round_ in (1, 2):
        instrument(keyaudit, app)
        with use_key(ApiKey("k_1")):
            for _ in range(3):
                app.record(["no object"])
                app.brecord("no json").close()
                list(app.brecord("no json"))
        assert keyaudit.degraded() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 6 * round_}
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 2 * round_
        keyaudit.uninstrument()


def test_several_faults_of_one_stage_are_one_degraded_call(keyaudit: KeyAudit, app: Any) -> None:
    """At most once per stage and call, whatever the number of fields that cannot be read."""
    name = app.__name__
    keyaudit.instrument(auth_targets=[f"{name}:verify?name=a&scopes=b&allow_list=c&owner=d"])
    with keyaudit.request():
        app.verify(app.Key("k_1"))
    assert keyaudit.degraded() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


def test_stages_count_each_for_themselves(keyaudit: KeyAudit, app: Any) -> None:
    """An unreadable field, a failing sampler and unchangeable fields of one call are three."""

    def fail(_: object) -> object:
        raise KeyError

    target = AuditTarget(f"{app.__name__}:record", fields="args.fields", action=fail)
    keyaudit.instrument(audit_targets=[target], sampler=fail)
    with use_key(ApiKey("k_1")):
        app.record(["no object"])
    assert sorted(stage for stage, _ in keyaudit.degraded()) == ["audit", "merge", "sampling"]


def test_counts_go_on_after_uninstrument(keyaudit: KeyAudit, app: Any) -> None:
    """The counters of a provider are cumulative over every instrument() with it, and other providers have their own."""
    other = KeyAudit()
    for one in (keyaudit, other, keyaudit):
        instrument(one, app)
        app.record({})
        one.uninstrument()
    app.record({})
    assert keyaudit.writes()["none"] == 2
    assert other.writes()["none"] == 1


def test_reading_a_tally_does_not_count() -> None:
    """However often it is read, a tally says how often it was added to."""
    tally = Tally("a")
    values = []
    for _ in range(3):
        tally.add("x")
        values += [observation.value for _ in range(3) for observation in tally.observe(CallbackOptions())]
    assert values == [1, 1, 1, 2, 2, 2, 3, 3, 3]
