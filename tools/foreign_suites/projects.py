"""The projects whose tests are run, and the functions that the library observes in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KEY = "tools.foreign_suites.plugin:caller"
"""A constant key object, so that every request that passes an auth target has a key."""


@dataclass(frozen=True)
class Project:
    """A project with a test suite in its sdist.

    Attributes:
        name: The name of the distribution; its version is the one in requirements/foreign-suites.txt.
        options: Arguments of `instrument()`.
        arguments: Arguments of pytest.
        folder: The folder of the sdist in which pytest runs.
    """

    name: str
    options: dict[str, Any]
    arguments: tuple[str, ...] = ()
    folder: str = "."
    environment: dict[str, str] = field(default_factory=dict)


PROJECTS = (
    Project(
        "starlette",
        {
            "presets": ["starlette", "threads"],
            "auth_targets": [
                f"starlette.routing:Route.handle?key={KEY}&when=args.scope",
                f"starlette.routing:WebSocketRoute.handle?key={KEY}",
                "starlette.requests:Request.json?id=id&when=exc",
            ],
            "audit_targets": [
                "starlette.responses:JSONResponse.render?fields=none&action=args.content",
                "starlette.responses:Response.__call__?fields=none",
                "starlette.background:BackgroundTask.__call__?fields=none",
                "starlette.websockets:WebSocket.send?fields=none",
                "starlette.concurrency:run_in_threadpool?fields=none",
                "starlette.formparsers:MultiPartParser.parse?fields=none",
            ],
        },
    ),
    Project(
        "flask",
        {
            "presets": ["threads"],
            "auth_targets": [f"flask.app:Flask.preprocess_request?key={KEY}"],
            "audit_targets": [
                "flask.app:Flask.make_response?fields=none",
                "flask.app:Flask.handle_user_exception?fields=none",
                "flask.json.provider:DefaultJSONProvider.dumps?fields=none",
                "flask.sessions:SecureCookieSessionInterface.save_session?fields=none",
                "flask.helpers:send_file?fields=none",
                "flask.templating:render_template?fields=none",
            ],
        },
    ),
    Project(
        "httpx",
        {
            "auth_targets": [
                "httpx._auth:BasicAuth.auth_flow?id=url.host&key=args.request",
                "httpx._auth:DigestAuth.auth_flow?id=url.host&key=args.request",
            ],
            "audit_targets": [
                "httpx._client:Client.send?fields=none&outcome=return.status_code",
                "httpx._client:AsyncClient.send?fields=none&outcome=return.status_code",
                "httpx._models:Response.json?fields=none",
                "httpx._models:Response.aiter_bytes?fields=none",
                "httpx._models:Response.iter_bytes?fields=none",
            ],
        },
        ("-m", "not network"),
    ),
    Project(
        "django-auditlog",
        {
            "presets": ["auditlog", "threads"],
            "auth_targets": [f"django.contrib.auth.backends:ModelBackend.get_user?key={KEY}"],
            "audit_targets": ["auditlog.receivers:log_create?fields=none", "auditlog.receivers:log_update?fields=none"],
        },
        ("-o", "python_files=tests.py test_*.py", "--ds=test_settings"),
        folder="auditlog_tests",
        environment={"TEST_DB_NAME": ":memory:"},
    ),
    Project(
        "djangorestframework-api-key",
        {
            "presets": ["drf-api-key"],
            "auth_targets": ["rest_framework_api_key.permissions:BaseHasAPIKey.has_permission?valid=return"],
            "audit_targets": ["rest_framework_api_key.models:AbstractAPIKey.save?fields=none&subject=self"],
        },
        ("-o", "addopts="),
    ),
    Project(
        "wrapt",
        {
            "auth_targets": ["wrapt.patches:resolve_path?key=return&id=[2]|str"],
            "audit_targets": [
                "wrapt.patches:wrap_object?fields=none",
                "wrapt.patches:wrap_function_wrapper?fields=none",
                "wrapt.patches:unwrap_object?fields=none",
                "wrapt.importer:register_post_import_hook?fields=none",
                "wrapt.importer:notify_module_loaded?fields=none",
            ],
        },
        ("tests/core",),
    ),
    Project(
        "pyjwt",
        {
            "presets": ["pyjwt"],
            "audit_targets": [
                "jwt.api_jwt:PyJWT.encode?fields=none",
                "jwt.api_jws:PyJWS.encode?fields=none",
                "jwt.api_jws:PyJWS.decode_complete?fields=none",
                "jwt.jwks_client:PyJWKClient.fetch_data?fields=none",
            ],
        },
    ),
)
