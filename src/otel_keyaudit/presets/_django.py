"""Read Django objects without a database query."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.call import Call

USERS = frozenset({"django.contrib.auth.base_user:AbstractBaseUser", "django.contrib.auth.models:AnonymousUser"})
"""Base classes of Django's users, which are not API keys."""


def type_of(model: Any) -> str:
    """Return the resource type of a model or object: ``app.model``."""
    label: str = model._meta.label_lower
    return label


def id_of(model: Any, primary_key: Any) -> str | None:
    """Return an object's primary key as a string, ``None`` if it is or contains a secret.

    An audit library may write such a key into its row, but a span must not contain it.
    """
    known = presets.key_types({}).of(model)
    if primary_key is None or (known is not None and "pk" in known.hidden):
        return None
    return str(primary_key)


def has_field(model: Any, name: str) -> bool:
    """Return whether a model has a column for a field."""
    return any(field.name == name for field in model._meta.concrete_fields)


def is_written_here(call: Call) -> bool:
    """Return whether a saved row is new, or was created earlier in this request.

    A row of an earlier request keeps its member, because the key that changes it is not the key that created it.
    """
    state, request = call.self._state, current_request()
    number = None if request is None else request.number
    if state.adding:
        state.keyaudit_request = number
        return True
    return number is not None and getattr(state, "keyaudit_request", None) == number


BULK_CREATE = "django.db.models.query:QuerySet.bulk_create"
"""The method that implements ``objects.bulk_create`` and ``abulk_create`` of every model."""


def creates_rows(call: Call) -> bool:
    """Return whether a call of ``bulk_create`` has rows. An iterator counts as rows, because it is not read yet."""
    rows = call.args["objs"]
    return not isinstance(rows, Sized) or len(rows) > 0


def common_value(call: Call, name: str) -> Any:
    """Return an attribute if it is equal in all rows of ``bulk_create``, else ``None``, also for an iterator."""
    rows = call.args["objs"]
    values = [getattr(row, name, None) for row in rows] if isinstance(rows, (list, tuple)) else []
    return values[0] if values and all(value == values[0] for value in values) else None
