"""Functions of the user receive the call, and sources read from it."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from otel_keyaudit import AuthTarget, ConfigurationError
from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.call import Call, reader
from otel_keyaudit.targets.expressions.expression import parse
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule


class Checker:
    """Has a method."""

    prefix = "k_"

    def check(self, token: str, *, scope: str = "read", **more: Any) -> str:
        """Return a key."""
        return self.prefix + token


def call_of(*args: Any, **kwargs: Any) -> Call:
    """Return a call of the method."""
    return Call(Binding(Checker.check, has_self=True), args, kwargs)


def read(text: str, call: Call, base: Any = None) -> Any:
    """Read an expression."""
    return reader(parse(text, emitted=False), deferred=False)(call, base)


def test_a_call_shows_its_arguments_by_name() -> None:
    """Defaults and further keywords are included, and ``self`` is the object."""
    checker = Checker()
    call = call_of(checker, "secret", ip="10.0.0.1")
    assert call.self is checker
    assert call.args == {
        "self": checker,
        "token": "secret",
        "scope": "read",
        "more": {"ip": "10.0.0.1"},
        "ip": "10.0.0.1",
    }
    assert (call.result, call.exc, call.scope) == (None, None, None)
    assert Call(Binding(len), ("a",), {}).self is None


def test_a_call_shows_no_values() -> None:
    """The repr of a call can end up in a log."""
    assert repr(call_of(Checker(), "secret")) == "<Call>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("args.token", "secret"),
        ("args.scope", "read"),
        ("args.ip", "10.0.0.1"),
        ("args.more.ip", "10.0.0.1"),
        ("self.prefix", "k_"),
        ("return.id", "k_1"),
        ("exc", None),
        ("id", "base"),
        ("id ?? name", "base"),
        ("missing ?? id", "base"),
        ("id | prefix:x_", "x_base"),
    ],
)
def test_expressions_read_from_a_call(text: str, expected: object) -> None:
    """Each root leads to its part of the call, and none to the key object."""
    call = call_of(Checker(), "secret", ip="10.0.0.1")
    call.result = {"id": "k_1"}
    assert read(text, call, {"id": "base"}) == expected


@pytest.mark.parametrize("text", ["missing", "return.missing", "self.missing", "args.scope.missing"])
def test_absent_values_are_unreadable(text: str) -> None:
    """A path that leads nowhere is an error, which is counted."""
    call = call_of(Checker(), "secret")
    call.result = object()
    with pytest.raises(UnreadableError):
        read(text, call, object())


def test_a_missing_object_gives_none() -> None:
    """``None`` on the path is not an error."""
    assert read("id", call_of(Checker(), "secret")) is None


def make(scopes: Any) -> Any:
    """Return a function with a free variable."""

    def inner(token: str) -> Any:
        return scopes

    return inner


def test_free_variables_of_the_called_function_are_read() -> None:
    """Each function of a factory has its own free variables."""
    for scopes in (["a"], {"name": "b"}):
        function = make(scopes)
        call = Call(Binding(function), ("secret",), {}, function)
        assert read("closure.scopes", call) is scopes
        assert call.closure("scopes") is scopes
    function = make({"name": "b"})
    assert read("closure.scopes.name", Call(Binding(function), ("secret",), {}, function)) == "b"


@pytest.mark.parametrize("function", [make("a"), len, None])
def test_a_free_variable_that_is_not_there_is_missing(function: Any) -> None:
    """The target is wrong then, unless a compiled function does not declare its variables."""
    with pytest.raises(MissingError, match=f"^{type(function).__name__} has no 'other'$"):
        Call(Binding(len), (), {}, function).closure("other")


def test_a_free_variable_without_a_value_is_missing() -> None:
    """The factory may still be running when its function is called."""

    def inner() -> Any:
        return later

    call = Call(Binding(inner), (), {}, inner)
    with pytest.raises(MissingError):
        call.closure("later")
    later = 1
    assert call.closure("later") == 1


def test_awaitables_of_the_users_functions_are_refused() -> None:
    """Nobody awaits them, so the coroutine is closed without a warning."""

    async def find(call: Call) -> str:
        return "k_1"

    for source in (find, functools.partial(find)):
        with pytest.raises(UnreadableError, match="coroutine would have to be awaited"):
            reader(source, deferred=False)(call_of(Checker(), "secret"), None)


SERVICE = """
class Refused(Exception):
    key = {"id": "k_2"}

class Checker:
    def check(self, key, scope="read"):
        if key == "bad":
            raise Refused
        return {"id": key}

def key_id(call):
    SEEN.append((dict(call.args), type(call.self).__name__, call.result, type(call.exc).__name__, call.scope))
    return call.result["id"]

SEEN = []
"""


def test_functions_of_the_users_get_the_call(recorder: Recorder, load_module: LoadModule) -> None:
    """A function is given by name or as an object, in any field."""
    service = load_module(SERVICE)
    name = service.__name__
    target = AuthTarget(f"{name}:Checker.check", id=f"{name}:key_id", name=lambda call: call.args["scope"])
    recorder.instrument(auth_targets=[target])
    checker = service.Checker()
    with recorder.request():
        checker.check("k_1")
    ((args, kind, result, error, scope),) = service.SEEN
    assert args == {"self": checker, "key": "k_1", "scope": "read"}
    assert (kind, result, error, scope) == ("Checker", {"id": "k_1"}, "NoneType", None)
    assert recorder.server_span()["keyaudit.key.name"] == "read"


@pytest.mark.parametrize("reference", ["keyaudit_nowhere.ids:key_id", "{name}:missing"])
def test_functions_that_cannot_be_there_are_refused(
    recorder: Recorder, load_module: LoadModule, reference: str
) -> None:
    """A missing package, or a name that an imported module lacks, is an error at once."""
    name = load_module(SERVICE).__name__
    written = f"email.no_such:verify?id={reference.format(name=name)}"
    with pytest.raises(ConfigurationError, match=r"no package|has no 'missing'; did you mean|has no 'missing'"):
        recorder.instrument(auth_targets=[written])
