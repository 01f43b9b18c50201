"""Find and patch definitions inside a function, named as by ``__qualname__``: ``require_scope.<locals>.dependency``.

The code of a definition is a constant in the code of the enclosing function. It is exchanged there, so that every
function made from now on has the new code, and in the functions that were made before.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

from otel_keyaudit.errors import WrongTargetError, hint
from otel_keyaudit.patching.code_exchange import bare_function, closure_values, hook_of, original_code, with_constant
from otel_keyaudit.patching.kinds.references import IgnoredHolder

LOCALS = ".<locals>."
_PRISTINE = "otel_keyaudit.pristine"
_NAMELESS = ("<generic parameters of", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
"""Code objects in which definitions have the names that they would have around them. Since Python 3.12 list
comprehensions have none."""
_FUNCTION_FLAGS = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS

CodeChange = Callable[[CodeType], CodeType]


class Definition(IgnoredHolder):
    """A function that another function defines.

    Attributes:
        factory: The enclosing function.
        path: The qualified name of the definition inside the factory.
        code: The original code of the definition.
        is_method: The definition is in the body of a class and takes ``self`` or ``cls``.
    """

    __slots__ = ("code", "factory", "is_method", "path")

    def __init__(self, factory: FunctionType, path: str, code: CodeType) -> None:
        self.factory = factory
        self.path = path
        self.code = code
        self.is_method = not path.rpartition(".")[0].endswith("<locals>") and "." in path
        self.is_method = self.is_method and code.co_varnames[:1] in (("self",), ("cls",))

    @property
    def function(self) -> FunctionType:
        """A function with the code of the definition, from which its parameters can be read."""
        return bare_function(self.code)

    @property
    def qualified_name(self) -> str:
        """The qualified name of the functions that are made from the definition."""
        return f"{self.factory.__qualname__}{LOCALS}{self.path}"

    def change(self, holder: FunctionType, exchange: CodeChange) -> set[int]:
        """Exchange the code of the definition in the factory and in the functions that were made before.

        Args:
            holder: The function that has the factory's code.
            exchange: Returns the new code of the definition.

        Returns:
            The ids of the changed functions.
        """
        changed: list[tuple[CodeType, CodeType]] = []
        holder.__code__ = _changed(holder.__code__, "", self.path, exchange, changed)
        functions = [one for one in gc.get_referrers(*(old for old, _ in changed)) if type(one) is FunctionType]
        for function in functions:
            function.__code__ = next((new for old, new in changed if function.__code__ is old), function.__code__)
        return {id(function) for function in functions}


def find_definition(function: Any, path: str) -> Definition:
    """Find a definition in a function, or in the function that its decorators wrap.

    Raises:
        WrongTargetError: The function contains no such definition, or has no Python code.
    """
    known: set[str] = set()
    factories = [*undecorated(function)]
    for factory in factories:
        definitions = dict(_definitions(factory.__code__))
        if path in definitions:
            if not _is_function(definitions[path]):
                raise WrongTargetError(f"{path!r} is a class, not a function; name its method, as in {path}.method")
            return Definition(factory, path, original_code(definitions[path]))
        known |= definitions.keys()
    name = getattr(function, "__qualname__", type(function).__name__)
    if not factories:
        raise WrongTargetError(
            f"{name!r} has no Python code of its own, so the functions that it creates cannot be observed"
        )
    raise WrongTargetError(f"{name!r} defines no {path!r}{hint(path, known)}")


def locals_form(path: str, function: FunctionType, result: Any) -> str | None:
    """Return the target string of a function or class that a factory has returned, ``None`` for any other result.

    Args:
        path: The target string of the factory, whose own name may be ``<lambda>``.
        function: The factory.
        result: The value that it returned.
    """
    if issubclass(type(result), type):
        return f"{result.__module__}:{result.__qualname__}" if LOCALS in result.__qualname__ else None
    if type(result) is not FunctionType:
        return None
    code = original_code(result.__code__)
    for name, definition in _definitions(function.__code__):
        if original_code(definition) is code:
            return f"{path}{LOCALS}{name}"
    names = [name for name, value in result.__globals__.copy().items() if value is result]
    return f"{result.__module__}:{names[0] if names else getattr(code, 'co_qualname', result.__qualname__)}"


def undecorated(function: Any) -> Iterator[FunctionType]:
    """Yield a Python function and the functions that its decorators wrap."""
    chain: list[Any] = [function]
    while (inside := getattr(chain[-1], "__wrapped__", None)) is not None and not any(one is inside for one in chain):
        chain.append(inside)
    chain += [one for one in closure_values(function) if type(one) is FunctionType]
    yield from (one for one in chain if type(one) is FunctionType)


def _definitions(code: CodeType, prefix: str = "") -> Iterator[tuple[str, CodeType]]:
    """Yield the definitions in a code object, each with its qualified name."""
    for child in _children(code):
        if child.co_name.startswith(_NAMELESS):
            yield from _definitions(child, prefix)
            continue
        yield prefix + child.co_name, child
        yield from _definitions(child, _inside(prefix, child))


def _children(code: CodeType) -> Iterable[CodeType]:
    return [constant for constant in original_code(code).co_consts if type(constant) is CodeType]


def _inside(prefix: str, code: CodeType) -> str:
    """Return the prefix of the qualified names of the definitions in a code object."""
    if code.co_name.startswith(_NAMELESS):
        return prefix
    return f"{prefix}{code.co_name}{LOCALS if _is_function(code) else '.'}"


def _is_function(code: CodeType) -> bool:
    return code.co_flags & _FUNCTION_FLAGS == _FUNCTION_FLAGS


def _changed(
    code: CodeType, prefix: str, path: str, exchange: CodeChange, changed: list[tuple[CodeType, CodeType]]
) -> CodeType:
    """Return code in which the code of a definition is exchanged, and add each old and new code to a list."""
    if hook_of(code) is not None:
        inner = original_code(code)
        return with_constant(code, inner, _changed(inner, prefix, path, exchange, changed))
    new_of: dict[int, CodeType] = {}
    for child in _children(code):
        if prefix + child.co_name == path:
            new_of[id(child)] = exchange(child)
        elif path.startswith(_inside(prefix, child)):
            new_of[id(child)] = _changed(child, _inside(prefix, child), path, exchange, changed)
    new = _with_children(code, new_of)
    changed += [(child, new_of[id(child)]) for child in _children(code) if id(child) in new_of]
    return new


def _with_children(code: CodeType, new_of: dict[int, CodeType]) -> CodeType:
    """Return code with some constants replaced; the original object if that restores all of its constants."""
    is_mark = [type(constant) is tuple and constant[:1] == (_PRISTINE,) for constant in code.co_consts]
    constants = [new_of.get(id(one), one) for one, mark in zip(code.co_consts, is_mark, strict=True) if not mark]
    pristine = code.co_consts[is_mark.index(True)][1] if any(is_mark) else code
    if all(one is other for one, other in zip(constants, pristine.co_consts, strict=True)):
        return pristine
    return code.replace(co_consts=(*constants, (_PRISTINE, pristine)))
