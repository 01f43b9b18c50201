"""One audit write as samplers and rules see it."""

import pytest

from otel_keyaudit import AuditEvent
from otel_keyaudit.key.permissions.decision import Decision


def test_actions() -> None:
    """The action counts alone and after its resource type; an unknown one has no name."""
    assert AuditEvent("create", "workspace").actions == ("create", "workspace.create")
    assert AuditEvent("create").actions == ("create",)
    assert AuditEvent(None, "workspace").actions == ()
    assert AuditEvent("", "").actions == ("", ".")


@pytest.mark.parametrize(
    ("event", "resource"),
    [
        (AuditEvent("a", "workspace", "1"), "workspace:1"),
        (AuditEvent("a", "workspace"), None),
        (AuditEvent("a", None, "1"), None),
        (AuditEvent("a", "", ""), ":"),
    ],
)
def test_resource(event: AuditEvent, resource: str | None) -> None:
    """A resource needs a type and an id."""
    assert event.resource == resource


@pytest.mark.parametrize(
    ("outcomes", "was_refused"),
    [([], False), (["granted"], False), ([None], False), (["granted", "denied"], True), (["error", "granted"], True)],
)
def test_refusals(outcomes: list[str | None], was_refused: bool) -> None:
    """A decision that was denied or an error counts, wherever it is among the decisions."""
    event = AuditEvent(decisions=tuple(Decision(outcome=outcome) for outcome in outcomes))
    assert event.was_refused is was_refused


def test_all_fields_have_defaults() -> None:
    """A custom sampler can be tested with the fields that it reads."""
    assert AuditEvent() == (None, None, None, None, None, None, (), None)
