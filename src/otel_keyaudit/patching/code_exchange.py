"""Exchange the code of a Python function, so that calls through every reference to it are observed.

``Depends(f)``, ``from m import f``, a dispatch table and a decorator all hold the function object. The object stays,
and its code is replaced by a *trampoline*: code with the same parameters, of the same kind (``async def``, generator),
at the same line of the source. It builds the original function from the original code, asks a hook whether the call is
observed, and calls the original. The trampoline is compiled from source, and only its constants are replaced
afterwards.

The original code is a constant of the trampoline, and each call makes the original function from it with the live
cells. So one trampoline serves all functions that a factory creates from one definition, and no function is kept alive.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from operator import methodcaller
from types import CellType, CodeType, FunctionType
from typing import Any

from otel_keyaudit.guard.signals import expected

_HOOK = "otel_keyaudit.hook"
_FIRST_STEP = "otel_keyaudit.first_step"

_KINDS = {
    inspect.CO_ITERABLE_COROUTINE: "generator_coroutine",
    inspect.CO_COROUTINE: "coroutine",
    inspect.CO_ASYNC_GENERATOR: "async_generator",
    inspect.CO_GENERATOR: "generator",
}

# {o}: the original function. {k}: the hook, then the observation. {v}: a yielded value. {s}: a sent value.
_OBSERVED = {
    "sync": """\
if not {k}:
    return {o}({direct})
with {k}:
    return {k}.called({o}(*{k}.positional, **{k}.keywords), {o})""",
    "coroutine": """\
if not {k}:
    return await {o}({direct})
with {k}:
    return {k}.returned(await {o}(*{k}.positional, **{k}.keywords))""",
    "generator_coroutine": """\
if not {k}:
    return (yield from {o}({direct}))
with {k}:
    return {k}.returned((yield from {o}(*{k}.positional, **{k}.keywords)))""",
    # ``yield from`` would end a generator that ignores ``close()`` and yields again. A list holds the exception that is
    # thrown into the generator, so that no frame keeps it alive.
    "generator": """\
if not {k}:
    {o} = {o}({direct})
    {k} = []
    {s} = None
    while True:
        try:
            {v} = {o}.throw({k}.pop()) if {k} else {o}.send({s})
        except StopIteration as {v}:
            return {v}.value
        try:
            {s} = yield {v}
        except BaseException as {v}:
            {k}.append({v})
{k} = {k}.generator({o}(*{k}.positional, **{k}.keywords))
while {k}.advance():
    with {k}:
        {k}.sent = yield {k}.value
return {k}.value""",
    # As above, with a list that holds the next step.
    "async_generator": """\
if not {k}:
    {o} = {o}({direct})
    {k} = 'otel_keyaudit.first_step'
    {k} = [{k}({o})]
    while True:
        try:
            {v} = await {k}.pop()
        except StopAsyncIteration:
            return
        try:
            {k}.append({o}.asend((yield {v})))
        except BaseException as {v}:
            {k}.append({o}.athrow({v}))
{k} = {k}.async_generator({o}(*{k}.positional, **{k}.keywords))
while await {k}.advance():
    with {k}:
        {k}.sent = yield {k}.value""",
}

_BEGIN = "{k} = {k}({args}, {kwargs}, {o})"

_HANDLED = {
    "sync": "return {k}({args}, {kwargs})",
    "coroutine": "return await {k}({args}, {kwargs})",
    "generator_coroutine": "return (yield from {k}({args}, {kwargs}))",
}


class Hook(partial):  # type: ignore[type-arg]
    """A callable constant of a trampoline, which adds no frame to a call.

    Dask, Ray and Spark pickle functions by value. There the hook becomes a builtin that returns an empty string, so
    that the copy of the function passes its calls through, even where this library is not installed.
    """

    def __reduce__(self) -> Any:
        return getattr, ("", "format")


class _FirstStep(partial):  # type: ignore[type-arg]
    """A callable constant that begins the iteration of an asynchronous generator."""

    def __reduce__(self) -> Any:
        return methodcaller, ("__anext__",)


def next_step(generator: Any, sent: Any = None) -> Any:
    """Return the next step of an asynchronous generator without registering the generator with the event loop.

    The event loop closes registered generators. It closes the trampoline's generator, which in turn closes this one.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(sent)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def kind_of(function: Callable[..., Any]) -> str:
    """Return ``sync``, ``coroutine``, ``generator_coroutine`` (of ``types``), ``generator`` or ``async_generator``.

    The code of a Python function decides, because a function that is only marked as a coroutine function runs when it
    is called.
    """
    if type(function) is FunctionType:
        return kind_of_code(function.__code__)
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


def kind_of_code(code: CodeType) -> str:
    """Return the kind of function that a code object makes."""
    return next((kind for flag, kind in _KINDS.items() if code.co_flags & flag), "sync")


def duplicate(function: FunctionType) -> FunctionType:
    """Return a new function with the code and the attributes of another."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    copy.__dict__.update(function.__dict__)
    return copy


def closure_values(function: Any) -> Iterator[Any]:
    """Yield the values of a function's free variables; unset ones are skipped."""
    for cell in getattr(function, "__closure__", None) or ():
        with expected(ValueError):
            yield cell.cell_contents


def bare_function(code: CodeType) -> FunctionType:
    """Return a function that has only a code object: no globals, no defaults, empty cells."""
    return FunctionType(code, {}, None, None, tuple(CellType() for _ in code.co_freevars))


def observed_code(code: CodeType, hook: Hook, qualified_name: str) -> CodeType:
    """Return a trampoline around the code of a function.

    Args:
        code: The original code.
        hook: Gets the positional arguments, the keyword arguments and the original function of each call. Returns an
            ``Observation``, or a false value for a call that is not observed.
        qualified_name: The qualified name of the original, which code objects of Python 3.10 lack.
    """
    return _trampoline(code, _BEGIN + "\n" + _OBSERVED[kind_of_code(code)], hook, qualified_name)


def calling_code(shape: CodeType, kind: str, hook: Hook) -> CodeType:
    """Return a trampoline for a callable without Python code, which is in the trampoline's only cell.

    Args:
        shape: The code whose parameters and source line the trampoline gets.
        kind: The kind of the callable.
        hook: As for :func:`observed_code`.
    """
    return _trampoline(shape, _BEGIN + "\n" + _OBSERVED[kind], hook, kind=kind, original="called")


def handled_code(code: CodeType, handler: Hook) -> CodeType:
    """Return code that calls ``handler(positional, keywords)`` in place of the original."""
    return _trampoline(code, _HANDLED[kind_of_code(code)], handler)


def hook_of(code: CodeType) -> Hook | None:
    """Return the hook of a trampoline, ``None`` for any other code."""
    return next((constant for constant in code.co_consts if type(constant) is Hook), None)


def original_code(code: CodeType) -> CodeType:
    """Return the original code inside a trampoline of :func:`observed_code`, and any other code unchanged."""
    if hook_of(code) is None:
        return code
    return next((constant for constant in code.co_consts if type(constant) is CodeType), code)


def with_constant(code: CodeType, old: object, new: object) -> CodeType:
    """Return a code in which one constant is replaced."""
    return code.replace(co_consts=tuple(new if constant is old else constant for constant in code.co_consts))


def _trampoline(
    old: CodeType, body: str, hook: Hook, qualified_name: str = "", kind: str = "", original: str = ""
) -> CodeType:
    """Compile a trampoline inside an enclosing function that defines its free variables."""
    kind = kind or kind_of_code(old)
    free = (original,) if original else old.co_freevars
    o, k, v, s = _unused_names({*old.co_varnames, *old.co_freevars, *old.co_names})
    parameters, args, kwargs, direct = _parameters(old)
    touched = "".join(f"if 0: {name}\n" for name in free)
    get_original = f"{o} = {original}\n" if original else f"def {o}():\n{_indented(touched or 'pass')}"
    body = f"{k} = {_HOOK!r}\n" + body.format(o=o, k=k, v=v, s=s, args=args, kwargs=kwargs, direct=direct)
    doc = bare_function(old).__doc__
    inside = ("" if doc is None else f"{doc!r}\n") + touched + get_original + body
    prefix = "async " if kind in ("coroutine", "async_generator") else ""
    cells = "".join(f"{name} = None\n" for name in free)
    function = f"{prefix}def {k}({parameters}):\n{_indented(inside)}"
    source = f"def enclosing():\n{_indented(cells + function)}"
    return _with_constants(_compiled(source, k), old, o, hook, qualified_name)


def _with_constants(new: CodeType, old: CodeType, inner: str, hook: Hook, qualified_name: str) -> CodeType:
    """Replace the placeholders among the constants, and set the name and the location of the original."""
    replaced: dict[Any, Any] = {_HOOK: hook, _FIRST_STEP: _FirstStep(next_step)}
    constants: list[Any] = []
    for constant in new.co_consts:
        if type(constant) is CodeType:
            if constant.co_freevars != old.co_freevars:
                raise TypeError("unknown order of free variables")
            constants.append(old)
        elif type(constant) is str and constant.endswith(f".<locals>.{inner}"):  # the qualified name, in Python 3.10
            constants.append(qualified_name)
        else:
            constants.append(replaced.get(constant, constant) if type(constant) is str else constant)
    exchanged: dict[str, Any] = {
        "co_consts": tuple(constants),
        "co_filename": old.co_filename,
        "co_firstlineno": old.co_firstlineno,
        "co_flags": new.co_flags | old.co_flags & inspect.CO_ITERABLE_COROUTINE,
        "co_name": old.co_name,
    }
    if sys.version_info >= (3, 11):
        exchanged["co_qualname"] = old.co_qualname
    return new.replace(**exchanged)


def _unused_names(used: set[str]) -> tuple[str, ...]:
    number = next(number for number in range(len(used) + 1) if not any(f"_keyaudit_{number}" in name for name in used))
    return tuple(f"_keyaudit_{number}_{letter}" for letter in "okvs")


@lru_cache
def _compiled(source: str, name: str) -> CodeType:
    """Compile source and return the code of the function of that name. Functions with equal parameters share it.

    All of it is on the first line, without columns, so that a traceback shows the line on which the original begins
    once and without markers below.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if "lineno" in node._attributes:
            ast.copy_location(node, ast.Pass(lineno=1, col_offset=-1, end_lineno=1, end_col_offset=-1))
    code = compile(tree, "", "exec", dont_inherit=True)
    while code.co_name != name:
        code = next(constant for constant in code.co_consts if type(constant) is CodeType)
    return code


def _parameters(old: CodeType) -> tuple[str, str, str, str]:
    """Return source code: the parameter list, the tuple and dict of arguments, and the arguments of a direct call."""
    names = list(old.co_varnames)
    positional = names[: old.co_argcount]
    keyword_only = names[old.co_argcount : old.co_argcount + old.co_kwonlyargcount]
    rest = iter(names[old.co_argcount + old.co_kwonlyargcount :])
    variadic = [f"*{next(rest)}"] if old.co_flags & inspect.CO_VARARGS else []
    keywords = [f"**{next(rest)}"] if old.co_flags & inspect.CO_VARKEYWORDS else []
    listed = list(positional)
    if old.co_posonlyargcount:
        listed.insert(old.co_posonlyargcount, "/")
    listed += variadic or ["*"] * bool(keyword_only)
    parameters = ", ".join([*listed, *keyword_only, *keywords])
    args = "".join(f"{element}, " for element in [*positional, *variadic])
    kwargs = ", ".join([*(f"{name!r}: {name}" for name in keyword_only), *keywords])
    named = [f"{name}={name}" for name in keyword_only]
    return parameters, f"({args})", f"{{{kwargs}}}", ", ".join([*positional, *variadic, *named, *keywords])


def _indented(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.splitlines())
