"""The shop: the application of most tests. It authenticates API keys, checks permissions, and writes an audit log.

The fixture ``shop`` provides it.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.testing import Recorder

ROWS: list[Any] = []
"""The additional fields of each audit row, as the shop received them."""

KEYS: dict[str, Any] = {}
"""The stored keys by name."""


class Key:
    """A key object with any fields."""

    def __init__(self, id: str, **fields: Any) -> None:  # noqa: A002
        self.id = id
        vars(self).update(fields)


def ci_bot(key_id: str) -> Key:
    """Return a key with a name, two scopes and an allow list."""
    return Key(key_id, name="ci-bot", scopes=["a:read", "a:write"], allow_list=["a:1"])


def verify(key: Any, error: BaseException | None = None) -> Any:
    """Authenticate a request, whose key object the test chooses."""
    if error is not None:
        raise error
    return key


def gateway(key: Any) -> Any:
    """Authenticate the gateway in front of the shop."""
    return key


def load(name: str) -> Any:
    """Return a stored key, ``None`` if there is none."""
    return KEYS.get(name)


def require(permission: str, error: BaseException | None = None) -> None:
    """Check a permission."""
    if error is not None:
        raise error


def record(
    action: Any,
    additional_fields: Any = None,
    subject: Any = None,
    before: Any = None,
    *,
    resource_type: Any = None,
    resource_id: Any = None,
    outcome: Any = None,
    error: BaseException | None = None,
) -> Any:
    """Write an audit row and return its additional fields."""
    ROWS.append(additional_fields)
    if error is not None:
        raise error
    return additional_fields


def record_all(records: Any) -> None:
    """Write several audit rows."""
    ROWS.extend(records)


def instrument(recorder: Recorder, auth: str = "", audit: str = "", **options: Any) -> None:
    """Instrument ``verify`` and ``record``.

    Args:
        recorder: Instruments.
        auth: The fields of the auth target, as in ``?id=number``.
        audit: The fields of the audit target.
        **options: Further options.
    """
    targets = {"auth_targets": [f"{__name__}:verify{auth}"], "audit_targets": [f"{__name__}:record{audit}"]}
    recorder.instrument(**{**targets, **options})
