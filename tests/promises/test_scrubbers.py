"""The default scrubbers of vendors leave our attributes alone; `make check-full` has the libraries that these need."""

import json
from contextlib import suppress
from typing import Any

import pytest

from otel_keyaudit import ApiKey, names
from support.keyaudit import KeyAudit, LoadModule, keyaudit_attributes

APP = """
from otel_keyaudit import ApiKey

KEYS = {}

def verify(name):
    if name == "denied":
        raise PermissionError(name)
    return KEYS[name]

def record(action, resource_type=None, resource_id=None, outcome=None, additional_fields=None, subject=None):
    if outcome == "raises":
        raise LookupError
"""
LISTS = [f"workspace:{number}" for number in range(200)]


@pytest.fixture
def shown(keyaudit: KeyAudit, load_module: LoadModule) -> dict[str, Any]:
    """Every attribute that this library sets, from the spans of requests that make it set them."""
    app = load_module(APP)
    keyaudit.instrument(
        auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record?subject=args.subject"]
    )
    app.KEYS["one"] = ApiKey("k_1", "ci-bot", LISTS, LISTS, "o_1", "2026-11-23T16:00:00Z")
    app.KEYS["two"] = ApiKey("k_2")
    for key_names in (["one"], ["one", "two"], ["denied"]):
        with keyaudit.request():
            for name in key_names:
                with suppress(PermissionError):
                    app.verify(name)
            app.record("create", "workspace", "w_1", "ok", {}, app.KEYS["two"])
            with pytest.raises(LookupError):
                app.record("create", outcome="raises")
    return {name: value for span in keyaudit.spans() for name, value in keyaudit_attributes(span).items()}


def test_the_attributes_are_nearly_all_there_are(shown: dict[str, Any]) -> None:
    """Only those of a catalog and of a key that was found and denied are missing."""
    known = {value for name, value in vars(names).items() if name.isupper() and str(value).startswith("keyaudit.")}
    metrics = {value for name, value in vars(names).items() if name.startswith(("METRIC_", "STAGE", "ATTRIBUTION"))}
    missing = {names.KEY_PERMISSIONS, names.KEY_PERMISSIONS_COUNT, names.DENIED_KEY_ID}
    assert known - metrics - missing == shown.keys()


def test_logfire_leaves_them_alone(shown: dict[str, Any]) -> None:
    """As attributes of a span, names and values."""
    scrubbing = pytest.importorskip("logfire._internal.scrubbing")
    scrubbed, notes = scrubbing.Scrubber(None).scrub_value(("attributes",), shown)
    assert (json.dumps(scrubbed), notes) == (json.dumps(shown), [])
    assert scrubbing.Scrubber(None).scrub_value(("attributes",), {"api_key.id": "k_1"})[1]


def test_sentry_leaves_them_alone(shown: dict[str, Any]) -> None:
    """As data of a span, as context and as extra."""
    scrubber = pytest.importorskip("sentry_sdk.scrubber").EventScrubber(recursive=True)

    def event(data: dict[str, Any]) -> dict[str, Any]:
        return {"spans": [{"data": dict(data)}], "extra": dict(data), "contexts": {"trace": {"data": dict(data)}}}

    scrubbed = event(shown)
    scrubber.scrub_event(scrubbed)
    assert scrubbed == event(shown)
    other = event({"api_key": "k_1"})
    scrubber.scrub_event(other)
    assert other != event({"api_key": "k_1"})
