"""Refuse abstract methods as targets, because their implementations do not call them."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.code_exchange import original_code


def refuse_abstract(owner: type, definer: type, name: str, raw: Any) -> None:
    """Refuse a method that only its overrides implement.

    Args:
        owner: The class that the target names.
        definer: The class that defines the method.
        name: The method.
        raw: The method, as the class has it.

    Raises:
        WrongTargetError: The method is abstract, belongs to a protocol, raises ``NotImplementedError``, or is empty and
            overridden.
    """
    code = getattr(raw, "__code__", None)
    original = original_code(code) if type(code) is CodeType else None
    found = next((cls for cls in _subclasses(owner) if name in vars(cls)), None)
    is_protocol = bool(vars(definer).get("_is_protocol")) and type(raw) is FunctionType
    is_abstract = is_protocol or getattr(raw, "__isabstractmethod__", False) is True
    is_stub = original is not None and original.co_names == ("NotImplementedError",)
    is_empty = original is not None and original.co_code in _EMPTY
    if is_abstract or is_stub or (is_empty and found is not None and not _calls_super(vars(found)[name])):
        example = "" if found is None else f", as in {found.__module__}:{found.__qualname__}.{name}"
        raise WrongTargetError(f"{owner.__qualname__}.{name} is abstract; name the method that implements it{example}")


def _subclasses(cls: type) -> Iterator[type]:
    subclasses: list[type] = type.__subclasses__(cls)
    for subclass in subclasses:
        yield subclass
        yield from _subclasses(subclass)


def _calls_super(override: Any) -> bool:
    code = getattr(override, "__code__", None)
    return type(code) is not CodeType or "super" in original_code(code).co_names


def _pass() -> None: ...


def _documented() -> None:
    """Do nothing."""


async def _pass_later() -> None: ...


async def _documented_later() -> None:
    """Do nothing."""


_EMPTY = frozenset(one.__code__.co_code for one in (_pass, _documented, _pass_later, _documented_later))
"""The code of functions without statements."""
