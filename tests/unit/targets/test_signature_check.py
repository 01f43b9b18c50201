"""A missing part of a function is named with the nearest name that the function has."""

from __future__ import annotations

import re
from typing import Any

import pytest

from otel_keyaudit import AuditTarget, AuthTarget, AuthzTarget
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.signature_check import explain_mismatch


def record(action: str, additional_fields: Any = None, *, extra: Any = None) -> None:
    """Write a row."""


def emit(session: Any, message: str, adittional_fields: Any = None) -> None:
    """Write a row without the usual parameter."""


def anything(**more: Any) -> None:
    """Take any parameter."""


def test_a_function_that_has_everything_fits() -> None:
    """Parameters, places and free variables exist."""
    target = AuditTarget("m:f", action="args.action", fields="args.extra.details", when="closure.is_on")
    assert explain_mismatch(target, Binding(record), ("is_on",)) is None
    assert explain_mismatch(AuditTarget("m:f"), Binding(record)) is None
    assert explain_mismatch(AuditTarget("m:f", id_to="args.other"), Binding(anything)) is None
    assert explain_mismatch(AuditTarget("m:f", fields="none"), Binding(emit)) is None
    assert explain_mismatch(AuditTarget("m:f", fields="self.meta"), Binding(record, has_self=True)) is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (AuthTarget("m:f", name="args.acton"), "field 'name' reads a parameter 'acton'.*; did you mean 'action'"),
        (
            AuthTarget("m:f", when="args.xyz ?? args.action"),
            "field 'when' reads a parameter 'xyz', which it does not have$",
        ),
        (AuditTarget("m:f", fields="args.aditional_fields"), "field 'fields' .*; did you mean 'additional_fields'"),
        (AuditTarget("m:f", id_to="args.extr.id"), "field 'id_to' reads a parameter 'extr'.*; did you mean 'extra'"),
        (AuditTarget("m:f", fields="self.meta"), "field 'fields' reads self, but it is not a method"),
        (AuthTarget("m:f", owner="self.name"), "field 'owner' reads self, but it is not a method"),
        (AuthzTarget("m:f", required="closure.scpes"), "field 'required' reads a free variable 'scpes'.*'scopes'"),
    ],
)
def test_missing_parts_of_a_function_are_named(target: Target, reason: str) -> None:
    """The message starts with the field that needs it."""
    found = explain_mismatch(target, Binding(record), ("scopes",))
    assert found is not None
    assert re.search(reason, found)


def test_a_function_without_the_usual_parameter_is_explained() -> None:
    """The message names both remedies."""
    reason = explain_mismatch(AuditTarget("m:f"), Binding(emit))
    assert reason == (
        "it has no parameter 'additional_fields'; did you mean 'adittional_fields'?; "
        "add fields=… with the place of the additional fields, or fields=none"
    )


@pytest.mark.parametrize("name", ["get_or_create", "aget_or_create", "update_or_create"])
def test_keyword_of_a_lookup_is_no_column(name: str) -> None:
    """With a member the look-up would find no row; the defaults are a place, and so is a parameter."""
    reason = f"keywords of {name} are a look-up; write fields=args.defaults['extra'], or name the method that saves"
    assert explain_mismatch(AuditTarget(f"m:C.{name}", fields="args.extra"), Binding(anything)) == reason
    for place in ("args.defaults['extra']", "none"):
        assert explain_mismatch(AuditTarget(f"m:C.{name}", fields=place), Binding(anything)) is None
    assert explain_mismatch(AuditTarget(f"m:C.{name}", fields="args.extra"), Binding(record)) is None
    assert explain_mismatch(AuditTarget("m:C.create", fields="args.extra"), Binding(anything)) is None
