"""The searches of a person, after the demo has sent its spans to a real Jaeger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.jaeger.server import Jaeger
from processes import eventually

DEMO = Path(__file__).parents[3] / "examples" / "quickstart" / "demo.py"
SERVICE = "shop"


@pytest.fixture(scope="module")
def demo(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The output of the demo, which sent its spans to Jaeger, and the OTLP JSON that it wrote."""
    written = tmp_path_factory.mktemp("demo") / "traces.json"
    command = [
        sys.executable,
        "-B",
        str(DEMO),
        "--json",
        str(written),
        "--otlp",
        jaeger.otlp,
        "--jaeger-ui",
        jaeger.query,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, json.loads(written.read_text(encoding="utf-8"))


def spans_with(document: dict[str, Any], name: str) -> list[tuple[dict[str, Any], Any]]:
    """Return the spans of an OTLP JSON document that have an attribute, each with its value."""
    return [
        (span, attribute["value"])
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        for attribute in span.get("attributes", [])
        if attribute["key"] == name
    ]


def test_search_by_key_id(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A search by key id finds every trace of the key and no other."""
    expected = {
        span["traceId"] for span, value in spans_with(demo[1], "keyaudit.key.id") if value == {"stringValue": "k_ci"}
    }

    found = eventually(lambda: found_traces(jaeger, {"keyaudit.key.id": "k_ci"}), lambda found: found >= expected)

    assert expected == found


def test_search_by_action(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A search by action finds every trace with this action and no other."""
    expected = {
        span["traceId"] for span, value in spans_with(demo[1], "keyaudit.action") if value == {"stringValue": "delete"}
    }

    assert len(expected) > 1
    found = eventually(lambda: found_traces(jaeger, {"keyaudit.action": "delete"}), lambda found: found >= expected)

    assert expected == found


def test_search_by_key_and_action(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A search by key and action finds one request, because both are on one span."""
    tags = {"keyaudit.key.id": "k_ci", "keyaudit.action": "create"}

    found = eventually(lambda: found_traces(jaeger, tags))

    assert len(found) == 1


def test_search_by_denied_decision(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A search by denied decisions finds exactly the refused request."""
    spans = spans_with(demo[1], "keyaudit.decision.outcome")
    denied = {span["traceId"] for span, value in spans if value == {"stringValue": "denied"}}

    assert len(denied) == 1
    found = eventually(
        lambda: found_traces(jaeger, {"keyaudit.decision.outcome": "denied"}), lambda found: found >= denied
    )

    assert found == denied


def test_lists_are_lists(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """Scopes, allow list and permissions arrive as lists of strings."""
    (trace_id,) = eventually(lambda: found_traces(jaeger, {"keyaudit.key.id": "k_ci", "keyaudit.action": "create"}))
    document = jaeger.otlp_trace(trace_id)

    for name in ("keyaudit.key.scopes", "keyaudit.key.allow_list", "keyaudit.key.permissions"):
        ((_, value),) = spans_with(document, name)
        assert all("stringValue" in element for element in value["arrayValue"]["values"])
        assert value["arrayValue"]["values"]


def test_search_by_whole_list(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A list is found by its whole JSON string, which Jaeger compares."""
    (_, value), *_ = [
        (span, value)
        for span, value in spans_with(demo[1], "keyaudit.key.scopes")
        if len(value["arrayValue"]["values"]) > 1
    ]
    text = json.dumps([element["stringValue"] for element in value["arrayValue"]["values"]], separators=(",", ":"))

    assert eventually(lambda: found_traces(jaeger, {"keyaudit.key.scopes": text}))


def test_search_by_unused_key_finds_nothing(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """A search by the id of a key without requests finds no trace."""
    assert eventually(lambda: found_traces(jaeger, {"keyaudit.key.id": "k_ci"}))
    assert found_traces(jaeger, {"keyaudit.key.id": "k_nobody"}) == set()


def test_prints_the_link_of_the_search(jaeger: Jaeger, demo: tuple[str, dict[str, Any]]) -> None:
    """The demo prints the links of the trace and of the search page, before everything else."""
    links = demo[0].split("The unchanged service was started with")[0]

    assert f"{jaeger.query}/trace/" in links
    assert f"{jaeger.query}/search?service={SERVICE}&tags=" in links


def found_traces(jaeger: Jaeger, tags: dict[str, str]) -> set[str]:
    """Return the ids of the traces that a search by attributes finds."""
    return {trace["traceID"] for trace in jaeger.search(SERVICE, tags, limit=100)}
