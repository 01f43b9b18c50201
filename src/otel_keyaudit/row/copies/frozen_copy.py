"""Copy a frozen object, or a result, with one attribute changed."""

from __future__ import annotations

import copy
import sys
from typing import Any

from otel_keyaudit.errors import UnchangeableError


def is_frozen(kind: type, name: str) -> bool:
    """Return whether a dataclass, attrs, msgspec, pydantic or namedtuple class refuses to set an attribute."""
    if _is_namedtuple(kind):
        return True
    parameters = getattr(kind, "__dataclass_params__", None)
    struct = getattr(kind, "__struct_config__", None)
    return bool(
        getattr(parameters, "frozen", False)
        or getattr(struct, "frozen", False)
        or kind.__setattr__.__name__ == "_frozen_setattrs"  # attrs
        or _is_frozen_model(kind, name)
    )


def with_attribute(value: Any, name: str, new: Any) -> Any:
    """Return a copy of an object with one attribute changed.

    No initializer and no validator of the class runs, because the object has been validated before.

    Raises:
        UnchangeableError: The object cannot be copied.
    """
    kind = type(value)
    if _is_namedtuple(kind):
        return value._replace(**{name: new})
    if hasattr(kind, "__struct_config__"):
        return sys.modules["msgspec.structs"].replace(value, **{name: new})
    if hasattr(kind, "model_copy"):
        return value.model_copy(update={name: new})
    copied = copy.copy(value)
    if copied is value or type(copied) is not kind:
        raise UnchangeableError(f"cannot copy a {kind.__name__} to change its attribute {name!r}")
    object.__setattr__(copied, name, new)
    return copied


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_replace")


def _is_frozen_model(kind: type, name: str) -> bool:
    """Return whether a field of a pydantic model is frozen."""
    fields = getattr(kind, "__pydantic_fields__", None)
    if not isinstance(fields, dict):
        return False
    return bool(kind.model_config.get("frozen") or getattr(fields.get(name), "frozen", False))  # type: ignore[attr-defined]
