"""Only what is declared leaves, under names that survive scrubbers."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_keyaudit import names
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.effort import examples
from support.modules import LoadModule

APP = """
class Inventing:
    def __init__(self, known):
        vars(self).update(known)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return f"invented {name}"

class Tripping:
    id = "k_1"

    def __getattr__(self, name):
        raise LookupError(name)

ROWS = []

def verify(key):
    return key

def record(action, additional_fields=None):
    ROWS.append(additional_fields)
"""
DECLARED = {"id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"}
DECLARED_ATTRIBUTES = {value for name, value in vars(names).items() if name.isupper() and str(value).startswith("key")}
SCRUBBED = re.compile(
    r"password|passwd|mysql_pwd|secret|auth(?!ors?\b)|credential|private[._ -]?key|api[._ -]?key|session|cookie|"
    r"social[._ -]?security|credit[._ -]?card|(\b|_)(csrf|xsrf|jwt|ssn)(\b|_)|token|bearer|.*api_key.*",
    re.IGNORECASE,
)
"""What well-known scrubbers blank by the name of an attribute; test_scrubbers.py asks some of them themselves."""

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.binary() | st.floats()


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose key objects answer anything."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any) -> None:
    """Instrument the application by the defaults."""
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])


@settings(
    max_examples=examples(2_000, quick=300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(known=st.dictionaries(st.sampled_from(["id", "name", "scopes", "allow_list", "owner", "email", "key"]), VALUES))
def test_only_declared_members_leave(recorder: Recorder, app: Any, known: dict[str, Any]) -> None:
    """Whatever a key object has or invents, rows and spans have the declared names and plain values."""
    if not recorder.status():
        instrument(recorder, app)
    recorder.clear()
    app.ROWS.clear()
    with recorder.request():
        app.verify(app.Inventing(known))
        app.record("create", {})
    member = app.ROWS[0].get("request_api_key", {})
    assert member.keys() <= DECLARED
    for span in recorder.spans:
        shown = keyaudit_attributes(span)
        assert shown.keys() <= DECLARED_ATTRIBUTES
        elements = [one for value in shown.values() for one in (value if isinstance(value, tuple) else (value,))]
        assert all(isinstance(one, (str, int)) for one in elements)


def test_a_key_whose_members_raise(recorder: Recorder, app: Any) -> None:
    """Its id is all that is known of it."""
    instrument(recorder, app)
    with recorder.request():
        app.verify(app.Tripping())
        app.record("create", {})
    assert app.ROWS[0]["request_api_key"].keys() == {"id", "digest", "detail", "trace_id", "span_id"}


def test_names_survive_scrubbers() -> None:
    """No attribute's name is one that the default scrubbers of well-known vendors blank."""
    attributes = DECLARED_ATTRIBUTES - {names.METRIC_AUTHENTICATIONS}
    assert len(attributes) > 20
    assert [name for name in attributes if SCRUBBED.search(name)] == []
