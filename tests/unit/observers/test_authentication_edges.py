"""Outcomes of an authentication where result and key object are not the same, and what counts as which stage."""

from typing import Any

import pytest

from support.keyaudit import KeyAudit, LoadModule, keyaudit_attributes

APP = """
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
def app(load_module: LoadModule) -> Any:
    """An application whose function says whether, and whose argument says who."""
    return load_module(APP)


def shown(keyaudit: KeyAudit) -> dict[str, Any]:
    """Return our attributes on the one server span."""
    (span,) = keyaudit.spans()
    return keyaudit_attributes(span)


@pytest.mark.parametrize("result", [True, None, 1, "yes", object()])
def test_a_key_beside_the_result_is_accepted_unless_the_result_is_false(
    keyaudit: KeyAudit, app: Any, result: object
) -> None:
    """What the function returns is no denial, whatever else it is."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?key=args.user"])
    with keyaudit.request():
        assert app.verify(app.Key(), result) is result
    assert (shown(keyaudit)[OUTCOME], shown(keyaudit)[KEY]) == ("accepted", "k_1")


@pytest.mark.parametrize("user", [False, "key"])
def test_a_result_or_a_key_of_false_is_a_denial(keyaudit: KeyAudit, app: Any, user: object) -> None:
    """And the key beside it is nobody's."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?key=args.user"])
    key = app.Key() if user else False
    with keyaudit.request():
        app.verify(key, bool(user) is False)
    assert shown(keyaudit) == {OUTCOME: "denied", "keyaudit.denied.reason": "false"}
    assert keyaudit.degraded() == {}


def test_key_object_that_cannot_be_read_counts_as_authentication(keyaudit: KeyAudit, app: Any) -> None:
    """The request presented a key that cannot be named."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?key=return.key"])
    with keyaudit.request():
        app.verify(app.Key(), True)
    assert keyaudit.degraded() == {("authentication", "otel_keyaudit.errors.MissingError"): 1}
    assert shown(keyaudit)[OUTCOME] == "accepted"
    assert not shown(keyaudit).get(KEY)


def test_a_key_behind_an_exception_that_fails_counts_as_authentication(keyaudit: KeyAudit, app: Any) -> None:
    """The denial stands, with its reason and without a key."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?key=exc.key"])
    with keyaudit.request(), pytest.raises(app.Refused):
        app.verify(None, app.Refused())
    assert keyaudit.degraded() == {("authentication", "KeyError"): 1}
    assert shown(keyaudit) == {OUTCOME: "denied", "keyaudit.denied.reason": f"{app.__name__}.Refused"}


@pytest.mark.parametrize(("when", "counted"), [(True, 1), (1, 1), (False, 0), (0, 0), ("", 0), (None, 0)], ids=repr)
def test_a_function_that_says_whether_a_denial_is_meant(
    keyaudit: KeyAudit, app: Any, when: object, counted: int
) -> None:
    """Only whether its answer is truthy counts, after an exception as otherwise."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when={app.__name__}:when"])
    app.WHEN = when
    with keyaudit.request(), pytest.raises(app.Refused):
        app.verify(None, app.Refused())
    assert keyaudit.count("keyaudit.authentications", {OUTCOME: "denied"}) == counted


def test_an_answer_that_cannot_be_read_after_an_exception_counts_as_truthy(keyaudit: KeyAudit, app: Any) -> None:
    """It may have needed the result that there is not; without an exception it is counted and the call passed over."""
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?when={app.__name__}:when"])
    app.WHEN = app.Undecided()
    with keyaudit.request():
        with pytest.raises(app.Refused):
            app.verify(None, app.Refused())
        assert keyaudit.count("keyaudit.authentications", {OUTCOME: "denied"}) == 1
        assert keyaudit.degraded() == {}
        app.verify(None, app.Key())
    assert keyaudit.count("keyaudit.authentications") == 1
    assert keyaudit.degraded() == {("authentication", "ValueError"): 1}
