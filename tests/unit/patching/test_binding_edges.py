"""Arguments at the edges: further ones, defaults, wrappers with parameters of their own, what is not there yet."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import pytest

from otel_keyaudit.errors import UnchangeableError, UnreadableError
from otel_keyaudit.patching.arguments import Binding
from support.arguments import given, passing_on, record, saying_so, write


@pytest.mark.parametrize("binding", [Binding(record), Binding(saying_so(record))], ids=["plain", "decorated"])
def test_a_reader_reads_one_argument_of_any_call(binding: Binding) -> None:
    """Whether it was given by position, by keyword, or left out; whatever else the reader is given."""
    calls = [given("a", 1), given("a", additional_fields=2), given("a"), given("a", 3, 4, x=5)]
    read = binding.reader("additional_fields")
    assert [read(call, "ignored") for call in calls] == [1, 2, None, 3]
    assert [binding.reader("x")(call) for call in calls] == [None, None, None, 5]


def test_defaults_are_those_of_the_parameters() -> None:
    """A parameter without one, and a name that is none, have none."""
    binding = Binding(record)
    assert (binding.default("additional_fields"), binding.default("outcome")) == (None, "ok")
    assert binding.default("action") is binding.default("unknown") is Parameter.empty


def test_what_is_declared_is_named() -> None:
    """A function that takes any keyword has every parameter, and declares those it names."""
    binding = Binding(record)
    assert [binding.declares(name) for name in ("action", "outcome", "unknown")] == [True, True, False]
    assert "unknown" in binding


def test_what_follows_a_written_argument_stays() -> None:
    """Only the one argument is another."""
    call = given("a", 1, 2, 3)
    Binding(record).write(call, "additional_fields", "new")
    assert call.positional == ("a", "new", 2, 3)


def test_a_required_argument_may_be_exchanged() -> None:
    """It was given, by keyword; where it was left out the error says which one it is."""

    def strict(action: str, additional_fields: Any) -> None:
        """Require both."""

    call = given("a", additional_fields=1)
    Binding(strict).write(call, "additional_fields", 2)
    assert call == given("a", additional_fields=2)
    with pytest.raises(UnchangeableError, match="parameter 'additional_fields' cannot be given another value"):
        Binding(strict).write(given("a"), "additional_fields", {})


def test_any_keyword_passes_a_decorator_when_it_passes_the_function() -> None:
    """A decorator takes what the function inside takes: also keywords that it does not name, if that one does."""
    through = Binding(saying_so(record))
    call = given("a")
    through.write(call, "unknown", 1)
    assert call == given("a", unknown=1)
    with pytest.raises(UnchangeableError):
        Binding(saying_so(write)).write(given("a"), "unknown", 1)


def test_a_decorator_with_parameters_of_its_own_takes_what_it_says() -> None:
    """One that says what it wraps, and passes on keywords only, is believed as far as its own code goes."""

    @functools.wraps(write)
    def wrapper(action: str, **more: Any) -> Any:
        return write(action, **more)

    binding = Binding(wrapper)
    assert "unknown" in binding
    assert not binding.declares("additional_fields")
    assert binding.read(given("a", additional_fields=1), "additional_fields") == 1


def test_further_arguments_of_what_is_decorated() -> None:
    """Those that it takes are told from those that only the decorator can want."""
    further = given("a", {"x": 1}, 2, 3)
    assert Binding(saying_so(record)).read(further, "additional_fields") == {"x": 1}
    with pytest.raises(UnreadableError):
        Binding(saying_so(record)).read(further, "outcome")
    with pytest.raises(UnreadableError):
        Binding(saying_so(write)).read(further, "additional_fields")


def test_a_decorator_that_is_not_believed_tells_no_argument() -> None:
    """Not even the first one; all arguments by name are then those that it has itself."""

    def with_session(session: Any, action: str, additional_fields: Any = None) -> None:
        """Get a session from the decorator."""

    binding = Binding(saying_so(with_session))
    for name in ("session", "action", "additional_fields"):
        with pytest.raises(UnreadableError):
            binding.read(given("create"), name)
    assert binding.by_name(given("create")) == {"args": ("create",), "kwargs": {}}


def test_a_callable_object_that_wants_arguments_of_its_own_is_not_believed() -> None:
    """What an object wraps tells its parameters, unless there are more arguments than that one takes."""

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


def test_a_wrapper_that_holds_nothing_is_believed_for_what_it_says() -> None:
    """``functools.wraps`` counts also where the function inside is found by its name, not in a closure."""

    @functools.wraps(write)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return write(*args, **kwargs)

    assert Binding(wrapper).read(given("a", 1), "additional_fields") == 1


def test_a_wrapper_whose_function_is_not_there_yet() -> None:
    """An empty cell of its closure tells nothing, and is no error."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    binding = Binding(wrapper)
    function = passing_on(write)
    assert binding.read(given(additional_fields=1), "additional_fields") == 1
    with pytest.raises(UnreadableError):
        binding.read(given("a", 1), "additional_fields")


def test_a_signature_that_is_none_is_passed_over() -> None:
    """Whatever stands in ``__signature__``, the function's own code can be read."""
    wrapper = passing_on(write)
    wrapper.__signature__ = "(action)"  # type: ignore[attr-defined]
    binding = Binding(wrapper)
    assert binding.read(given("a", x=1), "args") == ("a",)
    assert binding.read(given(x=1), "x") == 1


def test_a_compiled_function_that_tells_its_parameters() -> None:
    """It has those and no others."""
    binding = Binding(sorted)
    assert binding.read(given([1]), "iterable") == [1]
    assert "unknown" not in binding
