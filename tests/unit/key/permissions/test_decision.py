"""One authorization check, as an element of a row's ``decisions``."""

import pytest

from otel_keyaudit.key.permissions.decision import Decision


@pytest.mark.parametrize(
    ("decision", "members"),
    [
        (Decision(), {}),
        (
            Decision(("a:read",), "granted", "scope", ("a:*",), (), "a:1"),
            {"required": ("a:read",), "outcome": "granted", "cause": "scope", "scopes": ("a:*",), "resource": "a:1"},
        ),
        (
            Decision(("a:1", "a:2", "a:3"), "denied", "scope", (), ("a:1", "a:2", "a:3"), None, "shop.Denied"),
            {
                "required": ("a:1", "a:2"), "required_count": 3, "outcome": "denied", "cause": "scope",
                "missing": ("a:1", "a:2"), "missing_count": 3, "reason": "shop.Denied",
            },
        ),
        (Decision(outcome="error", reason="OSError"), {"outcome": "error", "reason": "OSError"}),
    ],
    ids=["nothing known", "granted", "cut", "error"],
)  # fmt: skip
def test_members(decision: Decision, members: dict[str, object]) -> None:
    """Unknown members are absent; a cut list has its full length beside it; the order is the documented one."""
    assert decision.members(2) == members
    assert list(decision.members(2)) == list(members)


def test_equal_decisions_are_one() -> None:
    """A row lists each distinct decision once."""
    decisions = [Decision(("a:read",), "granted", resource="a:1") for _ in range(3)]
    assert len({*decisions, Decision(("a:read",), "granted", resource="a:2")}) == 2
