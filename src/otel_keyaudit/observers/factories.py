"""Recognize a target that checks nothing itself: it returns a function or context manager that does."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, cast

from otel_keyaudit.observers.observed_call import ObservedCall
from otel_keyaudit.patching.kinds.definitions import locals_form
from otel_keyaudit.targets.target_string import is_path

_CONTEXT_MANAGERS = (type(contextmanager(iter)(())), type(asynccontextmanager(cast("Any", iter))(())))
"""The classes of context managers that ``contextlib`` creates from generator functions."""

_CALLABLES = (FunctionType, BuiltinFunctionType, MethodType, partial, type)


def report_factory_call(call: ObservedCall, result: Any) -> bool:
    """Report a target whose call returned a function, a class or a context manager; return whether it did.

    The target is then wrong, and its reason names the remedy.
    """
    is_manager = _is_context_manager(result)
    if not (is_manager or (callable(result) and _is_function(result))):
        return False
    target = call.target
    if target.problem is None:
        form = _undecorated_form(result) if is_manager else _locals_form(call, result)
        remedy = f"; use {form}" if is_path(form) else ""
        kind = "context manager" if is_manager else type(result).__name__
        target.problem = f"it returns a {kind} and checks nothing itself{remedy}"
        target.faults.warn_once(
            (call.target_string, "factory"), "target %s is wrong: %s", call.target_string, target.problem
        )
    return True


def _is_function(result: Any) -> bool:
    """Return whether a callable is a function, a class, or an object of a decorator, which has a function's names."""
    return issubclass(type(result), _CALLABLES) or hasattr(result, "__qualname__")


def _is_context_manager(result: Any) -> bool:
    kind = type(result)
    return kind is _CONTEXT_MANAGERS[0] or kind is _CONTEXT_MANAGERS[1]


def _locals_form(call: ObservedCall, result: Any) -> str | None:
    """Return the target string of a returned function, ``None`` for other callables and after the call has ended."""
    function = call.function
    return None if function is None else locals_form(call.target.target.path, function, result)


def _undecorated_form(manager: Any) -> str:
    """Return the target string of the undecorated generator function, which contains the checks."""
    function = manager.func
    return f"{function.__module__}:{function.__qualname__}.__wrapped__"
