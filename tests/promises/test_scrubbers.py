"""The default scrubbers of vendors leave our attributes alone; `make check-full` has the libraries that these need."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, names
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

APP = """
from otel_keyaudit import ApiKey

KEYS = {}

class Denied(PermissionError):
    def __init__(self, key):
        self.key = key

def verify(name, user=None, actors=()):
    if name == "denied":
        raise Denied(KEYS["two"])
    return KEYS[name]

def check(required, resource_type, resource_id):
    if required.endswith("delete"):
        raise PermissionError

def record(action, resource_type=None, resource_id=None, outcome=None, additional_fields=None, subject=None, old=None):
    if outcome == "raises":
        raise LookupError
"""
LISTS = [f"workspace:{number}" for number in range(200)]


@pytest.fixture
def shown(recorder: Recorder, load_module: LoadModule, tmp_path: Path) -> dict[str, Any]:
    """Every attribute that the library sets, from the spans of requests that make it set them."""
    catalog = tmp_path / "catalog.json"
    resources = {"workspace": [str(number) for number in range(200)], "key": ["read", "delete"]}
    catalog.write_text(json.dumps({"version": "1", "resources": resources, "all": ["ops:all"]}))
    app = load_module(APP)
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify?key=return??exc.key&on_behalf_of=args.user&actors=args.actors"],
        audit_targets=[f"{name}:record?subject=args.subject&subject_before=args.old"],
        authz_targets=[f"{name}:check"],
        scope_catalog=str(catalog),
    )
    app.KEYS["one"] = ApiKey("k_1", "ci-bot", [*LISTS, "key:read"], LISTS, "o_1", "2026-11-23T16:00:00Z")
    app.KEYS["two"] = ApiKey("k_2", scopes=["key:read"])
    requests = [
        (["one"], "key:delete"),
        (["one", "two"], "key:delete"),
        (["denied"], "key:delete"),
        (["one"], "key:read"),
    ]
    for key_names, required in requests:
        with recorder.request():
            for key_name in key_names:
                with suppress(PermissionError):
                    app.verify(key_name, "u_1", [f"a_{number}" for number in range(200)])
            with suppress(PermissionError):
                app.check(required, "workspace", "1")
            old = ApiKey("k_2", scopes=["key:delete"])
            app.record("create", "workspace", "w_1", "ok", {}, app.KEYS["two"], old)
            with pytest.raises(LookupError):
                app.record("create", outcome="raises")
    return {name: value for span in recorder.spans for name, value in (span.attributes or {}).items()}


def test_every_attribute_is_shown(shown: dict[str, Any]) -> None:
    """The requests of this test set each attribute; metrics and events have their own."""
    others = ("METRIC_", "STAGE", "ATTRIBUTION", "EVENT_", "USAGE_")
    attributes = {value for name, value in vars(names).items() if name.isupper() and not name.startswith(others)}
    assert {name for name in attributes if str(name).startswith("keyaudit.")} | {names.ERROR_TYPE} == shown.keys()


def test_logfire_scrubs_no_attribute(shown: dict[str, Any]) -> None:
    """The scrubber of logfire leaves the names and values of a span unchanged."""
    scrubbing = pytest.importorskip("logfire._internal.scrubbing")
    scrubbed, notes = scrubbing.Scrubber(None).scrub_value(("attributes",), shown)
    assert (json.dumps(scrubbed), notes) == (json.dumps(shown), [])
    assert scrubbing.Scrubber(None).scrub_value(("attributes",), {"api_key.id": "k_1"})[1]


def test_sentry_scrubs_no_attribute(shown: dict[str, Any]) -> None:
    """Sentry scrubs neither span data, context nor extra."""
    scrubber = pytest.importorskip("sentry_sdk.scrubber").EventScrubber(recursive=True)

    def event(data: dict[str, Any]) -> dict[str, Any]:
        return {"spans": [{"data": dict(data)}], "extra": dict(data), "contexts": {"trace": {"data": dict(data)}}}

    scrubbed = event(shown)
    scrubber.scrub_event(scrubbed)
    assert scrubbed == event(shown)
    other = event({"api_key": "k_1"})
    scrubber.scrub_event(other)
    assert other != event({"api_key": "k_1"})
