"""Find the methods that override a target without calling it, and those that replace it on instances.

A method that only its overrides implement is refused as a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dis import Instruction, get_instructions
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.code_exchange import original_code
from otel_keyaudit.patching.kinds.definitions import undecorated


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
    overriding = [cls for cls in _subclasses(owner) if name in vars(cls)]
    found = next(iter(overriding), None)
    is_protocol = bool(vars(definer).get("_is_protocol")) and type(raw) is FunctionType
    is_abstract = is_protocol or getattr(raw, "__isabstractmethod__", False) is True
    is_stub = original is not None and original.co_names == ("NotImplementedError",)
    is_empty = original is not None and original.co_code in _EMPTY
    if is_abstract or is_stub or (is_empty and overriding and _is_replaced(owner, name, overriding)):
        example = "" if found is None else f", as in {found.__module__}:{found.__qualname__}.{name}"
        raise WrongTargetError(f"{owner.__qualname__}.{name} is abstract; name the method that implements it{example}")


def _subclasses(cls: type) -> Iterator[type]:
    subclasses: list[type] = type.__subclasses__(cls)
    for subclass in subclasses:
        yield subclass
        yield from _subclasses(subclass)


def _is_replaced(owner: type, name: str, overriding: Sized) -> bool:
    """Return whether no override calls the method."""
    return len(overriding) == len([*overrides_without_call(owner, name)])


def overrides_without_call(cls: type, name: str) -> Iterator[tuple[type, FunctionType]]:
    """Yield each subclass that overrides a method without calling it, and the function of the override."""
    for subclass in _subclasses(cls):
        override = vars(subclass).get(name)
        override = override.__func__ if isinstance(override, (staticmethod, classmethod)) else override
        if type(override) is FunctionType and not _calls_base(override, cls, name):
            yield subclass, override


def methods_that_assign(cls: type, name: str) -> Iterator[tuple[type, FunctionType]]:
    """Yield each method that gives instances another callable in place of a method, and the class of that method.

    A callable that wraps the method calls it in turn, unless it is a cache.
    """
    for owner in dict.fromkeys((*cls.__mro__[:-1], *_subclasses(cls))):
        for method in list(vars(owner).values()):
            if type(method) is FunctionType and _assigns(original_code(method.__code__), name):
                yield owner, method


def _assigns(code: CodeType, name: str) -> bool:
    if name not in code.co_names:
        return False
    steps = [*get_instructions(code)]
    is_assigned = any(
        step.opname == "STORE_ATTR" and step.argval == name and _loads_self(before, code)
        for before, step in pairwise(steps)
    )
    is_read = any(step.opname in ("LOAD_ATTR", "LOAD_METHOD") and step.argval == name for step in steps)
    return is_assigned and (not is_read or any("cache" in used.lower() for used in code.co_names))


def _loads_self(step: Instruction, code: CodeType) -> bool:
    """Return whether an instruction loads the first parameter last; since Python 3.13, one may load two variables."""
    loaded = step.argval[-1] if isinstance(step.argval, tuple) else step.argval
    return step.opname.startswith("LOAD_") and loaded in code.co_varnames[:1]


def _calls_base(override: FunctionType, cls: type, name: str) -> bool:
    """Return whether a method, or a function that its decorators wrap, may call the method of a base class."""
    bases = {base.__name__ for base in cls.__mro__[:-1]}
    functions = [inner for function in undecorated(override) for inner in undecorated(function)]
    names = {used for function in functions for used in _names_in(original_code(function.__code__))}
    return "super" in names or (name in names and not bases.isdisjoint(names))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_freevars)
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _names_in(constant)


def _pass() -> None: ...


def _documented() -> None:
    """Do nothing."""


async def _pass_later() -> None: ...


async def _documented_later() -> None:
    """Do nothing."""


_EMPTY = frozenset(one.__code__.co_code for one in (_pass, _documented, _pass_later, _documented_later))
"""The code of functions without statements."""
