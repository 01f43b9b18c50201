"""Exchanges the code of a function and leaves the function itself: every reference to it, however early, is reached.

``Depends(f)``, ``from m import f``, a dispatch table and a decorator all hold the function object. Its code is replaced
by that of a generated function with the same parameters and of the same kind, which passes the bound arguments on. The
original lives on as a function of its own. No bytecode is written: the compiler makes the code, and the handler takes
the place of a constant in it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

_HANDLER = "otel_keyaudit.handler"

_KINDS = {
    inspect.CO_ITERABLE_COROUTINE: "generator_coroutine",
    inspect.CO_COROUTINE: "coroutine",
    inspect.CO_ASYNC_GENERATOR: "async_generator",
    inspect.CO_GENERATOR: "generator",
}

_BODIES = {
    "sync": "return {local}({args}, {kwargs})",
    "coroutine": "return await {local}({args}, {kwargs})",
    "generator_coroutine": "return (yield from {local}({args}, {kwargs}))",
    "generator": """\
{local} = {local}({args}, {kwargs})
    while {local}.advance():
        with {local}:
            {local}.sent = yield {local}.value
    return {local}.value""",
    "async_generator": """\
{local} = {local}({args}, {kwargs})
    while await {local}.advance():
        with {local}:
            {local}.sent = yield {local}.value""",
}


def kind_of(function: Callable[..., Any]) -> str:
    """Return ``sync``, ``coroutine``, ``generator_coroutine`` (of ``types``), ``generator`` or ``async_generator``.

    A Python function is what its code is: one that is only marked as a coroutine function works when it is called.
    """
    if type(function) is FunctionType:
        flags = function.__code__.co_flags
        return next((kind for flag, kind in _KINDS.items() if flags & flag), "sync")
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


def duplicate(function: FunctionType) -> FunctionType:
    """Return a second function with the code and the attributes that the first one has now."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    copy.__dict__.update(function.__dict__)
    return copy


def trampoline(function: FunctionType, handler: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> CodeType:
    """Return code that calls ``handler(args, kwargs)`` in place of the function's own.

    Args:
        function: Whose parameters, kind, free variables and place in the source the code takes over.
        handler: Gets the positional and the keyword arguments, defaults filled in.
    """
    old = function.__code__
    names = {*old.co_varnames, *old.co_freevars, *old.co_names}
    local = next(name for number in range(len(names) + 1) if (name := f"_keyaudit_{number}") not in names)
    new = _find(_compile(old, kind_of(function), local), local)
    exchanged: dict[str, Any] = {
        "co_consts": tuple(handler if constant == _HANDLER else constant for constant in new.co_consts),
        "co_flags": new.co_flags | old.co_flags & inspect.CO_ITERABLE_COROUTINE,
        "co_name": old.co_name,
    }
    if sys.version_info >= (3, 11):
        exchanged["co_qualname"] = old.co_qualname
    return new.replace(**exchanged)


def _compile(old: CodeType, kind: str, local: str) -> CodeType:
    """Compile a function with the parameters of the old one; an enclosing one gives it the same free variables."""
    parameters, args, kwargs = _parameters(old)
    body = _BODIES[kind].format(local=local, args=args, kwargs=kwargs)
    prefix = "async " if kind in ("coroutine", "async_generator") else ""
    free = "".join(f"    if 0: {name}\n" for name in old.co_freevars)
    source = f"{prefix}def {local}({parameters}):\n{free}    {local} = {_HANDLER!r}\n    {body}\n"
    enclosing = "".join(f"    {name} = None\n" for name in old.co_freevars)
    if enclosing:
        source = f"def enclosing():\n{enclosing}" + _indented(source)
    return compile(_in_one_line(ast.parse(source), old.co_firstlineno), old.co_filename, "exec", dont_inherit=True)


def _in_one_line(tree: ast.Module, number: int) -> ast.Module:
    """Move everything to one line: a traceback shows where the function begins, no line of its body.

    It has no columns, for which a traceback would put a line of marks under it, even if these are none.
    """
    for node in ast.walk(tree):
        if "lineno" in node._attributes:
            ast.copy_location(node, ast.Pass(lineno=number, col_offset=-1, end_lineno=number, end_col_offset=-1))
    return tree


def _parameters(old: CodeType) -> tuple[str, str, str]:
    """Return the parameter list as source, and how it becomes a tuple and a dict of arguments."""
    names = list(old.co_varnames)
    positional = names[: old.co_argcount]
    keyword_only = names[old.co_argcount : old.co_argcount + old.co_kwonlyargcount]
    rest = iter(names[old.co_argcount + old.co_kwonlyargcount :])
    variadic = next(rest) if old.co_flags & inspect.CO_VARARGS else None
    keywords = next(rest) if old.co_flags & inspect.CO_VARKEYWORDS else None
    listed = list(positional)
    if old.co_posonlyargcount:
        listed.insert(old.co_posonlyargcount, "/")
    if variadic or keyword_only:
        listed.append(f"*{variadic or ''}")
    listed += keyword_only
    if keywords:
        listed.append(f"**{keywords}")
    elements = [*positional, *([f"*{variadic}"] if variadic else [])]
    args = f"({''.join(element + ', ' for element in elements)})"
    items = [*(f"{name!r}: {name}" for name in keyword_only), *([f"**{keywords}"] if keywords else [])]
    return ", ".join(listed), args, f"{{{', '.join(items)}}}"


def _indented(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.splitlines())


def _find(code: CodeType, name: str) -> CodeType:
    """Return the code of the generated function among the constants of what encloses it."""
    while code.co_name != name:
        code = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return code
