"""The totals that a process records for the doctor."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from otel_keyaudit.cli.doctor.probe import observed_targets
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

SHOP = """
class Key:
    id, name, scopes, allow_list = "k_1", "ci", [], []

def verify(raw):
    if raw is None:
        raise PermissionError
    return Key()

def check(permission, error=None):
    if error is not None:
        raise error

def load(raw):
    return Key()

def record(action, additional_fields=None):
    return {"action": action}

facade = record
"""


@pytest.mark.parametrize(
    ("kind", "fields", "unreadable"),
    [
        ("auth", "verify?key=return.inner", {"key": 1}),
        ("auth", "verify?key=args.raw.session.key", {"key": 1}),
        ("auth", "verify?valid=return.enabled", {"valid": 1}),
        ("auth", "verify?valid=enabled", {"valid": 1}),
        ("auth", "verify?when=args.raw.kind", {"when": 1}),
        ("auth", "verify?when=return.kind", {"when": 1}),
        ("auth", "verify?when=kind", {"when": 1}),
        ("auth", "verify?on_behalf_of=user&actors=chain", {"on_behalf_of": 1, "actors": 1}),
        ("auth", "verify?owner=tenant", {"owner": 1}),
        ("authz", "check?required=args.permission.name", {"required": 2}),
        ("authz", "check?resource_type=args.permission.kind", {"resource_type": 2}),
        (
            "authz",
            "check?resource_type=args.permission&resource_id=args.permission.id",
            {"resource_id": 2},
        ),
        ("authz", "check?granted=args.permission.ok", {"granted": 1}),
        ("authz", "check?denied=exc.is_denial", {"denied": 1}),
        ("authz", "check?any_of=args.permission.any", {"any_of": 2}),
        ("authz", "check?when=args.permission.on", {"when": 2}),
        ("subject", "load?key=return.inner", {"key": 1}),
        ("subject", "load?key=return.inner&when=kind", {"key": 1}),
        ("subject", "load?when=kind", {"when": 1}),
        ("audit", "record?when=args.action.on", {"when": 1}),
        ("audit", "record?fields=return&when=args.action.on", {"when": 1}),
        ("audit", "record?subject=args.action.key", {"subject": 1}),
        (
            "audit",
            "record?subject=args.action&subject_before=args.action.old&subject_id=args.action",
            {"subject_before": 1},
        ),
        ("audit", "record?subject=args.action&subject_id=key_id", {"subject_id": 1}),
        ("audit", "record?action=args.action.name", {"action": 1}),
    ],
)
def test_each_unreadable_field_is_named(
    recorder: Recorder, load_module: LoadModule, kind: str, fields: str, unreadable: dict[str, int]
) -> None:
    """A user corrects a field, so the doctor names the field in place of the class of its error."""
    shop: Any = load_module(SHOP)
    recorder.instrument(**{f"{kind}_targets": f"{shop.__name__}:{fields}"})
    with recorder.request():
        shop.verify("raw")
        with suppress(PermissionError):
            shop.verify(None)
        shop.check("a:read")
        with suppress(ValueError):
            shop.check("a:read", ValueError())
        shop.load("raw")
        shop.record("create")
    (target,) = observed_targets()
    assert target["unreadable"] == unreadable


def test_excluded_calls_and_the_earlier_target_are_recorded(recorder: Recorder, load_module: LoadModule) -> None:
    """With them, the doctor explains why a target has observed no call."""
    shop: Any = load_module(SHOP)
    name = shop.__name__
    recorder.instrument(audit_targets=[f"{name}:record?when=args.action|is:delete", f"{name}:facade"])
    shop.record("create")
    first, second = observed_targets()
    assert (first["calls"], first["excluded"], first["earlier"]) == (0, 1, None)
    assert (second["calls"], second["excluded"], second["earlier"]) == (1, 0, first["target"])
