"""Notices a target that returns the function which will check, and so checks nothing itself."""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from otel_keyaudit.observers.observed_call import ObservedCall
from otel_keyaudit.patching.kinds.definitions import locals_form

_CALLABLES = (FunctionType, BuiltinFunctionType, MethodType, partial, type)


def is_factory_call(call: ObservedCall, result: Any) -> bool:
    """Say whether a call returned a function or a class; its target is wrong then, and the reason names the remedy."""
    if not isinstance(result, _CALLABLES):
        return False
    target = call.target
    if target.problem is None:
        form = None if call.function is None else locals_form(call.function, result)
        remedy = f"; use {form}" if form else ""
        target.problem = f"it returns a {type(result).__name__} and checks nothing itself{remedy}"
        target.faults.warn_once((call.written, "factory"), "target %s is wrong: %s", call.written, target.problem)
    return True
