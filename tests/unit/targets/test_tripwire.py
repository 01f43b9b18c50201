"""What a request presented as its credential is written out nowhere, whatever field of whatever object holds it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from types import ModuleType
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Client, WSGITransport

from otel_keyaudit import ApiKey
from otel_keyaudit.targets.presented_credential import REMEMBERED, SHORTEST, all_presented
from support.keyaudit import KeyAudit, LoadModule, keyaudit_attributes

SECRET = "sk_live_0123456789abcdef"
TRIPPED = ("otel_keyaudit.errors.CredentialError", 1)

APP = """
from types import SimpleNamespace

ROWS = []

def key(**fields):
    return SimpleNamespace(**{"id": "k_1", "name": "ci-bot", "scopes": ["a:read"], "allow_list": [], **fields})

def verify(api_key, **fields):
    return key(**fields)

def check(presented, error=None, **fields):
    if error:
        raise error
    return key(**fields)

def record(action, additional_fields=None, resource_id=None):
    ROWS.append(additional_fields)

def create(action, made, additional_fields=None):
    ROWS.append(additional_fields)
"""


@pytest.fixture
def app(keyaudit: KeyAudit, load_module: LoadModule) -> ModuleType:
    """An application with functions that are given the credential, and some that are not."""
    module = load_module(APP)
    name = module.__name__
    keyaudit.instrument(
        auth_targets=[f"{name}:verify?owner=owner_name ?? name", f"{name}:check"],
        audit_targets=[f"{name}:record", f"{name}:create?subject=args.made&subject_id=id"],
    )
    return module


def everything(keyaudit: KeyAudit, rows: list[Any]) -> str:
    """Return all that came out as one text."""
    spans = [keyaudit_attributes(span) for span in (*keyaudit.spans(), *keyaudit.audit_spans())]
    return json.dumps([rows, spans], default=str)


@pytest.mark.parametrize("value", [SECRET, f"bot with {SECRET}!", SECRET.encode().decode()])
@pytest.mark.parametrize("field", ["name", "scopes", "allow_list", "owner_name"])
def test_a_field_that_holds_what_was_presented_is_unknown(
    app: ModuleType, keyaudit: KeyAudit, field: str, value: str
) -> None:
    """The key is named all the same, without the field; and it is counted."""
    with keyaudit.request():
        app.verify(SECRET, **{field: ["a:read", value] if field in ("scopes", "allow_list") else value})
        app.record("create")
    (row,) = app.ROWS
    assert row["request_api_key"]["id"] == "k_1"
    assert field not in row["request_api_key"]
    assert SECRET not in everything(keyaudit, app.ROWS)
    assert keyaudit.degraded() == {("authentication", TRIPPED[0]): 1}
    assert keyaudit.writes()["attributed"] == 1


def test_an_id_that_is_what_was_presented_names_nobody(app: ModuleType, keyaudit: KeyAudit) -> None:
    """As with any id that cannot be read, there is a key, and the row is not given it."""
    with keyaudit.request():
        app.verify(SECRET, id=SECRET)
        app.record("create")
    assert SECRET not in everything(keyaudit, app.ROWS)
    assert keyaudit.degraded() == {("authentication", TRIPPED[0]): 1}
    assert keyaudit.writes()["failed"] == 1


def test_a_short_id_may_be_what_was_presented(app: ModuleType, keyaudit: KeyAudit) -> None:
    """An example whose key is its own id goes on working: nothing so short is a credential."""
    public = "k" * (SHORTEST - 1)
    with keyaudit.request():
        app.verify(public, id=public)
        app.record("create")
    assert app.ROWS[0]["request_api_key"]["id"] == public
    assert keyaudit.degraded() == {}


def test_an_event_that_holds_what_was_presented_is_not_shown(app: ModuleType, keyaudit: KeyAudit) -> None:
    """Action and resource are read one by one: the others are there, and the row is written with the key."""
    with keyaudit.request():
        app.verify(SECRET)
        app.record("create", {"mine": SECRET}, f"uses {SECRET}")
    (span,) = keyaudit.audit_spans()
    assert keyaudit_attributes(span)["keyaudit.action"] == "create"
    assert "keyaudit.resource.id" not in keyaudit_attributes(span)
    assert app.ROWS[0]["mine"] == SECRET, "what the application writes is its own"
    assert keyaudit.degraded() == {("audit", TRIPPED[0]): 1}


def test_a_subject_that_holds_what_was_presented_is_written_without_it(app: ModuleType, keyaudit: KeyAudit) -> None:
    """The key that a row is about is no way out either."""
    with keyaudit.request():
        app.verify(SECRET)
        app.create("api_key.create", app.key(id="k_2", name=f"made with {SECRET}"))
        app.create("api_key.create", app.key(id=SECRET))
    first, second = app.ROWS
    assert (first["api_key"]["id"], "name" in first["api_key"]) == ("k_2", False)
    assert "api_key" not in second
    assert SECRET not in everything(keyaudit, app.ROWS)


def test_a_denied_key_whose_id_was_presented_is_not_named(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """Nor does the reason of the denial say more than the class of the exception."""
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify?valid=is_active"])
    with keyaudit.request():
        app.verify(SECRET, id=SECRET, is_active=False)
    assert keyaudit.server_span() == {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}


def basic(user: str, password: str) -> str:
    """Return a header of basic authentication."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


HEADERS = {
    "bearer": {"authorization": f"Bearer {SECRET}"},
    "without a scheme": {"authorization": SECRET},
    "basic": {"authorization": basic("bot", SECRET)},
    "basic, as the user": {"authorization": basic(SECRET, "")},
    "header": {"x-api-key": SECRET},
    "other header": {"X-Auth-Token": SECRET},
    "query": {},
}


@pytest.mark.parametrize("where", HEADERS)
@pytest.mark.parametrize("gateway", ["asgi", "wsgi"])
def test_the_request_says_what_was_presented(app: ModuleType, keyaudit: KeyAudit, where: str, gateway: str) -> None:
    """A function that is given the request, or an object, has no parameter that tells: headers and query do."""
    answers = {"asgi": _ask_asgi, "wsgi": _ask_wsgi}[gateway]
    answers(app, f"http://test/?api_key={SECRET}" if where == "query" else "http://test/", HEADERS[where])
    (row,) = app.ROWS
    assert row["request_api_key"]["id"] == "k_1"
    assert "name" not in row["request_api_key"]
    assert keyaudit.degraded() == {("authentication", TRIPPED[0]): 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": basic("an-id-that-is-long-enough", "the secret")},
        {"authorization": "Basic not base64!"},
        {"authorization": "Basic nöt ascii either".encode("latin-1")},
        {"authorization": ""},
        {"x-request-id": "an-id-that-is-long-enough"},
    ],
)
def test_what_is_no_credential_is_none(app: ModuleType, keyaudit: KeyAudit, headers: dict[str, Any]) -> None:
    """The user of basic authentication may well be the public id; other headers are none of ours."""
    _ask_asgi(app, "http://test/?name=an-id-that-is-long-enough", headers, id="an-id-that-is-long-enough", name="n")
    assert app.ROWS[0]["request_api_key"]["id"] == "an-id-that-is-long-enough"
    assert keyaudit.degraded() == {}


def test_only_so_many_credentials_are_remembered() -> None:
    """A socket that renews its token for days keeps the last ones."""
    presented: tuple[str, ...] = ()
    for number in range(3 * REMEMBERED):
        presented = all_presented(presented, (f"token {number}",))
    assert presented == tuple(f"token {number}" for number in range(2 * REMEMBERED, 3 * REMEMBERED))


def test_a_key_that_has_been_checked_is_as_it_was() -> None:
    """What is remembered of its texts is no part of it."""
    key, other = ApiKey("k_1", "n", ["a"], ["b"], "o"), ApiKey("k_1", "n", ["a"], ["b"], "o")
    assert key.written == "k_1\nn\no\na\nb"
    assert (key, repr(key), hash(key), key.digest) == (other, repr(other), hash(other), other.digest)


def _ask_asgi(app: ModuleType, url: str, headers: dict[str, Any], **fields: Any) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        app.check(object(), **{"name": f"bot {SECRET}", **fields})
        app.record("create")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        async with AsyncClient(transport=ASGITransport(application)) as client:
            await client.get(url, headers=headers)

    asyncio.run(ask())


def _ask_wsgi(app: ModuleType, url: str, headers: dict[str, Any]) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        app.check(object(), name=f"bot {SECRET}")
        app.record("create")
        start_response("200 OK", [])
        return []

    with Client(transport=WSGITransport(application)) as client:
        client.get(url, headers=headers)
