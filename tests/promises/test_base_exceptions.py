"""Anything that is no ``Exception`` belongs to the application and passes through, wherever it is raised."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuditTarget, AuthTarget, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

APP = """
class Key:
    id = "k_1"

def verify(error):
    return answer(error)

async def averify(error):
    return answer(error)

def record(error, fields=None):
    return answer(error)

async def arecord(error, fields=None):
    return answer(error)

def grecord(error, fields=None):
    yield answer(error)

def answer(error):
    if error is not None:
        raise error
    return Key()
"""
KINDS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that raises its argument."""
    return load_module(APP)


def run(function: Any, error: BaseException | None) -> None:
    """Call a function of any kind to its end, without an event loop that would have its own idea of errors."""
    result = function(error)
    if asyncio.iscoroutine(result):
        result.send(None)
    elif isinstance(result, Iterator):
        next(result)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["verify", "averify", "record", "arecord", "grecord"])
def test_base_exception_of_wrapped_code_passes_through(
    recorder: Recorder, app: Any, function: str, kind: type[BaseException]
) -> None:
    """The caller gets the same exception; it is no outcome of an authentication, and a write still counts."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify", f"{name}:averify"],
        audit_targets=[f"{name}:{one}?fields=args.fields" for one in ("record", "arecord", "grecord")],
    )
    error = kind()
    with recorder.request(), use_key(ApiKey("k_1")), pytest.raises(kind) as caught:
        run(getattr(app, function), error)
    assert caught.value is error
    assert recorder.count("keyaudit.authentications") == 0
    assert sum(recorder.writes().values()) == ("record" in function)
    assert recorder.errors() == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["verify", "record"])
def test_base_exception_of_an_extractor_passes_through(
    recorder: Recorder, app: Any, function: str, kind: type[BaseException]
) -> None:
    """An interrupt passes through that arrives while the library reads a value."""
    error = kind()

    def interrupted(call: object) -> object:
        raise error

    name = app.__name__
    recorder.instrument(
        auth_targets=[AuthTarget(f"{name}:verify", id=interrupted)],
        audit_targets=[AuditTarget(f"{name}:record", fields="args.fields", action=interrupted)],
    )
    with recorder.request(), pytest.raises(kind) as caught:
        getattr(app, function)(None)
    assert caught.value is error
    assert recorder.errors() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_base_exception_of_a_sampler_passes_through(recorder: Recorder, app: Any, kind: type[BaseException]) -> None:
    """An interrupt passes through that arrives in a sampler."""

    def interrupted(event: object) -> object:
        raise kind

    recorder.instrument(audit_targets=[f"{app.__name__}:record?fields=args.fields"], sampler=interrupted)
    with use_key(ApiKey("k_1")), pytest.raises(kind):
        app.record(None)
