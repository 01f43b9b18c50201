"""The code of a wrapper shows whether it adds arguments to those that it receives."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.patching.forwarding import forwards_arguments
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

WRAPPERS = {
    "plain": ("*args, **kwargs", "return function(*args, **kwargs)", True),
    "positional": ("*args", "return function(*args)", True),
    "method": ("self, *args, **kwargs", "return function(self, *args, **kwargs)", True),
    "two": ("a, b, *args, **kwargs", "return function(a, b, *args, **kwargs)", True),
    "passed_on": ("*args, **kwargs", "return call(function, *args, **kwargs)", True),
    "method_passed_on": ("self, *args, **kwargs", "return call(function, self, *args, **kwargs)", True),
    "logged": ("*args, **kwargs", "print('call', *args)\n        return function(*args, **kwargs)", True),
    "in_a_list": ("*args, **kwargs", "print([*args])\n        return function(*args, **kwargs)", True),
    "later": ("*args, **kwargs", "return (lambda: function(*args, **kwargs))()", True),
    "at_the_end": ("*args, **kwargs", "return function(*args, None, **kwargs)", True),
    "injected": ("*args, **kwargs", "return function(None, *args, **kwargs)", False),
    "called": ("*args, **kwargs", "return function(print(), *args, **kwargs)", False),
    "in_a_block": ("*args, **kwargs", "with open('x') as x:\n            return function(x, *args, **kwargs)", False),
    "injected_and_passed_on": ("*args, **kwargs", "return call(function, None, *args, **kwargs)", False),
    "injected_into_method": ("self, *args, **kwargs", "return function(self, None, *args, **kwargs)", False),
    "dropped": ("request, *args, **kwargs", "return function(*args, **kwargs)", False),
}


SOURCE = """
def call(function, *args, **kwargs):
    return function(*args, **kwargs)

def decorate(function):
    {kind} wrapper({parameters}):
        {body}
    return wrapper

wrapper = decorate(print)
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper(load_module: LoadModule, name: str, kind: str) -> None:
    """The arguments before ``*args`` are as many as the wrapper's own, without the wrapped function."""
    parameters, body, expected = WRAPPERS[name]
    wrapper = load_module(SOURCE.format(kind=kind, parameters=parameters, body=body)).wrapper
    assert forwards_arguments(wrapper, len(parameters.partition("*")[0].split()), "args") is expected


def test_other_callables_count_as_forwarding() -> None:
    """Compiled functions and partial functions have no code to read."""
    assert forwards_arguments(len, 0, "args")
    assert forwards_arguments(functools.partial(print), 0, "args")


def test_wrapper_whose_function_is_not_set_yet() -> None:
    """A free variable may be unset when the target is instrumented."""

    def wrapper(*args: Any) -> Any:
        return function(*args)

    assert forwards_arguments(wrapper, 0, "args")
    function = print


APP = """
import functools

def with_session(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function("session", *args, **kwargs)
    return wrapper

def verify(key):
    return {"id": key}

@with_session
def record(session, action, additional_fields=None):
    return additional_fields
"""


def test_a_decorator_that_adds_an_argument_is_harmless(recorder: Recorder, load_module: LoadModule) -> None:
    """The positions are unknown, so the row stays as it is and the write counts as failed; keywords are found."""
    app = load_module(APP)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
    with recorder.request():
        app.verify("k_1")
        assert app.record("create", {"a": 1}) == {"a": 1}
        assert recorder.writes()["failed"] == 1
        assert app.record(action="create", additional_fields={})["request_api_key"]["id"] == "k_1"
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["active", "active"]
