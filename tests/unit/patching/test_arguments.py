"""Arguments are found by the names of their parameters, also through ``*args`` and ``**kwargs``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.errors import UnchangeableError, UnreadableError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.testing import Recorder
from support.calls.arguments import Given, given, passing_on, record, saying_so, write
from support.environment.modules import LoadModule


def only(action: str, additional_fields: Any, /, name: str = "n") -> None:
    """Have parameters by position only."""


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (given("a", 1), {"action": "a", "additional_fields": 1, "rest": (), "outcome": "ok", "more": {}}),
        (given("a", additional_fields=1), {"additional_fields": 1}),
        (given("a"), {"additional_fields": None, "unknown": None}),
        (given("a", 1, 2, 3, outcome="no", x=4), {"rest": (2, 3), "outcome": "no", "more": {"x": 4}, "x": 4}),
    ],
)
def test_arguments_are_read_by_name(call: Given, expected: dict[str, Any]) -> None:
    """Arguments are read by position, keyword or default, and ``None`` if there is none."""
    binding = Binding(record)
    assert {name: binding.read(call, name) for name in expected} == expected
    assert binding.by_name(call).items() >= {key: value for key, value in expected.items() if key != "unknown"}.items()


def test_arguments_are_written_where_they_were_given() -> None:
    """A new value replaces the old one in the call's own containers."""
    binding = Binding(record)
    call = given("a", 1, 2, x=4)
    before = call.positional, call.keywords
    binding.write(call, "additional_fields", "new")
    binding.write(call, "rest", [3, 4])
    binding.write(call, "more", {"y": 5})
    assert (call.positional, call.keywords) == (("a", "new", 3, 4), {"y": 5})
    assert before == (("a", 1, 2), {"x": 4})
    left_out = given("a")
    binding.write(left_out, "additional_fields", "new")
    assert (left_out.positional, left_out.keywords) == (("a",), {"additional_fields": "new"})


@pytest.mark.parametrize("name", ["additional_fields", "unknown"])
def test_argument_that_does_not_fit_is_not_passed(name: str) -> None:
    """A call that passes a positional-only or unknown parameter by keyword stays as it is."""
    call = given("a")
    with pytest.raises(UnchangeableError):
        Binding(only).write(call, name, "new")
    assert call == given("a")


def test_a_required_argument_that_is_missing_stays_missing() -> None:
    """The application's own ``TypeError`` must come, so a failing call is not completed."""

    def strict(action: str, additional_fields: Any) -> None:
        """Require both."""

    with pytest.raises(UnchangeableError):
        Binding(strict).write(given("a"), "additional_fields", {})


@pytest.mark.parametrize("decorate", [saying_so, passing_on])
@pytest.mark.parametrize(
    "call", [given("a", 1), given("a", additional_fields=1), given(action="a", additional_fields=1)]
)
def test_parameters_of_a_decorated_function(decorate: Callable[..., Any], call: Given) -> None:
    """The arguments of a decorator are those of the function inside, declared or found in its closure."""
    binding, call = Binding(decorate(write)), Given(call.positional, call.keywords)
    assert binding.read(call, "additional_fields") == 1
    binding.write(call, "additional_fields", 2)
    assert write(*call.positional, **call.keywords) == ("a", 2, "ok")


@pytest.mark.parametrize("decorate", [saying_so, passing_on])
def test_a_left_out_argument_is_supplied_through_a_decorator(decorate: Callable[..., Any]) -> None:
    """The left-out argument is supplied by keyword."""
    binding = Binding(decorate(write))
    call = given("a")
    assert binding.read(call, "additional_fields") is None
    binding.write(call, "additional_fields", 2)
    assert write(*call.positional, **call.keywords) == ("a", 2, "ok")


def test_parameters_of_an_unknown_decorator_are_not_guessed() -> None:
    """If the parameters behind ``*args`` are unknown, positional arguments are neither read nor replaced."""

    def opaque(*args: Any, **kwargs: Any) -> None:
        """Call an unknown function with the same arguments."""

    binding = Binding(opaque)
    call = given("a", {"x": 1})
    with pytest.raises(UnreadableError, match=r"may be anywhere in \*args; name the function inside"):
        binding.read(call, "additional_fields")
    with pytest.raises(UnreadableError):
        binding.write(call, "additional_fields", {})
    assert binding.by_name(call) == {"args": ("a", {"x": 1}), "kwargs": {}}
    by_keyword = given(action="a")
    binding.write(by_keyword, "additional_fields", {})
    assert by_keyword.keywords == {"action": "a", "additional_fields": {}}


def test_decorator_that_adds_arguments_is_not_trusted() -> None:
    """If the arguments cannot fit the inner function, or its first parameter differs, its names are not used."""

    def with_session(session: Any, action: str, additional_fields: Any = None) -> None:
        """Get a session from the decorator."""

    injected = Binding(saying_so(with_session))
    with pytest.raises(UnreadableError):
        injected.read(given("create"), "action")

    @functools.wraps(with_session)
    def renamed(request: Any, *args: Any, **kwargs: Any) -> None:
        """Begin with another parameter."""

    other = Binding(renamed)
    assert other.read(given("r", "create"), "request") == "r"
    with pytest.raises(UnreadableError):
        other.read(given("r", "create", {}), "additional_fields")
    assert other.read(given("r", action="create"), "action") == "create"


def test_declared_signature_names_further_arguments() -> None:
    """``__signature__`` gives the names behind ``*args``, and the code gives their positions."""
    wrapper = passing_on(write)
    wrapper.__signature__ = inspect.signature(write)  # type: ignore[attr-defined]
    assert Binding(wrapper).read(given("a", 1), "additional_fields") == 1
    assert "unknown" not in Binding(wrapper)
    liar = functools.partial(write).func
    assert Binding(liar).read(given("a", 1), "action") == "a"


def test_compiled_callables() -> None:
    """A compiled function is read by its parameters if it declares them, and by keyword otherwise."""
    assert Binding(functools.lru_cache(write)).read(given("a", 1), "additional_fields") == 1
    assert Binding(dict).read(given(action="a"), "action") == "a"
    assert "anything" in Binding(dict)


SERVICE = """
from functools import partial, wraps

ROWS = []

def decorate(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def implementation(action, additional_fields=None):
    ROWS.append((action, additional_fields))

record = decorate(implementation)
named = wraps(implementation)(decorate(implementation))
created = partial(implementation, "create")

def unknown(*args, **kwargs):
    implementation(*args, **kwargs)

class Decorator:
    def __init__(self, function):
        self.__wrapped__ = function
    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)

instance = Decorator(implementation)
"""


@pytest.mark.parametrize(
    ("call", "is_attributed"),
    [
        ("record('do', {'a': 1})", True),
        ("record('do')", True),
        ("named('do', {'a': 1})", True),
        ("named('do', additional_fields={'a': 1})", True),
        ("created({'a': 1})", True),
        ("created()", True),
        ("unknown('do', {'a': 1})", False),
        ("unknown('do', additional_fields={'a': 1})", True),
        ("instance('do', {'a': 1})", True),
        ("instance('do')", True),
    ],
)
def test_rows_through_decorators(recorder: Recorder, load_module: LoadModule, call: str, is_attributed: bool) -> None:
    """The row is written once with its action, and has the key if its fields can be located."""
    service = load_module(SERVICE)
    recorder.instrument(audit_targets=[f"{service.__name__}:{call.partition('(')[0]}"])
    with use_key(ApiKey("k_1")):
        eval(call, vars(service))  # noqa: S307 - one of the calls above
    ((action, fields),) = service.ROWS
    fields = dict(fields or {})
    assert action == ("create" if "created" in call else "do")
    assert (fields.pop("request_api_key", {}).get("id") == "k_1") is is_attributed
    assert fields == ({"a": 1} if "'a'" in call else {})
    assert recorder.writes()["attributed" if is_attributed else "failed"] == 1


@pytest.mark.parametrize("binding", [Binding(record), Binding(saying_so(record))], ids=["plain", "decorated"])
def test_a_reader_reads_one_argument_of_any_call(binding: Binding) -> None:
    """The argument is read by position, by keyword or by default, whatever else is passed."""
    calls = [given("a", 1), given("a", additional_fields=2), given("a"), given("a", 3, 4, x=5)]
    read = binding.reader("additional_fields")
    assert [read(call, "ignored") for call in calls] == [1, 2, None, 3]
    assert [binding.reader("x")(call) for call in calls] == [None, None, None, 5]


def test_defaults_are_those_of_the_parameters() -> None:
    """A parameter without a default and an unknown name have none."""
    binding = Binding(record)
    assert (binding.default("additional_fields"), binding.default("outcome")) == (None, "ok")
    assert binding.default("action") is binding.default("unknown") is Parameter.empty


def test_declared_parameters_are_named() -> None:
    """A function that takes any keyword has every parameter, and declares only those that it names."""
    binding = Binding(record)
    assert [binding.declares(name) for name in ("action", "outcome", "unknown")] == [True, True, False]
    assert "unknown" in binding


def test_arguments_after_a_written_one_stay() -> None:
    """Only the written argument differs."""
    call = given("a", 1, 2, 3)
    Binding(record).write(call, "additional_fields", "new")
    assert call.positional == ("a", "new", 2, 3)


def test_required_argument_can_be_replaced() -> None:
    """A required argument can be replaced if it was given by keyword; otherwise the error names it."""

    def strict(action: str, additional_fields: Any) -> None:
        """Require both."""

    call = given("a", additional_fields=1)
    Binding(strict).write(call, "additional_fields", 2)
    assert call == given("a", additional_fields=2)
    with pytest.raises(UnchangeableError, match="parameter 'additional_fields' cannot be given another value"):
        Binding(strict).write(given("a"), "additional_fields", {})


def test_any_keyword_passes_a_decorator_when_it_passes_the_function() -> None:
    """A decorator takes keywords that it does not name if the function inside takes them."""
    through = Binding(saying_so(record))
    call = given("a")
    through.write(call, "unknown", 1)
    assert call == given("a", unknown=1)
    with pytest.raises(UnchangeableError):
        Binding(saying_so(write)).write(given("a"), "unknown", 1)


def test_decorator_with_own_parameters_is_trusted() -> None:
    """A decorator that declares the function inside and passes only keywords on is trusted for its own code."""

    @functools.wraps(write)
    def wrapper(action: str, **more: Any) -> Any:
        return write(action, **more)

    binding = Binding(wrapper)
    assert "unknown" in binding
    assert not binding.declares("additional_fields")
    assert binding.read(given("a", additional_fields=1), "additional_fields") == 1


def test_further_arguments_of_a_decorated_function() -> None:
    """Further arguments of the inner function are distinguished from those of the decorator."""
    further = given("a", {"x": 1}, 2, 3)
    assert Binding(saying_so(record)).read(further, "additional_fields") == {"x": 1}
    with pytest.raises(UnreadableError):
        Binding(saying_so(record)).read(further, "outcome")
    with pytest.raises(UnreadableError):
        Binding(saying_so(write)).read(further, "additional_fields")


def test_untrusted_decorator_has_only_its_own_arguments() -> None:
    """All arguments by name are then those of the decorator itself, and not even the first positional one is known."""

    def with_session(session: Any, action: str, additional_fields: Any = None) -> None:
        """Get a session from the decorator."""

    binding = Binding(saying_so(with_session))
    for name in ("session", "action", "additional_fields"):
        with pytest.raises(UnreadableError):
            binding.read(given("create"), name)
    assert binding.by_name(given("create")) == {"args": ("create",), "kwargs": {}}


def test_callable_object_with_own_arguments_is_not_trusted() -> None:
    """The wrapped function of a callable object gives the parameters, unless the call has more arguments."""

    class Decorator:
        __wrapped__: Callable[..., Any] = staticmethod(write)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.__wrapped__(*args, **kwargs)

    instance = Decorator()
    binding = Binding(Decorator.__call__, has_self=True, described=instance)
    assert binding.read(given(instance, "a", 1), "additional_fields") == 1
    assert binding.read(given(instance, "a", 1), "self") is instance
    with pytest.raises(UnreadableError):
        binding.read(given(instance, "session", "a", 1), "additional_fields")


def test_wrapper_without_closure_is_trusted() -> None:
    """``functools.wraps`` counts also if the inner function is found by its name and not in a closure."""

    @functools.wraps(write)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return write(*args, **kwargs)

    assert Binding(wrapper).read(given("a", 1), "additional_fields") == 1


def test_wrapper_with_an_empty_cell() -> None:
    """An empty cell of the closure is not an error."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    binding = Binding(wrapper)
    function = passing_on(write)
    assert binding.read(given(additional_fields=1), "additional_fields") == 1
    with pytest.raises(UnreadableError):
        binding.read(given("a", 1), "additional_fields")


def test_invalid_signature_is_skipped() -> None:
    """If ``__signature__`` is not a signature, the function's own code is read."""
    wrapper = passing_on(write)
    wrapper.__signature__ = "(action)"  # type: ignore[attr-defined]
    binding = Binding(wrapper)
    assert binding.read(given("a", x=1), "args") == ("a",)
    assert binding.read(given(x=1), "x") == 1


def test_compiled_function_with_declared_parameters() -> None:
    """The compiled function has exactly the parameters that it declares."""
    binding = Binding(sorted)
    assert binding.read(given([1]), "iterable") == [1]
    assert "unknown" not in binding
