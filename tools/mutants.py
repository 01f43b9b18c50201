"""Which tests must notice the mutants of a module, and why some mutants cannot be noticed: data of `make mutation`."""

from __future__ import annotations

from dataclasses import dataclass

AREAS = ("guard", "attribution", "request_state", "merge", "json_members", "copies", "provenance", "sampling")
"""What keeps out of the way, names the key, and loses nothing."""

AREA_FLOOR = 95.0
OVERALL_FLOOR = 85.0
"""Per cent of the mutants that the tests must notice; those that are explained below do not count."""

NOT_ON_MUTANTS = ("test_base_exceptions.py::test_only_the_guard_catches_every_exception",)
"""Tests that read the source, which mutmut has changed."""

MODULES: dict[str, tuple[str, ...]] = {
    "guard": ("test_guard.py", "test_faults.py"),
    "sampling": ("test_sampling.py", "test_sampling_edges.py", "test_detail.py"),
    "merge": ("test_merge.py", "test_merge_text.py", "test_merge_mappings.py", "test_merge_edges.py"),
    "json_members": ("test_merge_text.py", "test_merge_edges.py"),
    "copies": ("test_merge_mappings.py", "test_merge_edges.py"),
    "provenance": ("test_provenance.py",),
    "values": ("test_values.py",),
    "filters": ("test_filters.py",),
    "expressions": ("test_expressions.py", "test_secrets_refused.py"),
    "scopes": ("test_scopes.py", "test_scopes_allow_list.py"),
    "settings": ("test_settings.py",),
    "targets": ("test_targets.py", "test_when.py"),
    "places": ("test_places.py", "test_places_lists.py"),
    "functions": ("test_functions.py",),
    "references": ("test_references.py", "test_captured.py"),
    "imports": ("test_installation.py", "test_main_module.py"),
    "installation": ("test_installation.py", "test_strict.py"),
    "snapshot": ("test_snapshot.py",),
}
"""By module the files in tests that are about it; few, for every mutant that survives costs all of them."""


@dataclass(frozen=True)
class Explained:
    """Mutants of one line that behave like the line itself, or differ in what is promised to nobody.

    Attributes:
        module: The module.
        line: The line, or lines, of the source.
        mutants: What mutmut makes of it.
        because: Why no test can notice.
    """

    module: str
    line: str
    mutants: tuple[str, ...]
    because: str


EXPLAINED: tuple[Explained, ...] = ()
