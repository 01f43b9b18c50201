"""Which tests must notice the mutants of which module, and how many of them: data of `make mutation`."""

from __future__ import annotations

AREAS = ("guard", "attribution", "request_state", "merge", "json_members", "copies", "provenance", "sampling")
"""What keeps out of the way, names the key, and loses nothing."""

AREA_FLOOR = 95.0
OVERALL_FLOOR = 85.0
"""Per cent of the mutants that the tests must notice; those that are explained below do not count."""

NOT_ON_MUTANTS = (
    "test_base_exceptions.py::test_only_the_guard_catches_every_exception",
    "test_finalizers.py::test_a_process_survives_calls_that_are_abandoned",
    "test_captured.py::test_what_cannot_be_reached_is_said",
    "test_testing_kit.py::test_example",
    "test_testing_kit.py::test_without_pytest",
    "presets/test_options.py::test_the_example_of_a_preset_is_one",
)
"""Tests that need the source as it is, or a process without mutmut, or count references, of which its calls hold more.
"""

NOTHING_TO_CHANGE = ("__init__", "environment_variables", "names", "runtime", "version")
"""Modules without a function that mutmut changes."""

MODULES: dict[str, str] = {
    "guard": "guard extraction_live bounds finalizers",
    "attribution": "attribution request_state outlived use_key requests_by_span",
    "request_state": "request_state requests_by_span outlived use_key requests_asgi requests_wsgi nested_calls",
    "merge": "merge merge_text merge_mappings merge_edges provenance",
    "json_members": "merge_text merge_edges provenance",
    "finalizers": "finalizers use_key generators",
    "copies": "merge_mappings merge_edges places_lists",
    "provenance": "provenance merge_edges",
    "sampling": "sampling sampling_edges detail settings",
    "api_key": "api_key",
    "audit": (
        "audit audit_late audit_spans metrics when subject detail extraction_live tripwire places_lists outlived faults"
    ),
    "audit_plan": "audit audit_late audit_spans subject when places_of_presets metrics outlived",
    "audit_steps": "audit audit_late audit_spans metrics when subject detail outlived faults tripwire usual",
    "authentication": "authentication authentication_edges when extraction_live tripwire subject outlived usual",
    "binding": "binding binding_edges calls",
    "boundaries": "outlived requests_asgi requests_by_span requests_django requests_wsgi",
    "calls": "calls when extraction extraction_again extraction_live authentication audit functions strict",
    "entry_points": "requests_asgi requests_wsgi",
    "errors": "errors calls extraction_live strict",
    "expressions": "expressions expressions_edges secrets_refused",
    "extraction": "extraction_again extraction_live extraction",
    "filters": "filters filters_edges",
    "first_use": "instrumentor installation started_module",
    "form": "form merge provenance",
    "functions": "functions functions_edges calls main_module started_module",
    "handlers": "handlers generators binding base_exceptions",
    "implementations": "implementations",
    "imports": "imports_edges instrumentor installation",
    "installation": (
        "installation installation_edges started_module strict captured requests_asgi instrumentor implementations"
    ),
    "instrumentor": "instrumentor scope_catalog strict audit_spans metrics detail jobs",
    "jobs": "jobs presets/workers_threads presets/workers_executors",
    "key_types": "key_types presets/key_types audit subject",
    "member": "merge snapshot provenance",
    "memory": "memory",
    "metrics": "metrics metrics_edges extraction_live",
    "places": "places places_lists places_edges",
    "preset": "presets/options",
    "proxy": "proxy references captured",
    "references": "references_edges references captured",
    "response_body": "response_body requests_wsgi requests_django",
    "row_recording": "testing_kit",
    "scopes": "scopes scopes_allow_list settings_edges",
    "secret_search": "secret_search testing_kit",
    "settings": "settings settings_edges",
    "snapshot": "snapshot form merge provenance audit_spans",
    "spans": "audit audit_spans audit_late attribute_limit generators requests_by_span testing_kit subject",
    "targets": "targets targets_edges",
    "testing": "testing_kit",
    "trampoline": "trampoline trampoline_edges binding generators",
    "tripwire": "tripwire tripwire_edges",
    "usual_authentication": "usual authentication tripwire",
    "usual_write": "usual audit audit_spans detail tripwire",
    "values": "values values_edges",
    "wrapping": (
        "wrapping_edges binding references_edges references trampoline captured installation_edges presets/model_events"
    ),
}
"""By module the files of tests that are about it; few, for every mutant that survives costs all of them."""
