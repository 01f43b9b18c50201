"""The presets that fit the libraries of a service."""

from __future__ import annotations

import pytest

from otel_keyaudit.cli.discover.candidates import Candidate, fitting_presets, kinds_of


@pytest.mark.parametrize(
    ("called", "expected"),
    [(["fastmcp", "mcp"], ["fastmcp"]), (["mcp"], ["mcp"]), (["drf", "mcp"], ["drf", "mcp"])],
)
def test_a_preset_replaces_the_presets_that_it_includes(called: list[str], expected: list[str]) -> None:
    """``fastmcp`` has all targets of ``mcp``, so naming both would say the same twice."""
    paths = {"library:function": called}
    assert fitting_presets([{"packages": [], "called": list(paths)}], [], paths) == expected


def test_kinds_of_candidates_and_presets() -> None:
    """The functions of a preset count, so that nobody is told to name a function that a preset names."""
    candidate = Candidate("audit", "shop:record", 1, {})
    assert kinds_of([candidate], []) == {"audit"}
    assert kinds_of([candidate], ["drf-api-key"]) == {"audit", "auth"}
