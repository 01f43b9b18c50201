"""A call that authenticates: every outcome, and its effect on request, span and counters."""

import asyncio
import gc
import importlib
import weakref
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from otel_keyaudit import ApiKey, AuthTarget, current_key, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule

APP = """
import asyncio
import functools
import gc
import importlib
import weakref

class Key:
    def __init__(self, id, active=True, kind="api"):
        self.id = id
        self.active = active
        self.kind = kind
        self.scopes = ["a:read"]

class Refused(Exception):
    def __init__(self, key=None):
        super().__init__("secret text")
        self.key = key

def verify(value, source="header"):
    return answer(value)

def answer(value):
    if isinstance(value, BaseException):
        raise value
    return value

async def averify(value):
    await asyncio.sleep(0)
    return answer(value)

def yverify(value):
    yield answer(value)

def fverify(value, is_done, inside=None):
    if inside is not None:
        answer_inside(inside)
    future = asyncio.get_running_loop().create_future()
    failed = isinstance(value, Exception)
    conclude = functools.partial(future.set_exception if failed else future.set_result, value)
    conclude() if is_done else asyncio.get_running_loop().call_soon(conclude)
    return future

def answer_inside(value):
    return value

async def ayverify(value):
    yield answer(value)

def valid_function(call):
    return call.result is not None and call.result.active
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that authenticates."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any, *targets: str, **options: Any) -> None:
    """Instrument authentication targets of the application."""
    recorder.instrument(auth_targets=[f"{app.__name__}:{target}" for target in targets], **options)


def outcomes(recorder: Recorder) -> dict[str, int | float]:
    """Return how many authentications were counted as accepted and as denied."""
    return {
        outcome: recorder.count("keyaudit.authentications", {"keyaudit.outcome": outcome})
        for outcome in ("accepted", "denied")
    }


def test_an_object_is_accepted(recorder: Recorder, app: Any) -> None:
    """A key object is an accepted authentication, and the request's key until the request ends."""
    instrument(recorder, app, "verify")
    with recorder.request():
        app.verify(app.Key("k_1"))
        key = current_key()
    assert key is not None
    assert key.id == "k_1"
    assert current_key() is None
    assert recorder.server_span()["keyaudit.outcome"] == "accepted"
    assert recorder.counters() == {("keyaudit.authentications", frozenset({("keyaudit.outcome", "accepted")})): 1}


def test_none_is_anonymous(recorder: Recorder, app: Any) -> None:
    """A key object of ``None`` is not an outcome."""
    instrument(recorder, app, "verify")
    with recorder.request():
        app.verify(None)
        assert current_key() is None
    assert recorder.server_span() == {}
    assert outcomes(recorder) == {"accepted": 0, "denied": 0}


def test_none_leaves_an_earlier_outcome(recorder: Recorder, app: Any) -> None:
    """An anonymous authentication after an accepted one changes nothing."""
    instrument(recorder, app, "verify")
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.verify(None)
        assert current_key() is not None
    assert recorder.server_span()["keyaudit.outcome"] == "accepted"


def test_false_is_denied(recorder: Recorder, app: Any) -> None:
    """A result of False is a denial with the reason false and no error type."""
    instrument(recorder, app, "verify")
    with recorder.request():
        assert app.verify(False) is False
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "false"}
    assert recorder.counters() == {("keyaudit.authentications", frozenset({("keyaudit.outcome", "denied")})): 1}


def test_a_key_object_of_false_is_denied(recorder: Recorder, app: Any) -> None:
    """Where the key object is elsewhere, False in its place is a denial as well."""
    instrument(recorder, app, "verify?key=return.key")
    with recorder.request():
        app.verify({"key": False})
    assert recorder.server_span()["keyaudit.denied.reason"] == "false"


def test_false_beside_a_key_object_names_no_key(recorder: Recorder, app: Any) -> None:
    """A key beside a result of ``False`` was not verified, so its id is not recorded."""
    instrument(recorder, app, "verify?key=args.value.key&valid=return.ok")
    with recorder.request():
        app.verify(False)
    assert "keyaudit.denied.key.id" not in recorder.server_span()


def test_an_exception_is_denied(recorder: Recorder, app: Any) -> None:
    """The reason is the class of the exception, and the caller gets the same exception."""
    instrument(recorder, app, "verify")
    error = app.Refused()
    with recorder.request(), pytest.raises(app.Refused) as caught:
        app.verify(error)
    assert caught.value is error
    name = f"{app.__name__}.Refused"
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": name}
    point = frozenset({("keyaudit.outcome", "denied"), ("error.type", name)})
    assert recorder.counters() == {("keyaudit.authentications", point): 1}


def test_a_builtin_exception_has_no_module(recorder: Recorder, app: Any) -> None:
    """The reason of a builtin exception is its bare name."""
    instrument(recorder, app, "verify")
    with recorder.request(), pytest.raises(PermissionError):
        app.verify(PermissionError())
    assert recorder.server_span()["keyaudit.denied.reason"] == "PermissionError"


@pytest.mark.parametrize("active", [False, 0, None, ""])
def test_a_key_that_is_not_valid_is_denied_with_its_id(recorder: Recorder, app: Any, active: object) -> None:
    """A ``valid`` that is not true denies; the id is recorded, but never as the request's key."""
    instrument(recorder, app, "verify?valid=active")
    with recorder.request():
        app.verify(app.Key("k_1", active))
        assert current_key() is None
    assert recorder.server_span() == {
        "keyaudit.outcome": "denied",
        "keyaudit.denied.reason": "valid",
        "keyaudit.denied.key.id": "k_1",
    }


def test_an_unreadable_valid_is_denied(recorder: Recorder, app: Any) -> None:
    """An unreadable ``valid`` denies and is counted."""
    instrument(recorder, app, "verify?valid=enabled")
    with recorder.request():
        app.verify(app.Key("k_1"))
    assert recorder.server_span()["keyaudit.denied.reason"] == "valid"
    assert [stage for stage, _ in recorder.errors()] == ["authentication"]


def test_none_with_a_valid_of_the_result_is_denied(recorder: Recorder, app: Any) -> None:
    """With ``valid=return`` a result of ``None`` is a denial."""
    instrument(recorder, app, "verify?valid=return")
    with recorder.request():
        app.verify(None)
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}


def test_none_with_a_valid_of_the_key_is_anonymous(recorder: Recorder, app: Any) -> None:
    """A ``valid`` of the key object decides nothing if there is no key object."""
    instrument(recorder, app, "verify?valid=active")
    with recorder.request():
        app.verify(None)
    assert recorder.server_span() == {}


def test_an_inactive_answer_without_a_key_object_is_denied(recorder: Recorder, app: Any) -> None:
    """An introspection whose answer has no claims but says that the token is inactive denies."""
    instrument(recorder, app, "verify?key=return.claims&id=jti&valid=return.active")
    with recorder.request():
        app.verify({"active": False})
        assert current_key() is None
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}


@pytest.mark.parametrize("answer", [{"active": False}, {"active": False, "jti": None}])
def test_a_refused_credential_of_no_key_is_no_failure(recorder: Recorder, app: Any, answer: dict[str, Any]) -> None:
    """The answer about an unknown credential names no key, so no id is missing; an accepted key needs one."""
    instrument(recorder, app, "verify?id=jti&valid=active")
    with recorder.request():
        app.verify(answer)
    assert recorder.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}
    assert recorder.degraded() == {}

    with recorder.request():
        app.verify({**answer, "active": True})
    assert recorder.degraded() == {"authentication": 1}


def test_other_unreadable_fields_of_a_refused_key_are_counted(recorder: Recorder, app: Any) -> None:
    """A field that the target names and the refused key lacks is counted."""
    instrument(recorder, app, "verify?name=label&valid=active")
    with recorder.request():
        app.verify(app.Key("k_1", active=False))
    assert recorder.server_span()["keyaudit.denied.key.id"] == "k_1"
    assert recorder.degraded() == {"authentication": 1}


def test_a_valid_function_gets_the_call(recorder: Recorder, app: Any) -> None:
    """A function of the user decides whether a key is valid."""
    instrument(recorder, app, f"verify?valid={app.__name__}:valid_function")
    with recorder.request():
        app.verify(app.Key("k_1"))
        assert current_key() is not None
        app.verify(app.Key("k_2", active=False))
    assert outcomes(recorder) == {"accepted": 1, "denied": 1}
    assert recorder.server_span()["keyaudit.denied.key.id"] == "k_2"


def test_an_exception_may_lead_to_the_key(recorder: Recorder, app: Any) -> None:
    """If ``key`` leads through the exception, the denial has the id of its key."""
    instrument(recorder, app, "verify?key=return ?? exc.key")
    with recorder.request():
        with pytest.raises(app.Refused):
            app.verify(app.Refused(app.Key("k_1")))
        assert current_key() is None
    assert recorder.server_span()["keyaudit.denied.key.id"] == "k_1"


def test_an_exception_that_leads_to_no_key_is_no_fault(recorder: Recorder, app: Any) -> None:
    """An exception without a key is not counted as degraded."""
    instrument(recorder, app, "verify?key=return ?? exc.key")
    with recorder.request(), pytest.raises(KeyError):
        app.verify(KeyError("x"))
    assert recorder.errors() == {}
    assert "keyaudit.denied.key.id" not in recorder.server_span()


def test_a_key_without_a_readable_id_is_no_key(recorder: Recorder, app: Any) -> None:
    """The authentication is accepted and counted, and the request has no key."""
    instrument(recorder, app, "verify?id=number")
    with recorder.request():
        app.verify(app.Key("k_1"))
        assert current_key() is None
    assert recorder.server_span() == {"keyaudit.outcome": "accepted"}
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


def test_a_second_key_beside_one_without_an_id_is_ambiguous(recorder: Recorder, app: Any) -> None:
    """A key without an id and a key with one make the request ambiguous."""
    instrument(recorder, app, "verify")
    with recorder.request():
        app.verify(object.__new__(app.Key))
        app.verify(app.Key("k_1"))
        assert current_key() is None
    shown = recorder.server_span()
    assert shown["keyaudit.ambiguous"] is True
    assert shown["keyaudit.key.ids"] == ("k_1",)


@pytest.mark.parametrize("call", ["averify", "yverify", "ayverify"])
def test_every_kind_of_function_authenticates(recorder: Recorder, app: Any, call: str) -> None:
    """Coroutines, generators and asynchronous generators authenticate with their result or their yielded value."""
    instrument(recorder, app, call)

    async def use(value: object) -> None:
        made = getattr(app, call)(value)
        if call == "averify":
            assert await made is value
        elif call == "yverify":
            assert list(made) == [value]
        else:
            assert [one async for one in made] == [value]

    with recorder.request():
        asyncio.run(use(app.Key("k_1")))
        key = current_key()
    assert key is not None
    assert key.id == "k_1"


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("outcome", [False, PermissionError()], ids=["false", "error"])
def test_denial_by_a_future_withdraws_the_key(recorder: Recorder, app: Any, is_done: bool, outcome: Any) -> None:
    """A key that was accepted inside is withdrawn, also if the Future is done when it is returned."""
    instrument(recorder, app, "fverify", "answer_inside")

    async def use() -> None:
        with suppress(PermissionError):
            await app.fverify(outcome, is_done, app.Key("k_1"))

    with recorder.request():
        asyncio.run(use())
        assert current_key() is None
    assert recorder.server_span()["keyaudit.denied.key.id"] == "k_1"


def test_numbers_of_two_tables_by_a_future_are_two_keys(recorder: Recorder, app: Any) -> None:
    """The call that the Future ends is not inside itself, so its key needs the same class to be the same."""
    instrument(recorder, app, "fverify", "verify")

    async def use() -> None:
        await app.fverify({"id": "7"}, is_done=False)

    with recorder.request():
        app.verify(app.Key("7"))
        asyncio.run(use())
    assert recorder.server_span()["keyaudit.ambiguous"] is True


def test_an_excluded_call_is_no_authentication(recorder: Recorder, app: Any) -> None:
    """A session token that passes through the same function is skipped."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=kind|is:api"])
    with recorder.request():
        app.verify(app.Key("s_1", kind="session"))
        assert current_key() is None
        app.verify(app.Key("k_1"))
        assert current_key() is not None
    assert recorder.server_span()["keyaudit.key.id"] == "k_1"
    assert recorder.count("keyaudit.authentications") == 1


def test_a_when_that_cannot_be_read_passes_through_and_is_counted(recorder: Recorder, app: Any) -> None:
    """The call is skipped and counted once as degraded."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=kinds"])
    with recorder.request():
        app.verify(app.Key("k_1"))
        assert current_key() is None
    assert recorder.server_span() == {}
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}


@pytest.mark.parametrize("fields", ["when=return.kind|is:api", "when=kind|is:api", "key=return.inner&when=kind|is:api"])
def test_when_of_the_result_is_true_after_an_exception(recorder: Recorder, app: Any, fields: str) -> None:
    """A ``when`` that needs the result counts as true after an exception, so the denial is counted."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?{fields}"])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert outcomes(recorder)["denied"] == 1


def test_when_of_the_arguments_excludes_a_call_that_raises(recorder: Recorder, app: Any) -> None:
    """A ``when`` of the arguments also decides about a call that raises."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify?when=args.source|is:header"])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source="cookie")
    assert recorder.server_span() == {}


@pytest.mark.parametrize(("source", "expected"), [("header", 1), ("cookie", 0)])
def test_when_function_can_decide_by_the_arguments(recorder: Recorder, app: Any, source: str, expected: int) -> None:
    """A function of the user also decides about a call that raises."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.args["source"] == "header")
    recorder.instrument(auth_targets=[target])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError(), source=source)
    assert outcomes(recorder)["denied"] == expected


def test_a_when_function_that_needs_the_result_counts_as_truthy(recorder: Recorder, app: Any) -> None:
    """A function that fails without a result counts as true, which is not a failure."""
    target = AuthTarget(f"{app.__name__}:verify", when=lambda call: call.result.kind == "api")
    recorder.instrument(auth_targets=[target])
    with recorder.request(), pytest.raises(LookupError):
        app.verify(LookupError())
    assert outcomes(recorder)["denied"] == 1
    assert recorder.errors() == {}


def test_the_key_is_found_once(recorder: Recorder, app: Any) -> None:
    """The function that returns the key is called once, although ``when`` and the fields need the key."""
    calls = []

    def find(call: Any) -> object:
        calls.append(call)
        return call.result

    target = AuthTarget(
        f"{app.__name__}:verify",
        key=find,
        when="kind|is:api",
        valid="kind",
    )
    recorder.instrument(auth_targets=[target])
    with recorder.request():
        app.verify(app.Key("k_1"))
    assert len(calls) == 1


SERVICE = """
class Key:
    id = "k_1"

class Refused(Exception):
    @property
    def key(self):
        raise KeyError("secret")

class Undecided:
    def __bool__(self):
        raise ValueError("secret")

WHEN = True

def verify(user, result):
    if isinstance(result, Exception):
        raise result
    return result

def when(call):
    return WHEN
"""
KEY = "keyaudit.key.id"
OUTCOME = "keyaudit.outcome"


@pytest.fixture
def service(load_module: LoadModule) -> Any:
    """An application whose function returns whether the user is let in, and whose argument is the key."""
    return load_module(SERVICE)


def shown(recorder: Recorder) -> dict[str, Any]:
    """Return the library's attributes of the only server span."""
    (span,) = recorder.spans
    return keyaudit_attributes(span)


@pytest.mark.parametrize("result", [True, None, 1, "yes", object()])
def test_a_key_argument_is_accepted_unless_the_result_is_false(
    recorder: Recorder, service: Any, result: object
) -> None:
    """Any result but ``False`` accepts the key in the argument."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?key=args.user"])
    with recorder.request():
        assert service.verify(service.Key(), result) is result
    assert (shown(recorder)[OUTCOME], shown(recorder)[KEY]) == ("accepted", "k_1")


@pytest.mark.parametrize("user", [False, "key"])
def test_a_result_or_a_key_of_false_is_a_denial(recorder: Recorder, service: Any, user: object) -> None:
    """The key in the argument is not recorded."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?key=args.user"])
    key = service.Key() if user else False
    with recorder.request():
        service.verify(key, bool(user) is False)
    assert shown(recorder) == {OUTCOME: "denied", "keyaudit.denied.reason": "false"}
    assert recorder.errors() == {}


def test_an_unreadable_key_object_is_counted(recorder: Recorder, service: Any) -> None:
    """The request presented a key without a name."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?key=return.key"])
    with recorder.request():
        service.verify(service.Key(), True)
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}
    assert shown(recorder)[OUTCOME] == "accepted"
    assert not shown(recorder).get(KEY)


def test_an_exception_whose_key_is_unreadable_is_counted(recorder: Recorder, service: Any) -> None:
    """The denial has its reason and no key."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?key=exc.key"])
    with recorder.request(), pytest.raises(service.Refused):
        service.verify(None, service.Refused())
    assert recorder.errors() == {("authentication", "KeyError"): 1}
    assert shown(recorder) == {OUTCOME: "denied", "keyaudit.denied.reason": f"{service.__name__}.Refused"}


@pytest.mark.parametrize(("when", "counted"), [(True, 1), (1, 1), (False, 0), (0, 0), ("", 0), (None, 0)], ids=repr)
def test_a_when_function_decides_about_a_denial(recorder: Recorder, service: Any, when: object, counted: int) -> None:
    """The truth of its result counts, also after an exception."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?when={service.__name__}:when"])
    service.WHEN = when
    with recorder.request(), pytest.raises(service.Refused):
        service.verify(None, service.Refused())
    assert recorder.count("keyaudit.authentications", {OUTCOME: "denied"}) == counted


def test_an_unreadable_when_counts_as_truthy_after_an_exception(recorder: Recorder, service: Any) -> None:
    """It may have needed the result; without an exception it is counted and the call is skipped."""
    recorder.instrument(auth_targets=[f"{service.__name__}:verify?when={service.__name__}:when"])
    service.WHEN = service.Undecided()
    with recorder.request():
        with pytest.raises(service.Refused):
            service.verify(None, service.Refused())
        assert recorder.count("keyaudit.authentications", {OUTCOME: "denied"}) == 1
        assert recorder.errors() == {}
        service.verify(None, service.Key())
    assert recorder.count("keyaudit.authentications") == 1
    assert recorder.errors() == {("authentication", "ValueError"): 1}


def test_classes_of_keys_of_a_reloaded_module_can_be_collected(recorder: Recorder, load_module: LoadModule) -> None:
    """With their methods: the key classes of targets are remembered by weak references."""
    app = load_module(APP + "\ndef record(action, subject=None, additional_fields=None): ...\n")
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[f"{name}:record?subject=args.subject"])
    references: list[weakref.ref[Any]] = []
    for _ in range(3):
        with recorder.request():
            app.verify(app.Key("k_1"))
            app.record("update", app.Key("k_2"))
        references += [weakref.ref(app.Key), weakref.ref(app.Key.__init__)]
        importlib.reload(app)
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


@pytest.mark.parametrize("is_used", [True, False])
def test_key_outside_of_requests_is_reported_unless_one_is_used(recorder: Recorder, shop: Any, is_used: bool) -> None:
    """No row can have it, which is no loss where ``use_key`` names the key."""
    shop.instrument(recorder)
    with use_key(ApiKey("k_1")) if is_used else nullcontext():
        shop.verify(shop.ci_bot("k_2"))
    missing = {("authentication", "otel_keyaudit.errors.NoRequestError"): 1}
    assert recorder.errors() == ({} if is_used else missing)
    assert recorder.authentications()["accepted"] == 1


def test_denials_are_counted_by_the_class_of_the_error(recorder: Recorder, shop: Any) -> None:
    """Outside of a request, too."""
    shop.instrument(recorder)
    for error in (PermissionError(), PermissionError(), KeyError()):
        with pytest.raises(type(error)):
            shop.verify("k_1", error)
    denied = {
        reason: recorder.count("keyaudit.authentications", {"error.type": reason})
        for reason in ("PermissionError", "KeyError")
    }
    assert denied == {"PermissionError": 2, "KeyError": 1}
