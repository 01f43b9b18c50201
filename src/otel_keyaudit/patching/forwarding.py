"""Check whether the wrapper of a decorator forwards its positional arguments without adding or dropping any."""

from __future__ import annotations

import dis
from collections.abc import Iterator, Sequence
from dis import Instruction
from types import FunctionType
from typing import Any

from otel_keyaudit.guard.signals import expected
from otel_keyaudit.patching.code_exchange import original_code

_DISTANCE = 5
"""Maximum number of instructions between loading ``*args`` and the call that receives them."""


def forwards_arguments(function: Any, count: int, variadic: str) -> bool:
    """Return whether a wrapper may call the wrapped function with its own arguments.

    A wrapper that passes an additional argument, as in ``function(session, *args)``, changes the positions of the
    arguments. It is recognized by its code: no call has ``*args`` after as many arguments as the wrapper has
    parameters.

    Args:
        function: The wrapper.
        count: The number of its positional parameters.
        variadic: The name of its parameter ``*args``.
    """
    if type(function) is not FunctionType:
        return True
    code = original_code(function.__code__)
    counts = list(_counts_before(list(dis.get_instructions(code)), variadic, _functions_in(function)))
    return not counts or count in counts


def _functions_in(function: FunctionType) -> set[str]:
    """Return the names of the free variables that are functions, such as the wrapped function."""
    found = set()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with expected(ValueError):  # an unset variable
            if callable(cell.cell_contents):
                found.add(name)
    return found


def _counts_before(instructions: Sequence[Instruction], variadic: str, functions: set[str]) -> Iterator[int]:
    """Yield the number of arguments before ``*args`` in each call, without functions that are passed on."""
    for position, instruction in enumerate(instructions):
        if not instruction.opname.startswith("LOAD_") or not _ends_with(instruction.argval, variadic):
            continue
        following = [one.opname for one in instructions[position + 1 : position + _DISTANCE]]
        if following[:1] == ["LIST_EXTEND"]:
            start = next(at for at in range(position, -1, -1) if instructions[at].opname == "BUILD_LIST")
            size = instructions[start].arg or 0
            yield size - sum(name in functions for name in _loaded(instructions[:start], size))
        elif "CALL_FUNCTION_EX" in following:
            yield 0


def _loaded(instructions: Sequence[Instruction], size: int) -> Iterator[str]:
    """Yield the names of the last values that are loaded."""
    for instruction in reversed(instructions):
        if size <= 0:
            break
        names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        size -= len(names) if instruction.opname != "PUSH_NULL" else 0
        yield from map(str, names)


def _ends_with(loaded: Any, name: str) -> bool:
    return bool(loaded == name or (isinstance(loaded, tuple) and loaded and loaded[-1] == name))
