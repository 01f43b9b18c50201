"""Functions that were captured before ``instrument()`` are observed, or reported."""

from __future__ import annotations

import logging

import pytest

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder
from support.clients.testclient import TestClient
from support.environment.modules import Modules

SERVICE = """
from typing import Any
from fastapi import APIRouter, Depends, FastAPI, Header
from functools import lru_cache, partial

class Key:
    id, scopes = "k_1", ["a:read"]

ROWS = []

def verify(x_api_key: str = Header("")) -> Any:
    return Key()

def other(x_api_key: str = Header("")) -> Any:
    yield Key()

@lru_cache
def cached(x_api_key: str = Header("")) -> Any:
    return Key()

def _checked(x_api_key: str, scope: str) -> Any:
    return Key()

class Checker:
    async def __call__(self, x_api_key: str = Header("")) -> Any:
        return Key()

    def bound(self, x_api_key: str = Header("")) -> Any:
        return Key()

checker = Checker()
bound = checker.bound

def record(action, additional_fields=None):
    ROWS.append(additional_fields)

write = {"create": record}

def endpoint(name: str) -> dict:
    write["create"](name)
    return {}

telemetry = {"tracing": False, "metrics": False, "logs": False}
router = APIRouter(dependencies=[Depends(verify)])
router.add_api_route("/router", endpoint)
app = FastAPI(telemetry=telemetry)
app.include_router(router)
dependencies = {"/f": verify, "/yield": other, "/cached": cached, "/callable": checker, "/bound": bound}
for path, dependency in dependencies.items():
    app.add_api_route(path, endpoint, dependencies=[Depends(dependency)])
whole = FastAPI(telemetry=telemetry, dependencies=[Depends(verify)])
whole.add_api_route("/whole", endpoint)
app.mount("/mounted", whole)
"""


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/f", "verify"),
        ("/router", "verify"),
        ("/mounted/whole", "verify"),
        ("/yield", "other"),
        ("/cached", "cached"),
        ("/callable", "checker"),
        ("/callable", "Checker.__call__"),
        ("/bound", "bound"),
        ("/bound", "Checker.bound"),
    ],
)
def test_dependencies_taken_in_the_same_file(recorder: Recorder, modules: Modules, path: str, target: str) -> None:
    """``Depends(f)`` in routes, routers and applications, and a table of functions, reach the target."""
    service = modules.load(SERVICE)
    schema = service.app.openapi()
    recorder.instrument(auth_targets=[f"{service.__name__}:{target}"], audit_targets=[f"{service.__name__}:record"])
    with TestClient(service.app) as client:
        assert client.get(path, params={"name": "create"}, headers={"x-api-key": "secret"}).status_code == 200
        service.app.openapi_schema = None
        assert client.get("/openapi.json").json() == schema
    assert [row["request_api_key"]["id"] for row in service.ROWS] == ["k_1"]
    assert {status.state for status in KeyAuditInstrumentor().status()} == {"active"}


def test_from_import_done_before(recorder: Recorder, modules: Modules) -> None:
    """``from m import f``, aliases, decorators, partials and bound methods reach the target."""
    security = modules.load("def verify(key):\n    return key\n")
    user = modules.load(
        f"""
        from functools import partial, wraps
        from {security.__name__} import verify
        alias = verify
        def decorate(function):
            @wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper
        ways = (alias, decorate(verify), partial(verify), verify.__call__, lambda key: verify(key))
        """
    )
    recorder.instrument(auth_targets=[f"{security.__name__}:verify?id=id"])
    for way in user.ways:
        way({"id": "k_1"})
    assert recorder.count("keyaudit.authentications") == len(user.ways)


def test_references_that_cannot_be_replaced_are_reported(
    recorder: Recorder, modules: Modules, caplog: pytest.LogCaptureFixture
) -> None:
    """``status()`` counts references in tuples, frozen sets and partials, and one warning reports them."""
    service = modules.load(
        """
        from functools import lru_cache, partial
        @lru_cache
        def verify(key):
            return {"id": key}
        held = (verify,), frozenset([verify]), partial(verify)
        clear = verify.cache_clear
        """
    )
    target = f"{service.__name__}:verify?id=id"
    recorder.instrument(auth_targets=[target])
    status = recorder.status()[target]
    assert status.state == "active"
    assert "3 earlier references" in status.reason
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [target in warning and "3 earlier references" in warning for warning in warnings] == [True]
    service.held[0][0]("k_1")
    assert recorder.count("keyaudit.authentications") == 0
    service.verify("k_1")
    assert recorder.count("keyaudit.authentications") == 1
