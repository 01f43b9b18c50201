"""The usual shapes of authentication, each configured by environment variables only and on its usual server."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.shapes.apps.common import SECRET
from presets.processes import COMMANDS, SECONDS, Served, serving
from support.environment.eventually import eventually
from support.environment.installed import need_package

APPS = "integration.shapes.apps"
WSGI = ("wsgiref", "waitress", "gunicorn")
ASGI = ("uvicorn", "gunicorn-uvicorn")
SERVERS = {
    "wsgiref": "python -m integration.shapes.wsgi_server {app} {port}",
    "waitress": "waitress-serve --listen 127.0.0.1:{port} {app}",
}
FRAMEWORKS = {"drf": "rest_framework"}
PACKAGES = {"gunicorn-threads": ("gunicorn",), "gunicorn-uvicorn": ("gunicorn", "uvicorn_worker")}
ROUNDS = 3


@dataclass(frozen=True)
class Shape:
    """An application, and the target that names its authentication.

    Attributes:
        servers: The servers it runs on.
        app: The module of the application.
        target: The auth target.
        reason: The reason for the denial of the wrong key.
        path: Where requests go.
        variables: Further environment variables.
        audit_target: The audit target.
    """

    servers: tuple[str, ...]
    app: str
    target: str
    reason: str
    path: str = "notes"
    variables: dict[str, str] = field(default_factory=dict)
    audit_target: str = "common:record"


FORBIDDEN = "werkzeug.exceptions.Forbidden"
SHAPES = {
    "flask decorator factory": Shape(
        (*WSGI, "gunicorn-threads"),
        "flask_decorator",
        "require_api_key.<locals>.decorate.<locals>.wrapper?key=flask:g.api_key",
        FORBIDDEN,
    ),
    "flask before_request": Shape(WSGI, "flask_before_request", "authenticate?key=flask:g.api_key", FORBIDDEN),
    "fastapi dependency factory": Shape(
        ASGI, "fastapi_dependencies", "require_scope.<locals>.check", "fastapi.exceptions.HTTPException"
    ),
    "fastapi class instance": Shape(
        ("uvicorn",), "fastapi_dependencies", "KeyChecker.__call__", "fastapi.exceptions.HTTPException", "class/notes"
    ),
    "starlette middleware": Shape(
        ASGI,
        "starlette_middleware",
        "KeyMiddleware.dispatch?key=args.request.state.api_key",
        "starlette.exceptions.HTTPException",
    ),
    "asgi middleware": Shape(
        ("uvicorn",),
        "starlette_asgi",
        "KeyMiddleware.__call__?key=args.scope.state.api_key",
        "starlette.exceptions.HTTPException",
    ),
    "audit queue": Shape(
        ASGI,
        "fastapi_queue",
        "KeyChecker.__call__",
        "fastapi.exceptions.HTTPException",
        audit_target="fastapi_queue:enqueue?fields=args.details",
    ),
    "class of Django REST framework": Shape(
        ("gunicorn",),
        "drf_class",
        "KeyAuthentication.authenticate?key=return[1]",
        "rest_framework.exceptions.AuthenticationFailed",
        variables={"DJANGO_SETTINGS_MODULE": f"{APPS}.drf_settings"},
    ),
    "django middleware": Shape(
        WSGI,
        "django_middleware",
        "KeyMiddleware.__call__?key=args.request.api_key",
        "django.core.exceptions.PermissionDenied",
        variables={"DJANGO_SETTINGS_MODULE": f"{APPS}.django_settings"},
    ),
}
CASES = [(shape, server) for shape in SHAPES for server in SHAPES[shape].servers]


@pytest.mark.parametrize(("name", "server"), CASES)
def test_row_server_span_and_counters(name: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Allowed, denied and anonymous requests: only the rows and spans of the allowed ones name the key."""
    shape = SHAPES[name]
    framework = shape.app.partition("_")[0]
    for package in ("opentelemetry.distro", FRAMEWORKS.get(framework, framework), *PACKAGES.get(server, (server,))):
        need_package(package)
    for known, command in SERVERS.items():
        monkeypatch.setitem(COMMANDS, known, command)
    variables = {
        "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": f"{APPS}.{shape.app}:{shape.target}",
        "OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": f"{APPS}.{shape.audit_target}",
        "OTEL_METRICS_EXPORTER": "file",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        **shape.variables,
    }
    with serving(server, f"{APPS}.{shape.app}:app", tmp_path, variables) as served:
        wrong = f"{SECRET[:-4]}AAAA"
        headers: list[dict[str, str]] = [{"X-API-Key": SECRET}, {"X-API-Key": wrong}, {}]
        answers = [httpx.post(f"{served.address}/{shape.path}", headers=one, timeout=60) for one in headers * ROUNDS]
        assert [answer.status_code for answer in answers] == [200, 403, 200] * ROUNDS, served.output()
        assert eventually(
            lambda: len(served.server_spans()) >= 3 * ROUNDS and _counters(served).total() >= 4 * ROUNDS, SECONDS
        )
        _check(served, shape)
    assert SECRET not in served.output()
    assert wrong not in served.output()


def _check(served: Served, shape: Shape) -> None:
    rows = served.rows()
    members = [row.pop("request_api_key") for row in rows[::2]]
    assert rows == [{"by": "application"}] * 2 * ROUNDS
    for member in members:
        assert (member["id"], member["name"], member["detail"]) == ("k_ci", "ci", "full")
        assert (member["scopes"], member["allow_list"]) == (["note:create"], ["note:n_1"])

    allowed = {
        "keyaudit.outcome": "accepted",
        "keyaudit.detail": "full",
        "keyaudit.key.id": "k_ci",
        "keyaudit.key.name": "ci",
        "keyaudit.key.digest": members[0]["digest"],
        "keyaudit.key.scopes": ["note:create"],
        "keyaudit.key.allow_list": ["note:n_1"],
    }
    denied = {"keyaudit.outcome": "denied", "keyaudit.denied.reason": shape.reason}
    spans = served.server_spans()
    assert sorted(map(_ours, spans), key=len) == [{}] * ROUNDS + [denied] * ROUNDS + [allowed] * ROUNDS
    accepted = {span["trace_id"] for span in spans if _ours(span) == allowed}
    assert {member["trace_id"] for member in members} == accepted

    assert _counters(served) == {
        ("keyaudit.authentications", "accepted", None): ROUNDS,
        ("keyaudit.authentications", "denied", shape.reason): ROUNDS,
        ("keyaudit.audit.writes", "attributed", "full"): ROUNDS,
        ("keyaudit.audit.writes", "none", None): ROUNDS,
    }


def _ours(span: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in span["attributes"].items() if name.startswith("keyaudit.")}


def _counters(served: Served) -> Counter[tuple[str, str, str | None]]:
    """Return the counters of all processes: by name, outcome or attribution, and error or detail."""
    counters: Counter[tuple[str, str, str | None]] = Counter()
    for name, attributes, value in served.counters():
        values = {attribute.rpartition(".")[2]: said for attribute, said in attributes.items()}
        kind = values.get("outcome") or values.get("attribution") or values["stage"]
        counters[name, kind, values.get("type") or values.get("detail")] += value
    return counters
