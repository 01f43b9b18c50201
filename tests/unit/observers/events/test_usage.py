"""Usage of keys is sent early if there is much of it, and an exporter can use a key itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.events import usage
from otel_keyaudit.observers.events.usage import Usage

Sent = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def sent() -> Sent:
    """The sent events: keys and attributes."""
    return []


@pytest.fixture
def counted(sent: Sent) -> Iterator[Usage]:
    """The usage of keys, which appends its events to a list."""
    counted = Usage(lambda key, attributes: sent.append((key.id, attributes)))
    yield counted
    counted.close()


def test_a_key_with_many_permissions_is_sent_early(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event of this key is sent at once, and the other keys wait."""
    monkeypatch.setattr(usage, "MAX_PERMISSIONS", 2)
    counted.decided(ApiKey("k_1"), Decision(("a:read",), "granted"))
    counted.authenticated(ApiKey("k_2"))
    assert sent == []
    counted.decided(ApiKey("k_1"), Decision(("a:write",), "denied"))
    ((key_id, attributes),) = sent
    assert key_id == "k_1"
    assert attributes["keyaudit.usage.permissions"] == ["a:read", "a:write"]
    assert attributes["keyaudit.usage.outcomes"] == ["granted", "denied"]
    counted.close()
    assert [key_id for key_id, _ in sent] == ["k_1", "k_2"]


def test_many_keys_are_sent_early(counted: Usage, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are sent, and none twice."""
    monkeypatch.setattr(usage, "MAX_KEYS", 3)
    for number in (1, 2, 3, 4):
        counted.authenticated(ApiKey(f"k_{number}"))
    assert [key_id for key_id, _ in sent] == ["k_1", "k_2", "k_3"]
    counted.close()
    assert [(key_id, attributes["keyaudit.usage.requests"]) for key_id, attributes in sent] == [
        ("k_1", 1),
        ("k_2", 1),
        ("k_3", 1),
        ("k_4", 1),
    ]


def test_an_exporter_may_use_a_key_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage is sent without the lock, so this neither waits for itself nor loses a use."""
    monkeypatch.setattr(usage, "MAX_KEYS", 2)
    sent: list[str] = []

    def send(key: ApiKey, _: Mapping[str, Any]) -> None:
        sent.append(key.id)
        if len(sent) == 1:
            uses.authenticated(ApiKey("exporter"))

    uses = Usage(send)
    uses.authenticated(ApiKey("k_1"))
    uses.authenticated(ApiKey("k_2"))
    uses.close()
    assert sorted(sent) == ["exporter", "k_1", "k_2"]
