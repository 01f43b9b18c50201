"""Presets with authorization targets: allowed and denied checks and outages, each with the real library."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries

KEY = ApiKey("k_1", scopes=["note:read", "doc:read"], allow_list=["*:*"])


class StoreError(Exception):
    """The store of keys is down."""


class RemoteError(StoreError):
    """A service that the check asks has no answer."""

    status_code = code = 404


class FileError(PermissionError):
    """A policy file cannot be read."""


OUTAGES = [StoreError, RemoteError, FileError]
"""A check that fails denies nothing, whatever the exception looks like."""


def decisions(recorder: Recorder) -> dict[tuple[str, str | None], int]:
    """Return the number of decisions by outcome and cause."""
    found: Counter[tuple[str, str | None]] = Counter()
    for (name, attributes), value in recorder.counters().items():
        if name == "keyaudit.decisions":
            said = dict(attributes)
            found[said["keyaudit.decision.outcome"], said.get("keyaudit.decision.cause")] += value
    return dict(found)


def decide(recorder: Recorder, check: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Run a check in a request with a key; return its result or exception, and the decision on the server span."""
    recorder.clear()
    with recorder.request(), use_key(KEY):
        try:
            result = check()
        except Exception as error:  # noqa: BLE001 - the tests look at it
            result = error
    span = recorder.server_span()
    prefix = "keyaudit.decision."
    return result, {name[len(prefix) :]: value for name, value in span.items() if name.startswith(prefix)}


# Django REST framework


def _view(*permissions: Any, **attributes: Any) -> Callable[..., Any]:
    """Return a check of a view with these permission classes."""
    from rest_framework.request import Request  # noqa: PLC0415 - not everywhere
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    view = type("View", (APIView,), {"permission_classes": permissions, **attributes})()
    request = Request(APIRequestFactory().get("/"))
    request._auth = attributes.get("auth")
    request._user = SimpleNamespace(is_authenticated=True, is_superuser=False)

    def check(checked: Any = None) -> None:
        if checked is None:
            view.check_permissions(request)
        else:
            view.check_object_permissions(request, checked)

    return check


def _permission(answer: Callable[[], bool]) -> Any:
    from rest_framework.permissions import BasePermission  # noqa: PLC0415 - not everywhere

    class Permission(BasePermission):
        def has_permission(self, request: Any, view: Any) -> bool:
            return answer()

        def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
            return answer()

    return Permission


def _outage(error: type[Exception] = StoreError) -> bool:
    raise error


def test_drf_permission_classes_are_one_decision(recorder: Recorder) -> None:
    """All classes of a view allow, or the first class that refuses decides."""
    recorder.instrument(presets="drf")
    yes, no = _permission(lambda: True), _permission(lambda: False)

    assert decide(recorder, _view(yes, yes))[1]["outcome"] == "granted"
    assert decisions(recorder) == {("granted", "unknown"): 1}
    assert decide(recorder, _view(yes, no))[1] == {
        "outcome": "denied",
        "cause": "unknown",
        "reason": "rest_framework.exceptions.PermissionDenied",
    }
    assert decisions(recorder) == {("granted", "unknown"): 1, ("denied", "unknown"): 1}


@pytest.mark.parametrize("outage", OUTAGES)
def test_drf_outage_is_an_error(outage: type[Exception], recorder: Recorder) -> None:
    """An exception that is not a refusal denies nothing."""
    recorder.instrument(presets="drf")

    error, decision = decide(recorder, _view(_permission(partial(_outage, outage))))

    assert type(error) is outage
    assert decision == {"outcome": "error", "reason": f"{__name__}.{outage.__name__}"}
    assert decisions(recorder) == {("error", None): 1}


@pytest.mark.parametrize("combine", [lambda a, b: a | b, lambda a, b: b | a])
def test_drf_alternatives_are_one_decision(combine: Callable[[Any, Any], Any], recorder: Recorder) -> None:
    """``A | B`` grants although one part refuses."""
    recorder.instrument(presets="drf")

    view = _view(combine(_permission(lambda: False), _permission(lambda: True)))

    assert decide(recorder, view)[1]["outcome"] == "granted"
    assert decisions(recorder) == {("granted", "unknown"): 1}


def test_drf_conjunction_is_one_decision(recorder: Recorder) -> None:
    """``A & B`` refuses although one part grants."""
    recorder.instrument(presets="drf")

    view = _view(_permission(lambda: True) & _permission(lambda: False))

    assert decide(recorder, view)[1]["outcome"] == "denied"
    assert decisions(recorder) == {("denied", "unknown"): 1}


def test_drf_object_permission_names_the_object(recorder: Recorder) -> None:
    """The resource of the decision is the type and id of the model's object."""
    from presets.django_project.models import Note  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="drf")
    view = _view(_permission(lambda: False))

    assert decide(recorder, lambda: view(Note(pk=7)))[1]["resource"] == "django_project.note:7"
    assert "resource" not in decide(recorder, lambda: view(object()))[1]


def test_drf_object_that_is_hidden_is_denied(recorder: Recorder) -> None:
    """``Http404`` hides that the object exists, and counts as a refusal."""
    from django.http import Http404  # noqa: PLC0415 - not everywhere

    def hide() -> bool:
        raise Http404

    recorder.instrument(presets="drf")
    view = _view(_permission(hide))

    assert decide(recorder, lambda: view(object()))[1]["outcome"] == "denied"


@pytest.mark.parametrize("name", ["TokenHasScope", "TokenMatchesOASRequirements", "HasAPIKeyOrGroupScope"])
def test_drf_question_about_another_method_asks_permission_classes(name: str, recorder: Recorder) -> None:
    """The answers of the libraries' permission classes decide nothing then, and are parts of the decision otherwise."""
    from drf_scoped_permissions import permissions  # noqa: PLC0415 - not everywhere
    from drf_scoped_permissions.models import ScopedAPIKey  # noqa: PLC0415
    from oauth2_provider.contrib import rest_framework  # noqa: PLC0415
    from rest_framework.request import Request, clone_request  # noqa: PLC0415
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    kind = getattr(rest_framework, name, None) or getattr(permissions, name)
    alternatives = {method: [["note:delete"]] for method in ("GET", "DELETE")}
    scopes = {"required_scopes": ["note:delete"], "required_scope": "note:delete"}
    attributes = {"permission_classes": [kind], "required_alternate_scopes": alternatives, **scopes}
    view = type("View", (APIView,), attributes)()
    request = Request(APIRequestFactory().get("/"))
    request._user = SimpleNamespace(is_authenticated=True, is_superuser=False)
    request._auth = ScopedAPIKey(scopes=["x"]) if name.startswith("HasAPIKey") else _token("note:read")
    recorder.instrument(presets=["oauth-toolkit", "drf-scoped-permissions"])

    assert decide(recorder, lambda: view.check_permissions(clone_request(request, "DELETE")))[1] == {}
    assert decide(recorder, lambda: kind().has_permission(request, view)) == (False, {})
    assert decisions(recorder) == {}
    assert decide(recorder, lambda: view.check_permissions(request))[1]["missing"] == ("note:delete",)


def test_drf_question_about_another_method_is_no_decision(recorder: Recorder) -> None:
    """The browsable API asks which forms to show, which is no decision, neither in rows that the permission writes."""
    from rest_framework.request import Request, clone_request  # noqa: PLC0415 - not everywhere
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    from presets.apps import audit_log  # noqa: PLC0415

    def refuse() -> bool:
        audit_log.record("note.refuse", {})
        return False

    recorder.instrument(presets="drf", audit_targets=["presets.apps.audit_log:record"])
    view = type("View", (APIView,), {"permission_classes": [_permission(refuse)]})()
    request = Request(APIRequestFactory().get("/"))
    request._user, request._auth = SimpleNamespace(is_authenticated=True), None

    decide(recorder, lambda: view.check_permissions(clone_request(request, "DELETE")))
    assert "decisions" not in recorder.rows[0]["request_api_key"]
    assert decisions(recorder) == {}

    decide(recorder, lambda: view.check_permissions(request))
    assert len(recorder.rows[0]["request_api_key"]["decisions"]) == 1
    assert decisions(recorder) == {("denied", "unknown"): 1}


# django-oauth-toolkit and drf-scoped-permissions


def _token(scope: str) -> Any:
    from oauth2_provider.models import AccessToken  # noqa: PLC0415 - not everywhere

    from presets.credential import EXPIRY  # noqa: PLC0415

    return AccessToken(scope=scope, expires=EXPIRY)


def test_oauth_toolkit_requires_the_scopes_of_the_view(recorder: Recorder) -> None:
    """The result of ``get_scopes`` is the requirement."""
    from oauth2_provider.contrib.rest_framework import TokenHasScope  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="oauth-toolkit")

    allowed = _view(TokenHasScope, required_scopes=["note:read"], auth=_token("note:read"))
    assert decide(recorder, allowed)[1] == {
        "outcome": "granted",
        "cause": "scope",
        "required": ("note:read",),
        "scopes": ("note:read",),
    }
    denied = _view(TokenHasScope, required_scopes=["note:delete"], auth=_token("note:read"))
    assert decide(recorder, denied)[1] == {
        "outcome": "denied",
        "cause": "scope",
        "required": ("note:delete",),
        "missing": ("note:delete",),
        "reason": "rest_framework.exceptions.PermissionDenied",
    }
    assert decisions(recorder) == {("granted", "scope"): 1, ("denied", "scope"): 1}


def test_oauth_toolkit_ignores_intermediate_requirements(recorder: Recorder) -> None:
    """``TokenHasResourceScope`` turns the result of its base class into another requirement."""
    from oauth2_provider.contrib.rest_framework import TokenHasResourceScope  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="oauth-toolkit")
    view = _view(TokenHasResourceScope, required_scopes=["note"], auth=_token("note:read"))

    assert decide(recorder, view)[1]["required"] == ("note:read",)


def test_oauth_toolkit_requires_the_scopes_of_a_class_of_the_application(recorder: Recorder) -> None:
    """An application can override ``get_scopes``."""
    from oauth2_provider.contrib.rest_framework import TokenHasScope  # noqa: PLC0415 - not everywhere

    class Own(TokenHasScope):
        def get_scopes(self, request: Any, view: Any) -> list[str]:
            return ["note:delete"]

    recorder.instrument(presets="oauth-toolkit")

    for _ in range(2):
        decision = decide(recorder, _view(Own, auth=_token("note:read")))[1]
        assert (decision["outcome"], decision["missing"]) == ("denied", ("note:delete",))
    recorder.uninstrument()
    assert decide(recorder, _view(Own, auth=_token("note:read")))[1] == {}


def test_oauth_toolkit_requirement_that_fails_is_an_error(recorder: Recorder) -> None:
    """A view without scopes is an improper configuration, which denies nothing."""
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - not everywhere
    from oauth2_provider.contrib.rest_framework import TokenHasScope  # noqa: PLC0415

    recorder.instrument(presets="oauth-toolkit")

    error, decision = decide(recorder, _view(TokenHasScope, auth=_token("note:read")))

    assert isinstance(error, ImproperlyConfigured)
    assert decision["outcome"] == "error"
    assert recorder.degraded() == {}


def test_oauth_toolkit_alternative_that_refused_is_no_requirement(recorder: Recorder) -> None:
    """Only the requirement of B explains ``A | B`` if B granted it."""
    from oauth2_provider.contrib.rest_framework import TokenHasScope  # noqa: PLC0415 - not everywhere

    class NeedsDelete(TokenHasScope):
        def has_permission(self, request: Any, view: Any) -> bool:
            return bool(super().has_permission(request, SimpleNamespace(required_scopes=["note:delete"])))

    recorder.instrument(presets="oauth-toolkit")
    view = _view(NeedsDelete | TokenHasScope, required_scopes=["note:read"], auth=_token("note:read"))

    assert decide(recorder, view)[1]["required"] == ("note:read",)
    assert decisions(recorder) == {("granted", "scope"): 1}


@pytest.mark.parametrize(
    ("scope", "decision"),
    [
        ("doc:read doc:list", {"outcome": "granted", "cause": "scope", "required": ("doc:read", "doc:list")}),
        ("note:read", {"outcome": "granted", "cause": "scope", "required": ("note:read",)}),
        (
            "doc:list",
            {
                "outcome": "denied",
                "cause": "scope",
                "required": ("doc:read", "doc:list", "note:read"),
                "missing": ("doc:read", "note:read"),
            },
        ),
    ],
)
def test_oauth_toolkit_requires_the_alternative_that_the_token_matches(
    scope: str, decision: dict[str, Any], recorder: Recorder
) -> None:
    """A grant requires the scopes of one alternative of ``TokenMatchesOASRequirements``, a denial those of all."""
    from oauth2_provider.contrib.rest_framework import TokenMatchesOASRequirements  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="oauth-toolkit")
    alternatives = {"GET": [["doc:read", "doc:list"], ["note:read"]], "POST": [["note:create"]]}
    view = _view(TokenMatchesOASRequirements, required_alternate_scopes=alternatives, auth=_token(scope))

    with recorder.request(), use_key(ApiKey("k_1", scopes=scope.split())), suppress(Exception):
        view()

    span = recorder.server_span()
    assert {name: span.get(f"keyaudit.decision.{name}") for name in decision} == decision
    assert sum(decisions(recorder).values()) == 1


@pytest.mark.parametrize("is_decorator", [True, False])
@pytest.mark.parametrize("presented", ["", "?oauth2_error=insufficient_scope"])
def test_oauth_toolkit_view_without_a_framework_decides(presented: str, is_decorator: bool, recorder: Recorder) -> None:
    """A token without a required scope is accepted and refused; an expired or a missing one is no decision."""
    from datetime import timedelta  # noqa: PLC0415

    from django.http import HttpResponse  # noqa: PLC0415 - not everywhere
    from django.test import RequestFactory  # noqa: PLC0415
    from oauth2_provider.decorators import protected_resource  # noqa: PLC0415
    from oauth2_provider.models import AccessToken  # noqa: PLC0415
    from oauth2_provider.views.generic import ScopedProtectedResourceView  # noqa: PLC0415

    from presets.django_project.credentials import oauth_toolkit  # noqa: PLC0415

    class View(ScopedProtectedResourceView):
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse()

    def ask(headers: Any, scope: str) -> tuple[int, dict[str, Any]]:
        view: Any = (
            protected_resource([scope])(lambda _: HttpResponse())
            if is_decorator
            else type("Own", (View,), {"required_scopes": [scope]}).as_view()  # type: ignore[attr-defined]
        )
        recorder.clear()
        with recorder.request():
            status = view(RequestFactory(HTTP_HOST="127.0.0.1").get(f"/{presented}", headers=headers)).status_code
        shown = {name.removeprefix("keyaudit."): value for name, value in recorder.server_span().items()}
        return status, {name: shown.get(name) for name in ("outcome", "key.id", "decision.outcome", "decision.missing")}

    credential = oauth_toolkit()
    key_id = credential.snapshot["id"]
    recorder.instrument(presets="oauth-toolkit")

    accepted = {"outcome": "accepted", "key.id": key_id, "decision.missing": None}
    assert ask(credential.allowed, "note:read") == (200, {**accepted, "decision.outcome": "granted"})
    refused = {**accepted, "decision.outcome": "denied", "decision.missing": ("note:delete",)}
    assert ask(credential.allowed, "note:delete") == (403, refused)
    nothing = {**dict.fromkeys(accepted), "decision.outcome": None}
    assert ask({}, "note:read") == (403, nothing)
    assert ask(credential.denied, "note:read") == (403, {**nothing, "outcome": "denied"})
    token = AccessToken.objects.get(pk=key_id)
    token.expires -= timedelta(days=100_000)
    token.save()
    assert ask(credential.allowed, "note:read") == (403, {**nothing, "outcome": "denied"})
    assert recorder.authentications() == {"accepted": 2, "denied": 2}
    assert decisions(recorder) == {("granted", "scope"): 1, ("denied", "scope"): 1}
    assert recorder.degraded() == {}


@pytest.mark.parametrize("outage", OUTAGES)
def test_oauth_toolkit_outage_of_a_view_without_a_framework_is_an_error(
    outage: type[Exception], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that cannot be loaded denies nothing."""
    from django.test import RequestFactory  # noqa: PLC0415 - not everywhere
    from oauth2_provider.decorators import protected_resource  # noqa: PLC0415
    from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: PLC0415

    recorder.instrument(presets="oauth-toolkit")
    monkeypatch.setattr(OAuth2Validator, "_load_access_token", lambda *_: _outage(outage))
    request = RequestFactory(HTTP_HOST="127.0.0.1").get("/", headers={"Authorization": "Bearer oauth-s3cret-x"})

    error, decision = decide(recorder, lambda: protected_resource(["note:read"])(lambda _: None)(request))

    assert type(error) is outage
    assert (decision["outcome"], decision["required"]) == ("error", ("note:read",))


def test_oauth_toolkit_outage_is_an_error(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage in which the token cannot be checked is an error."""
    from oauth2_provider.contrib.rest_framework import TokenHasScope  # noqa: PLC0415 - not everywhere
    from oauth2_provider.models import AccessToken  # noqa: PLC0415

    recorder.instrument(presets="oauth-toolkit")
    monkeypatch.setattr(AccessToken, "is_valid", lambda *_: _outage())

    decision = decide(recorder, _view(TokenHasScope, required_scopes=["note:read"], auth=_token("")))[1]

    assert (decision["outcome"], decision["required"]) == ("error", ("note:read",))


@pytest.mark.parametrize(
    ("scopes", "required", "outcome"),
    [(["note:read"], "note:read", "granted"), (["note:read"], "note:delete", "denied")],
)
def test_drf_scoped_permissions_requires_the_scope_of_the_view(
    scopes: list[str], required: str, outcome: str, recorder: Recorder
) -> None:
    """The scope that the permission class determines is the requirement."""
    from drf_scoped_permissions.models import ScopedAPIKey  # noqa: PLC0415 - not everywhere
    from drf_scoped_permissions.permissions import HasAPIKeyOrGroupScope  # noqa: PLC0415

    recorder.instrument(presets="drf-scoped-permissions")
    view = _view(HasAPIKeyOrGroupScope, required_scope=required, auth=ScopedAPIKey(scopes=scopes))

    decision = decide(recorder, view)[1]

    assert (decision["outcome"], decision["cause"], decision["required"]) == (outcome, "scope", (required,))


def test_drf_scoped_permissions_outage_is_an_error(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage in which the scopes cannot be read is an error."""
    from drf_scoped_permissions.models import ScopedAPIKey  # noqa: PLC0415 - not everywhere
    from drf_scoped_permissions.permissions import HasAPIKeyOrGroupScope  # noqa: PLC0415

    recorder.instrument(presets="drf-scoped-permissions")
    monkeypatch.setattr(ScopedAPIKey, "has_scope", lambda *_: _outage())
    view = _view(HasAPIKeyOrGroupScope, required_scope="note:read", auth=ScopedAPIKey(scopes=["x"]))

    assert decide(recorder, view)[1]["outcome"] == "error"


# Starlette


@pytest.mark.parametrize("is_async", [True, False])
def test_starlette_requires_decides_before_the_endpoint_runs(is_async: bool, keyaudit_recorder: Recorder) -> None:
    """A failure of the endpoint denies nothing, and a connection without credentials is an error."""
    import asyncio  # noqa: PLC0415
    import inspect  # noqa: PLC0415

    from starlette.authentication import AuthCredentials, requires  # noqa: PLC0415 - not everywhere
    from starlette.exceptions import HTTPException  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415

    async def endpoint(request: Request) -> None:
        raise HTTPException(404)

    def endpoint_in_thread(request: Request) -> None:
        raise HTTPException(404)

    def ask(scope: str, **auth: Any) -> tuple[Any, dict[str, Any]]:
        view: Any = requires(scope)(endpoint if is_async else endpoint_in_thread)

        def check() -> None:
            answer = view(Request({"type": "http", "method": "GET", "headers": [], **auth}))
            if inspect.isawaitable(answer):
                asyncio.run(answer)  # type: ignore[arg-type]

        return decide(keyaudit_recorder, check)

    keyaudit_recorder.instrument(presets="starlette")
    credentials = AuthCredentials(["note:read"])

    error, decision = ask("note:read", auth=credentials)
    assert (error.status_code, decision["outcome"], decision["cause"]) == (404, "granted", "scope")
    error, decision = ask("note:delete", auth=credentials)
    assert (error.status_code, decision["outcome"], decision["missing"]) == (403, "denied", ("note:delete",))
    error, decision = ask("note:read")
    assert isinstance(error, AssertionError)
    assert decision["outcome"] == "error"


@pytest.mark.parametrize("outage", OUTAGES)
def test_starlette_outage_is_an_error(outage: type[Exception], keyaudit_recorder: Recorder) -> None:
    """Credentials that cannot be read deny nothing."""
    from starlette.authentication import has_required_scope  # noqa: PLC0415 - not everywhere

    class Connection:
        @property
        def auth(self) -> Any:
            raise outage

    keyaudit_recorder.instrument(presets="starlette")

    decision = decide(keyaudit_recorder, lambda: has_required_scope(Connection(), ["note:read"]))[1]  # type: ignore[arg-type]

    assert (decision["outcome"], decision["required"]) == ("error", ("note:read",))


# Litestar


@pytest.mark.parametrize(
    ("scopes", "match", "outcome"),
    [
        (["note:read"], "all", "granted"),
        (["note:delete"], "all", "denied"),
        (["note:read", "note:delete"], "any", "granted"),
        (["note:read", "note:delete"], "all", "denied"),
    ],
)
@pytest.mark.parametrize("is_made_before", [True, False])
def test_litestar_api_auth_guard_requires_its_scopes(
    scopes: list[str], match: Any, outcome: str, is_made_before: bool, keyaudit_recorder: Recorder
) -> None:
    """Guards made before and after ``instrument()`` are observed."""
    from litestar_api_auth.guards import require_scope, require_scopes  # noqa: PLC0415 - not everywhere

    guards = [require_scopes(*scopes, match=match)] + [require_scope(scopes[0])] * (len(scopes) == 1)
    keyaudit_recorder.instrument(presets="litestar-api-auth")
    if not is_made_before:
        guards = [require_scopes(*scopes, match=match)]

    for guard in guards:
        decision = decide(keyaudit_recorder, lambda guard=guard: guard(_litestar_connection(), None))[1]  # type: ignore[misc]
        assert (decision["outcome"], decision["cause"], decision["required"]) == (outcome, "scope", tuple(scopes))


def test_litestar_api_auth_outage_is_an_error(keyaudit_recorder: Recorder) -> None:
    """An outage in which the state of the request cannot be read is an error."""
    from litestar_api_auth.guards import require_scope  # noqa: PLC0415 - not everywhere

    keyaudit_recorder.instrument(presets="litestar-api-auth")
    connection = SimpleNamespace(state=SimpleNamespace(get=lambda _: _outage()))

    decision = decide(keyaudit_recorder, lambda: require_scope("note:read")(connection, None))[1]

    assert (decision["outcome"], decision["required"]) == ("error", ("note:read",))


def _litestar_connection() -> Any:
    from datetime import datetime, timezone  # noqa: PLC0415

    from litestar_api_auth.backends.base import APIKeyInfo  # noqa: PLC0415 - not everywhere

    info = APIKeyInfo(
        key_id="k_1", key_hash="", name="loader", scopes=["note:read"], is_active=True,
        created_at=datetime.now(timezone.utc),
    )  # fmt: skip
    return SimpleNamespace(state={"api_key": info})


# authx, keygate, keyshield


@pytest.mark.parametrize(
    ("required", "all_required", "outcome"),
    [
        (["note:read"], True, "granted"),
        (["note:read", "note:delete"], True, "denied"),
        (["note:read", "note:delete"], False, "granted"),
    ],
)
def test_authx_requires_the_scopes_of_the_check(
    required: list[str], all_required: bool, outcome: str, keyaudit_recorder: Recorder
) -> None:
    """The check of a token's scopes decides."""
    from authx import TokenPayload  # noqa: PLC0415 - not everywhere

    keyaudit_recorder.instrument(presets="authx")
    payload = TokenPayload(sub="1", scopes=["note:read"])

    result, decision = decide(keyaudit_recorder, lambda: payload.has_scopes(*required, all_required=all_required))

    assert result is (outcome == "granted")
    assert (decision["outcome"], decision["cause"], decision["required"]) == (outcome, "scope", tuple(required))


@pytest.mark.parametrize("outage", OUTAGES)
def test_authx_outage_is_an_error(outage: type[Exception], keyaudit_recorder: Recorder) -> None:
    """An outage in which the scopes of the token cannot be read is an error."""
    from authx._internal._scopes import has_required_scopes  # noqa: PLC0415 - not everywhere

    class Broken(list[str]):
        def __iter__(self) -> Any:
            raise outage

    keyaudit_recorder.instrument(presets="authx")

    decision = decide(keyaudit_recorder, lambda: has_required_scopes(["note:read"], Broken("x")))[1]

    assert decision["outcome"] == "error"


def test_authx_policy_is_one_decision(keyaudit_recorder: Recorder) -> None:
    """A rule whose scopes are missing denies nothing if another rule allows; a failing evaluator is an error."""
    from authx import PolicyContext, PolicyEngine, PolicyRule, TokenPayload  # noqa: PLC0415 - not everywhere

    keyaudit_recorder.instrument(presets="authx")
    admin, reader = (PolicyRule("allow", ["read"], ["note"], scopes=[scope]) for scope in ("note:admin", "note:read"))
    engine = PolicyEngine([admin, reader])
    payload = TokenPayload(sub="1", scopes=["note:read"])

    def evaluate(action: str) -> dict[str, Any]:
        context = PolicyContext("user", action, "note", payload=payload)
        return decide(keyaudit_recorder, lambda: asyncio.run(engine.evaluate(context)))[1]

    assert evaluate("read") == {
        "outcome": "granted",
        "cause": "scope",
        "required": ("note:read",),
        "scopes": ("note:read",),
    }
    assert evaluate("delete") == {"outcome": "denied", "cause": "unknown"}
    engine.add_evaluator(lambda *_: _outage())
    assert evaluate("read")["outcome"] == "error"
    assert decisions(keyaudit_recorder) == {("granted", "scope"): 1, ("denied", "unknown"): 1, ("error", None): 1}


@pytest.mark.parametrize("name", ["KeyGate", "AsyncKeyGate"])
def test_keygate_requires_the_scopes_of_the_dependency(name: str, keyaudit_recorder: Recorder) -> None:
    """Both gates authenticate, and the dependency that ``require_scopes`` returns decides."""
    import keygate  # noqa: PLC0415 - not everywhere
    from fastapi import HTTPException, Request, Response  # noqa: PLC0415

    async def settled(result: Any) -> Any:
        return await result if inspect.isawaitable(result) else result

    async def call(*scopes: str) -> None:
        gate = getattr(keygate, name)(db_url="sqlite://" if name == "KeyGate" else "sqlite+aiosqlite://")
        made = await settled(gate.create_key("owner-1", scopes=["note:read"]))
        headers = [(b"x-api-key", made.key.encode())]
        with keyaudit_recorder.request(), suppress(HTTPException):
            key = await settled(gate.require(Request({"type": "http", "headers": headers}), Response()))
            await settled(gate.require_scopes(*scopes)(key))
        await settled(gate._engine.dispose())

    keyaudit_recorder.instrument(presets="keygate")
    asyncio.run(call("note:read"))
    asyncio.run(call("note:read", "note:delete"))

    granted, denied = map(keyaudit_attributes, keyaudit_recorder.server_spans())
    assert (granted["keyaudit.key.id"], granted["keyaudit.decision.required"]) == ("1", ("note:read",))
    assert denied["keyaudit.decision.missing"] == ("note:delete",)
    assert keyaudit_recorder.authentications() == {"accepted": 2, "denied": 0}
    assert decisions(keyaudit_recorder) == {("granted", "scope"): 1, ("denied", "scope"): 1}


def test_keyshield_requires_the_scopes_of_the_verification(keyaudit_recorder: Recorder) -> None:
    """A missing scope is a denied decision, a wrong key is none, and an outage is an error."""
    import asyncio  # noqa: PLC0415

    from keyshield.hasher.argon2 import Argon2ApiKeyHasher  # noqa: PLC0415 - not everywhere
    from keyshield.repositories.in_memory import InMemoryApiKeyRepository  # noqa: PLC0415
    from keyshield.services.base import ApiKeyService  # noqa: PLC0415

    repository = InMemoryApiKeyRepository()
    service = ApiKeyService(repo=repository, hasher=Argon2ApiKeyHasher(pepper="pepper-of-16-bytes"))
    _, presented = asyncio.run(service.create(name="loader", scopes=["note:read"]))
    keyaudit_recorder.instrument(presets="keyshield")

    def verify(key: str, *scopes: str) -> dict[str, Any]:
        keyaudit_recorder.clear()
        with keyaudit_recorder.request(), suppress(Exception):
            asyncio.run(service.verify_key(key, required_scopes=list(scopes)))
        return keyaudit_recorder.server_span()

    span = verify(presented, "note:read")
    assert (span["keyaudit.decision.outcome"], span["keyaudit.decision.cause"]) == ("granted", "scope")
    verify(presented, "note:delete")
    verify(presented)
    verify(presented[:-3] + "AAA", "note:read")
    assert decisions(keyaudit_recorder) == {("granted", "scope"): 1, ("denied", "unknown"): 1}
    repository.get_by_key_id = lambda *_: _outage()
    verify(presented, "note:read")
    assert decisions(keyaudit_recorder) == {("granted", "scope"): 1, ("denied", "unknown"): 1, ("error", None): 1}


def test_keyshield_denial_of_another_key_is_no_decision_about_the_caller(keyaudit_recorder: Recorder) -> None:
    """The management API verifies any key for its caller, whose scopes have nothing to do with the answer."""
    import asyncio  # noqa: PLC0415

    from keyshield.domain.errors import InvalidScopes  # noqa: PLC0415 - not everywhere
    from keyshield.hasher.argon2 import Argon2ApiKeyHasher  # noqa: PLC0415
    from keyshield.repositories.in_memory import InMemoryApiKeyRepository  # noqa: PLC0415
    from keyshield.services.base import ApiKeyService  # noqa: PLC0415

    service = ApiKeyService(
        repo=InMemoryApiKeyRepository(),
        hasher=Argon2ApiKeyHasher(pepper="pepper-of-16-bytes"),
        max_delay=0,
        min_delay=0,
    )
    caller, presented = asyncio.run(service.create(name="admin", scopes=["key:verify"]))
    _, other = asyncio.run(service.create(name="loader", scopes=["note:read"]))
    keyaudit_recorder.instrument(presets="keyshield")

    def verify(asked: str) -> dict[str, Any]:
        keyaudit_recorder.clear()
        with keyaudit_recorder.request():
            asyncio.run(service.verify_key(presented))
            with suppress(InvalidScopes):
                asyncio.run(service.verify_key(asked, ["note:delete"]))
        return keyaudit_recorder.server_span()

    about_another = verify(other)
    assert about_another["keyaudit.key.id"] == caller.key_id
    assert not any("decision" in name for name in about_another)
    assert decisions(keyaudit_recorder) == {}
    assert verify(presented)["keyaudit.decision.missing"] == ("note:delete",)
    assert decisions(keyaudit_recorder) == {("denied", "scope"): 1}


# MCP


@pytest.mark.parametrize(
    ("preset", "path"),
    [("mcp", "mcp.server.auth.middleware.bearer_auth"), ("fastmcp", "fastmcp.server.auth.middleware")],
)
def test_mcp_refusal_for_a_missing_scope_is_a_denied_decision(
    preset: str, path: str, keyaudit_recorder: Recorder
) -> None:
    """A server that requires a scope refuses a token without it; a missing token is not a decision."""
    import asyncio  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser  # noqa: PLC0415 - not everywhere
    from mcp.server.auth.provider import AccessToken  # noqa: PLC0415
    from starlette.authentication import AuthCredentials  # noqa: PLC0415

    keyaudit_recorder.instrument(presets=preset)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*_: Any) -> None:
        raise StoreError

    def ask(required: str, **scope: Any) -> tuple[Any, dict[str, Any]]:
        middleware = import_module(path).RequireAuthMiddleware(app, [required])
        asgi = {"type": "http", "headers": [(b"authorization", b"Bearer x")], **scope}
        return decide(keyaudit_recorder, lambda: asyncio.run(middleware(asgi, None, send)))

    user = AuthenticatedUser(AccessToken(token="x", client_id="k_1", scopes=["note:read"]))
    authenticated = {"user": user, "auth": AuthCredentials(["note:read"])}

    decision = ask("note:delete", **authenticated)[1]
    assert (decision["outcome"], decision["cause"], decision["missing"]) == ("denied", "scope", ("note:delete",))
    ask("note:delete")
    assert isinstance(ask("note:read", **authenticated)[0], StoreError)
    assert decisions(keyaudit_recorder) == {("denied", "scope"): 1}
    assert [message["status"] for message in sent if "status" in message] == [403, 401]


def test_fastmcp_checks_of_a_component_are_one_decision(keyaudit_recorder: Recorder) -> None:
    """The scopes of all checks that apply to the component are the requirement."""
    import asyncio  # noqa: PLC0415

    from fastmcp.exceptions import AuthorizationError  # noqa: PLC0415 - not everywhere
    from fastmcp.server.auth import AccessToken, require_scopes, restrict_tag  # noqa: PLC0415
    from fastmcp.utilities.authorization import AuthContext, run_auth_checks_with_shortfall  # noqa: PLC0415

    keyaudit_recorder.instrument(presets="fastmcp")
    token = AccessToken(token="x", client_id="k_1", scopes=["note:read"])
    context: Any = AuthContext(token=token, component=SimpleNamespace(tags={"internal"}))

    def ask(*checks: Any) -> tuple[Any, dict[str, Any]]:
        return decide(keyaudit_recorder, lambda: asyncio.run(run_auth_checks_with_shortfall(list(checks), context)))

    def refuse(_: Any) -> bool:
        raise AuthorizationError

    decision = ask(require_scopes("note:read"), restrict_tag("other", scopes=["note:delete"]))[1]
    assert (decision["outcome"], decision["cause"], decision["required"]) == ("granted", "scope", ("note:read",))
    result, decision = ask(require_scopes("note:read"), restrict_tag("internal", scopes=["note:delete"]))
    assert result == (False, ["note:delete"])
    assert (decision["outcome"], decision["required"]) == ("denied", ("note:read", "note:delete"))
    assert ask(refuse)[1]["outcome"] == "denied"


def test_fastmcp_check_of_the_application_requires_no_scopes(keyaudit_recorder: Recorder) -> None:
    """Attributes of the application's own check are not read, although those of fastmcp have the same names."""
    from fastmcp.server.auth import AccessToken  # noqa: PLC0415 - not everywhere
    from fastmcp.utilities.authorization import AuthContext, run_auth_checks_with_shortfall  # noqa: PLC0415

    class Own:
        tag = "internal"

        @property
        def required_scopes(self) -> Any:
            raise AssertionError

        def __call__(self, _: Any) -> bool:
            return True

    keyaudit_recorder.instrument(presets="fastmcp")
    token = AccessToken(token="x", client_id="k_1", scopes=["note:read"])
    context: Any = AuthContext(token=token, component=SimpleNamespace(tags={"internal"}))

    decision = decide(keyaudit_recorder, lambda: asyncio.run(run_auth_checks_with_shortfall(Own(), context)))[1]

    assert decision == {"outcome": "granted", "cause": "unknown"}
    assert keyaudit_recorder.degraded() == {}


@pytest.mark.parametrize("outage", OUTAGES)
def test_fastmcp_outage_is_an_error(outage: type[Exception], keyaudit_recorder: Recorder) -> None:
    """A check that cannot name its missing scopes fails; fastmcp itself turns other failures into refusals."""
    import asyncio  # noqa: PLC0415

    from fastmcp.utilities.authorization import (  # noqa: PLC0415 - not everywhere
        AuthContext,
        _ScopeAwareCheck,
        run_auth_checks_with_shortfall,
    )

    class Broken(_ScopeAwareCheck):
        def __call__(self, ctx: Any) -> bool:
            return False

        def missing_scopes(self, ctx: Any) -> set[str]:
            raise outage

    keyaudit_recorder.instrument(presets="fastmcp")
    context = AuthContext(token=None, component=SimpleNamespace(tags=set()))

    decision = decide(keyaudit_recorder, lambda: asyncio.run(run_auth_checks_with_shortfall([Broken()], context)))[1]

    assert decision["outcome"] == "error"


# casbin

MODEL = """
[request_definition]
r = {request}
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""


def _enforcer(request: str = "sub, obj, act", kind: str = "Enforcer") -> Any:
    import casbin  # noqa: PLC0415 - not everywhere

    model = casbin.Enforcer.new_model(text=MODEL.format(request=request))
    enforcer = getattr(casbin, kind)(model)
    for action in ("read", "delete"):
        added = enforcer.add_policy("alice", "note", action)
        if inspect.isawaitable(added):
            asyncio.run(_awaited(added))
    return enforcer


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@pytest.mark.parametrize("kind", ["Enforcer", "SyncedEnforcer", "FastEnforcer", "AsyncEnforcer"])
@pytest.mark.parametrize("method", ["enforce", "enforce_ex"])
def test_casbin_decides_about_object_and_action(kind: str, method: str, keyaudit_recorder: Recorder) -> None:
    """The result grants; the key's scopes explain it."""
    keyaudit_recorder.instrument(presets="casbin")
    enforce = getattr(_enforcer(kind=kind), method)

    decision = decide(keyaudit_recorder, lambda: enforce("alice", "note", "read"))[1]
    assert decision == {"outcome": "granted", "cause": "scope", "required": ("note:read",), "scopes": ("note:read",)}
    decision = decide(keyaudit_recorder, lambda: enforce("alice", "note", "delete"))[1]
    assert (decision["outcome"], decision["cause"]) == ("granted", "unknown")
    decision = decide(keyaudit_recorder, lambda: enforce("bob", "note", "create"))[1]
    assert (decision["outcome"], decision["cause"], decision["missing"]) == ("denied", "scope", ("note:create",))
    assert decisions(keyaudit_recorder) == {("granted", "scope"): 1, ("granted", "unknown"): 1, ("denied", "scope"): 1}


def test_casbin_request_with_a_domain_names_object_and_action(keyaudit_recorder: Recorder) -> None:
    """The model's request definition says which value is which."""
    keyaudit_recorder.instrument(presets="casbin")
    enforcer = _enforcer("sub, dom, obj, act")

    assert decide(keyaudit_recorder, lambda: enforcer.enforce("alice", "eu", "note", "read"))[1]["required"] == (
        "note:read",
    )


def test_casbin_object_that_is_no_string_is_no_requirement(keyaudit_recorder: Recorder) -> None:
    """An object with attributes is not converted to a string."""
    keyaudit_recorder.instrument(presets="casbin")

    decision = decide(keyaudit_recorder, lambda: _enforcer().enforce("alice", SimpleNamespace(owner="x"), "read"))[1]

    assert decision == {"outcome": "denied", "cause": "unknown"}
    assert keyaudit_recorder.degraded() == {}


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("method", ["enforce", "enforce_ex"])
@pytest.mark.parametrize("kind", ["Enforcer", "SyncedEnforcer", "AsyncEnforcer"])
def test_casbin_outage_is_an_error(
    kind: str, method: str, outage: type[Exception], keyaudit_recorder: Recorder
) -> None:
    """A failing function of the policy is an error."""
    keyaudit_recorder.instrument(presets="casbin")
    enforcer = _enforcer(kind=kind)
    getattr(enforcer, "_e", enforcer).fm.get_functions = partial(_outage, outage)

    decision = decide(keyaudit_recorder, lambda: getattr(enforcer, method)("alice", "note", "read"))[1]

    assert decision["outcome"] == "error"
    assert decisions(keyaudit_recorder) == {("error", None): 1}


class _Shouting(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()

    def __format__(self, _: str) -> str:
        return self.upper()


class _Action(str, Enum):
    READ = "read"


@pytest.mark.parametrize("action", [_Action.READ, _Shouting("read")], ids=["member", "subclass"])
def test_casbin_strings_count_as_their_value(action: str, keyaudit_recorder: Recorder) -> None:
    """A member of an enumeration of strings is its value, and a subclass of ``str`` is not asked how to show itself."""
    keyaudit_recorder.instrument(presets="casbin")

    result, decision = decide(keyaudit_recorder, lambda: _enforcer().enforce("alice", "note", action))

    assert result is True
    assert decision == {"outcome": "granted", "cause": "scope", "required": ("note:read",), "scopes": ("note:read",)}


def test_casbin_decides_in_an_event_loop(recorder: Recorder) -> None:
    """Concurrent requests keep their own decisions, and a batch is one decision for each of its requests."""
    recorder.instrument(presets="casbin")
    enforcer = _enforcer(kind="AsyncEnforcer")

    async def request(*checks: tuple[str, str, str]) -> list[bool]:
        with recorder.request(), use_key(KEY):
            await asyncio.sleep(0)
            answers: list[bool] = enforcer.batch_enforce(checks)
            await asyncio.sleep(0)
            return answers

    async def main() -> list[list[bool]]:
        return [
            *await asyncio.gather(
                request(("alice", "note", "read")),
                request(("bob", "note", "read")),
                request(("alice", "note", "read"), ("bob", "note", "create")),
            )
        ]

    assert asyncio.run(main()) == [[True], [False], [True, False]]
    shown = [span.attributes or {} for span in recorder.spans if span.kind is SpanKind.SERVER]
    found = [(span["keyaudit.decision.outcome"], span["keyaudit.decision.required"]) for span in shown]
    assert sorted(found) == [("denied", ("note:create",)), ("denied", ("note:read",)), ("granted", ("note:read",))]
    assert decisions(recorder) == {("granted", "scope"): 2, ("denied", "other"): 1, ("denied", "scope"): 1}
