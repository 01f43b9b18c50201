"""The name of a target leads to a function of a class or an object, and selects its calls."""

from __future__ import annotations

import functools
import operator
import sys
import textwrap
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
import wrapt

from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import Observer, observed
from support.environment.modules import Modules

KEY = {"id": "k_1"}


class Descriptor:
    """A decorator for methods that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Any:
        return functools.partial(self, instance)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class Cache:
    """A decorator that caches results, as ``async_lru`` and ``cachetools`` do."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def cache_clear(self) -> None:
        """Forget the results."""


class CacheOfObject:
    """A decorator for methods that returns a cache for each object, as ``methodtools`` does."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Any:
        return Cache(functools.partial(self.function, instance))


class Base:
    id_of = operator.itemgetter("id")
    number = 1

    def check(self, key: str) -> str:
        """Return the arguments."""
        return key

    def anything(*args: Any) -> Any:
        """Take any arguments, or none."""
        return args

    @classmethod
    def of_class(cls, key: str) -> tuple[str, str]:
        """Return which class it is."""
        return cls.__name__, key

    @staticmethod
    def static(key: str) -> str:
        """Return the arguments."""
        return key

    @CacheOfObject
    def cached_by_object(self, key: str) -> str:
        """Return the arguments."""
        return key

    @Descriptor
    def described(self, key: str) -> str:
        """Return the arguments."""
        return key

    @functools.lru_cache  # noqa: B019 - what is tested
    def cached(self, key: str) -> str:
        """Return the arguments."""
        return key

    @property
    def shown(self) -> str:
        """Is no function."""
        return "shown"

    class Inner:
        """Is none either."""


class Checker(Base): ...


class More(Checker): ...


class Other(Base): ...


@Cache
def cached(key: str) -> str:
    """Return the arguments."""
    return key


MODULE = SimpleNamespace(
    Base=Base, Checker=Checker, bound=Checker().check, cached=cached,
    partly_cached=functools.partial(functools.cache(Base.static), "k_1"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "has_self", "receiver"),
    [
        ("Base.check", True, None),
        ("Base.of_class", True, None),
        ("Base.cached", True, None),
        ("Base.static", False, None),
        ("Base.id_of", False, None),
        ("Checker.check", True, Checker),
        ("Checker.of_class", True, Checker),
        ("Checker.cached", True, Checker),
        ("Checker.static", False, None),
        ("bound", True, MODULE.bound.__self__),
    ],
)
def test_first_argument_of_each_kind_of_method(name: str, has_self: bool, receiver: object) -> None:
    """The first argument is the object, the class or absent, and only some objects if the method is inherited."""
    found = resolve(MODULE, name)
    assert (found.has_self, found.binding().has_self) == (has_self, has_self)
    assert found.receiver is receiver


def test_inherited_method_is_selected_for_the_class_and_its_subclasses() -> None:
    """The code also serves other classes, whose calls are skipped."""
    with observed(MODULE, "Checker.check") as observer:
        callers = [Base(), Checker(), More(), Other()]
        assert [one.check("k_1") for one in callers] == ["k_1"] * 4
        assert Base.check(callers[2], "k_2") == "k_2"
    assert [call.positional for call in observer.calls] == [
        (callers[1], "k_1"),
        (callers[2], "k_1"),
        (callers[2], "k_2"),
    ]


def test_inherited_class_method_is_selected_for_the_class_and_its_subclasses() -> None:
    """The class method is selected on the class and on its objects."""
    with observed(MODULE, "Checker.of_class") as observer:
        assert Base.of_class("k_1") == ("Base", "k_1")
        assert Other().of_class("k_1") == ("Other", "k_1")
        assert Checker.of_class("k_1") == ("Checker", "k_1")
        assert More().of_class("k_1") == ("More", "k_1")
    assert [call.positional for call in observer.calls] == [(Checker, "k_1"), (More, "k_1")]


def test_bound_method_is_selected_for_its_object() -> None:
    """Calls on another object of the class are skipped."""
    with observed(MODULE, "bound") as observer:
        checks = [MODULE.bound, Checker().check, MODULE.bound.__self__.check]
        assert [check(key) for check, key in zip(checks, "abc", strict=True)] == ["a", "b", "c"]
    assert [call.positional[1:] for call in observer.calls] == [("a",), ("c",)]


@pytest.mark.parametrize("name", ["Checker.anything", "bound_anything"])
def test_call_without_arguments_is_not_selected(name: str) -> None:
    """Such a call of an inherited method passes through."""
    checker = Checker()
    with observed(SimpleNamespace(Checker=Checker, bound_anything=checker.anything), name) as observer:
        assert Base.anything() == ()
        assert checker.anything("k_1") == (checker, "k_1")
    assert [call.positional for call in observer.calls] == [(checker, "k_1")]


@pytest.mark.parametrize("name", ["static", "of_class"])
def test_method_captured_from_its_class_is_reached(name: str) -> None:
    """The code inside of a static or class method is exchanged, so no reference is lost."""
    taken = getattr(Base, name)
    with observed(MODULE, f"Base.{name}") as observer:
        taken("k_1")
    assert [call.positional[-1] for call in observer.calls] == ["k_1"]


def test_callable_without_descriptor_gets_only_its_arguments() -> None:
    """An object of C that is called in a class does not get the instance as an argument."""
    with observed(MODULE, "Base.id_of") as observer:
        assert Base().id_of(KEY) == "k_1"
    assert [call.positional for call in observer.calls] == [(KEY,)]


def test_each_callable_of_a_descriptor_is_observed() -> None:
    """The owner of the method is the first argument, also of a function that the class returns."""
    found = resolve(MODULE, "Base.described")
    assert (found.has_self, found.receiver, found.returns_callables) == (True, None, True)
    base, raw = Base(), vars(Base)["described"]
    with observed(MODULE, "Base.described") as observer:
        assert base.described("k_1") == "k_1"
        assert base.described.func is raw
        handed_out = base.described
    assert [call.positional for call in observer.calls] == [(base, "k_1")]
    assert vars(Base)["described"] is raw
    assert handed_out("k_1") == "k_1"
    assert len(observer.calls) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shown", "'shown' is of type property, not a function"),
        ("number", "'number' is of type int, not a function"),
        ("Inner", "'Inner' is a class, not a function; a target may be its method, as in Inner.method"),
        ("missing", "class 'Checker' has no 'missing'"),
    ],
)
def test_attribute_of_a_class_that_is_no_function_is_reported(name: str, reason: str) -> None:
    """The reason has the name and the type of the object."""
    with pytest.raises(WrongTargetError) as caught:
        resolve(MODULE, f"Checker.{name}")
    assert str(caught.value) == reason


@pytest.mark.parametrize("name", ["missing", "Missing.check", "Missing.__str__", "missing.deep.er"])
def test_missing_name_of_a_module_is_reported(name: str) -> None:
    """The reason has the name of the module if it has one."""
    for module, called in ((functools, "functools"), (MODULE, "")):
        with pytest.raises(WrongTargetError) as caught:
            resolve(module, name)
        assert str(caught.value) == f"module {called!r} has no {name!r}"


def test_attribute_of_a_module_that_is_no_function_is_reported() -> None:
    """The reason is the same as in a class."""
    with pytest.raises(WrongTargetError, match=r"^'number' is of type int, not a function$"):
        resolve(SimpleNamespace(number=1), "number")


class Shouting(str):
    """An application's class with methods of Python's own."""

    __slots__ = ()
    upper = str.upper
    make = vars(dict)["fromkeys"]
    same = str.__eq__
    length = staticmethod(len)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shouting.upper", "it is str.upper, a method of a compiled class, which cannot be patched"),
        ("Shouting.make", "it is dict.fromkeys, a method of a compiled class, which cannot be patched"),
        ("Shouting.same", "it is str.__eq__, a method of a compiled class, which cannot be patched"),
        ("Shouting.__new__", "it is str.__new__, a method of a compiled class, which cannot be patched"),
        ("Plain.__new__", "it is object.__new__, a method of a compiled class, which cannot be patched"),
        ("Shouting.length", "it is Python's own builtins.len; name the function of the application that calls it"),
        ("equal", "it is Python's own _operator.eq; name the function of the application that calls it"),
    ],
)
def test_function_that_all_of_python_uses_is_refused(name: str, reason: str) -> None:
    """Everybody would call the replacement, and a compiled class must not be changed."""
    module = SimpleNamespace(Shouting=Shouting, Plain=Base, equal=operator.eq)
    with pytest.raises(WrongTargetError) as caught:
        resolve(module, name)
    assert str(caught.value) == reason


def test_compiled_method_belongs_to_its_object() -> None:
    """The method belongs to its object."""
    module = SimpleNamespace(is_known={"k_1"}.__contains__)
    with observed(module, "is_known") as observer:
        assert module.is_known("k_1")
    assert len(observer.calls) == 1


def test_wrappers_of_others_stay() -> None:
    """The inner function is found in a module, in a class and in a nested class."""

    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        calls.append(wrapped)
        return wrapped(*args, **kwargs)

    class Inside:
        @functools.partial(wrapt.FunctionWrapper, wrapper=around)
        def check(self, key: str) -> str:
            return key

        static = staticmethod(wrapt.FunctionWrapper(lambda key: key, around))

    calls: list[Any] = []
    module = SimpleNamespace(
        f=wrapt.FunctionWrapper(wrapt.FunctionWrapper(lambda key: key, around), around),
        Inside=wrapt.ObjectProxy(Inside),
    )
    put_on = [module.f, vars(Inside)["check"], vars(Inside)["static"]]
    with (
        observed(module, "f") as functions,
        observed(module, "Inside.check") as methods,
        observed(module, "Inside.static") as statics,
    ):
        assert [module.f, vars(Inside)["check"], vars(Inside)["static"]] == put_on
        inside: Any = Inside
        assert [module.f("a"), inside().check("b"), inside.static("c")] == ["a", "b", "c"]
    assert [call.positional[-1] for call in (*functions.calls, *methods.calls, *statics.calls)] == ["a", "b", "c"]
    assert len(calls) == 4


def test_a_second_target_on_an_object_finds_its_parameters_where_they_are() -> None:
    """Arguments that a partial already has count, even if another target has replaced it."""

    def implementation(action: str, additional_fields: object = None) -> tuple[str, object]:
        return action, additional_fields

    module = SimpleNamespace(created=functools.partial(implementation, "create"))
    first = resolve(module, "created").binding()
    with observed(module, "created"), observed(module, "created") as observer:
        again = resolve(module, "created").binding()
        assert module.created(KEY) == ("create", KEY)
    (call,) = observer.calls
    for binding in (first, again):
        assert [binding.read(call, name) for name in ("action", "additional_fields")] == ["create", KEY]


class Keeping:
    """A decorator for methods that keeps the callable that it hands out in the object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        function = self.__wrapped__
        if instance is None:
            return function
        return instance.__dict__.setdefault(self.name, functools.partial(function, instance))


class Store:
    """A class with methods under descriptors that hand out callables of their own."""

    @Keeping
    def kept(self, key: str, more: int = 1) -> tuple[str, int]:
        """Return the arguments."""
        return key, more

    @functools.singledispatchmethod
    def dispatched(self, key: str, more: int = 1) -> tuple[str, int]:
        """Return the arguments."""
        return key, more

    def _general(self, more: int, key: str) -> tuple[str, int]:
        return key, more

    partly = functools.partialmethod(_general, 1)


@pytest.mark.parametrize("name", ["kept", "dispatched", "partly"])
def test_callable_that_a_descriptor_returns_is_observed(name: str) -> None:
    """Each callable is observed, even if the object keeps it, and on the class too."""
    used, raw = Store(), vars(Store)[name]
    getattr(used, name)("early")
    module = SimpleNamespace(Store=Store)
    patch_limits = "methods taken from an object before instrument() are not recorded"
    observer = Observer()
    patch = observer.put_on(module, f"Store.{name}")
    store = Store()
    calls = [getattr(store, name), getattr(store, name), functools.partial(getattr(Store, name), store)]
    assert [call("k_1") for call in calls] == [("k_1", 1)] * 3
    assert [call.positional for call in observer.calls] == [(store, "k_1")] * 3
    assert patch.limits[-1] == patch_limits
    assert patch.unreached == (name == "kept")
    assert "self" in resolve(module, f"Store.{name}").binding() or name == "partly"
    patch.undo()
    assert vars(Store)[name] is raw
    assert getattr(store, name)("k_2") == ("k_2", 1)
    assert len(observer.calls) == 3


OF_DESCRIPTORS = """
import functools, types

class Returning:
    \"\"\"Returns a callable for the object, or for the class.\"\"\"
    def __init__(self, function): self.function = function
    def __get__(self, instance, owner=None):
        return self.returned(self.function, owner if instance is None else instance)

class PartOf(Returning):
    returned = staticmethod(functools.partial)

class PartWithKeyword(Returning):
    returned = staticmethod(lambda function, used: functools.partial(function, used, more=1))

class Method(Returning):
    returned = staticmethod(types.MethodType)

class Plain(Returning):
    @staticmethod
    def returned(function, used):
        return lambda action, extra=None: function(used, action, extra)

class AnyArguments(Returning):
    @staticmethod
    def returned(function, used):
        return lambda *args, **kwargs: function(used, *args, **kwargs)

class Itself(Returning):
    @staticmethod
    def returned(function, used):
        return function

class Computed(Returning):
    @staticmethod
    def returned(function, used):
        return function(used)

class Log:
    @PartOf
    def part(self, action, extra=None): return extra
    @PartWithKeyword
    def part_with_keyword(self, action, extra=None, more=0): return extra
    @Method
    def method(self, action, extra=None): return extra
    @Plain
    def plain(self, action, extra=None): return extra
    @AnyArguments
    def any_arguments(self, action, extra=None): return extra
    @Itself
    def itself(action, extra=None): return extra
    @Computed
    def computed(self): return functools.partial(self.general, "more")
    @Computed
    def computed_method(self): return self.other
    @classmethod
    def general(cls, more, action, extra=None): return extra
    @classmethod
    def other(cls, action, extra=None): return extra
    partly = functools.partialmethod(lambda self, more, action, extra=None: extra, "more")

log = Log()
"""

CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "positional": (("create", {}), {}),
    "keywords": ((), {"action": "create", "extra": {}}),
    "omitted": (("create",), {}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("on_class", [False, True], ids=["object", "class"])
@pytest.mark.parametrize(
    "name",
    [
        "part", "part_with_keyword", "method", "plain", "any_arguments", "itself", "computed", "computed_method",
        "partly",
    ],
)  # fmt: skip
def test_arguments_of_a_callable_that_a_descriptor_returns(
    modules: Modules, name: str, on_class: bool, call: str
) -> None:
    """They are read and replaced by the names of its parameters, and the object is ``self``."""
    module = modules.load(OF_DESCRIPTORS)
    binding = resolve(module, f"Log.{name}").binding()
    with observed(module, f"Log.{name}") as observer:
        owner = module.Log if on_class else module.Log()
        args, kwargs = CALLS[call]
        if name == "partly" and on_class:
            args = (owner, *args)
        assert getattr(owner, name)(*args, **kwargs) == ({} if call != "omitted" else None)
    (seen,) = observer.calls
    assert binding.read(seen, "action") == "create"
    assert seen.positional[0] is owner
    binding.write(seen, "extra", {"a": 1})
    assert binding.read(seen, "extra") == {"a": 1}
    assert getattr(owner, name)(*seen.positional[name != "partly" or not on_class :], **seen.keywords) == {"a": 1}


@pytest.mark.parametrize("name", ["plain", "partly", "computed", "made", "maker.check"])
def test_attribute_that_is_new_at_each_use_is_wrong(modules: Modules, name: str) -> None:
    """The object that is found is never called, so the target must name the method of the class."""
    source = """
    class Making:
        def __getattr__(self, name):
            if name == "maker":
                return Making()
            if name not in ("made", "check"):
                raise AttributeError(name)
            return lambda action, extra=None: extra

    making = Making()
    """
    module = modules.load(OF_DESCRIPTORS + textwrap.dedent(source))
    owner = "log" if hasattr(module.Log, name) else "making"
    with pytest.raises(WrongTargetError, match="is a new object at each use; name the method of its class"):
        resolve(module, f"{owner}.{name}")


@pytest.mark.parametrize("name", ["check", "of_class", "static", "id_of", "own"])
def test_attribute_that_is_the_same_at_each_use(name: str) -> None:
    """Methods and functions of an object are found."""
    base = Base()
    base.own = {"k_1": 1}.get  # type: ignore[attr-defined]
    argument: Any = {"id": "k_1"} if name == "id_of" else "k_1"
    with observed(SimpleNamespace(base=base), f"base.{name}") as observer:
        getattr(base, name)(argument)
    assert len(observer.calls) == 1


@pytest.mark.parametrize(
    ("value", "name", "qualified_name"),
    [
        ({}, "get", "dict.get"),
        ([], "append", "list.append"),
        (deque(), "append", "deque.append"),
        (SimpleQueue(), "put", "SimpleQueue.put"),
        (Base(), "__str__", "object.__str__"),
    ],
)
def test_builtin_method_of_an_object_is_wrong(value: Any, name: str, qualified_name: str) -> None:
    """Python creates the method object at each use, and its class cannot be changed."""
    with pytest.raises(WrongTargetError) as caught:
        resolve(SimpleNamespace(value=value), f"value.{name}")
    assert str(caught.value) == f"it is {qualified_name}, a method of a compiled class, which cannot be patched"


def test_cached_method_of_an_object_is_named_in_its_class() -> None:
    """Python creates a method object for the cache at each use, and the cache is in the class."""
    with pytest.raises(WrongTargetError, match="is a new object at each use; name the method of its class"):
        resolve(SimpleNamespace(base=Base()), "base.cached")


@pytest.mark.parametrize("name", ["check", "cached"])
def test_method_of_a_metaclass_is_found_through_its_class(name: str) -> None:
    """Only the calls on this class and its subclasses are observed."""

    class Meta(type):
        def check(cls, key: str) -> str:
            return key

        @functools.lru_cache  # noqa: B019 - what is tested
        def cached(cls, key: str) -> str:
            return key

    class Verifier(metaclass=Meta): ...

    class Special(Verifier): ...

    class Unrelated(metaclass=Meta): ...

    with observed(SimpleNamespace(Verifier=Verifier), f"Verifier.{name}") as observer:
        for cls in (Verifier, Special, Unrelated):
            assert getattr(cls, name)("k_1") == "k_1"
    assert [call.positional[0] for call in observer.calls] == [Verifier, Special]


def test_method_of_type_is_no_method_of_a_class() -> None:
    """Every class has it, so a target that names it is misspelt."""
    with pytest.raises(WrongTargetError, match=r"^class 'Base' has no '__call__'"):
        resolve(MODULE, "Base.__call__")


ANNOTATED = """
import functools
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from nowhere import Session
def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs): return function(*args, **kwargs)
    return wrapper
def plain(raw, session: Session = None) -> Session: return raw
cached = functools.lru_cache(plain)
decorated = decorate(plain)
partly = functools.partial(plain, session=None)
class Checker:
    def __call__(self, raw, session: Session = None): return raw
checker = Checker()
def make(session: Session):
    def made(raw: Session, session: Session = None): return raw
    return made
made = make(None)
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated late since Python 3.14")
@pytest.mark.parametrize("name", ["plain", "cached", "decorated", "partly", "checker", "make.<locals>.made"])
def test_annotations_are_never_evaluated(modules: Modules, name: str) -> None:
    """Names in annotations may exist only for type checkers."""
    module = modules.load(ANNOTATED)
    assert {"raw", "session"} <= set(resolve(module, name).binding().names)
    with observed(module, name) as observer:
        assert getattr(module, name.rpartition(".")[2])("k_1") == "k_1"
    assert len(observer.calls) == 1


@pytest.mark.parametrize(
    ("name", "is_memoized"),
    [
        ("Base.cached", True),
        ("Base.cached_by_object", True),
        ("cached", True),
        ("partly_cached", True),
        ("Base.check", False),
        ("Base.described", False),
        ("Base.id_of", False),
        ("bound", False),
    ],
)
def test_a_memoized_function_is_known(name: str, is_memoized: bool) -> None:
    """A memoized function is recognized, because its arguments must stay hashable."""
    found = resolve(MODULE, name)
    assert found.is_memoized is is_memoized
    with observed(MODULE, name):
        assert resolve(MODULE, name).is_memoized is is_memoized
