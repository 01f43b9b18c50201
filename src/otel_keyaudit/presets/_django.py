"""What presets read of Django's objects without a question to the database."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _registry as presets


def type_of(model: Any) -> str:
    """Return what a row calls the kind of an object: ``app.model``."""
    label: str = model._meta.label_lower
    return label


def id_of(model: Any, primary_key: Any) -> str | None:
    """Return an object's primary key as text; ``None`` where that is, or holds, a secret.

    An audit library that writes it into its row must not make us show it on a span.
    """
    known = presets.key_types({}).of(model)
    if primary_key is None or (known is not None and "pk" in known.hidden):
        return None
    return str(primary_key)
