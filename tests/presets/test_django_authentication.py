"""Each way to authenticate in Django: an allowed, a denied and an anonymous request over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.errors import MissingError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.presets._registry import key_types
from otel_keyaudit.targets.call import Call
from otel_keyaudit.testing import Recorder, assert_names_no_key
from presets.requests import assert_key_is_recorded, django_requests, requests
from presets.serving import serving_wsgi

NAMES = (
    "drf-token", "knox", "simplejwt", "oauth-toolkit", "drf-api-key", "drf-scoped-permissions", "drf-simple-apikey",
    "tenant-apikeys", "keysmith", "ninja", "ninja-api-key",
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


@pytest.mark.parametrize("name", NAMES)
def test_the_key_is_on_the_row_and_on_the_span(name: str, recorder: Recorder) -> None:
    """Row and span of an allowed request name the key; a denied request has the reason, an anonymous one nothing."""
    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415 - not everywhere

    credential = CREDENTIALS[name]()
    recorder.instrument(presets=name, audit_targets=["presets.django_project.audit:record"])

    answers = django_requests(recorder, name, credential.allowed, credential.denied, {})

    assert_key_is_recorded(recorder, credential, answers)


MODELS = (
    "rest_framework.authtoken.models:Token",
    "knox.models:AuthToken",
    "oauth2_provider.models:AccessToken",
    "rest_framework_api_key.models:APIKey",
    "drf_scoped_permissions.models:ScopedAPIKey",
    "presets.django_project.models:TenantKey",
    "keysmith.models:Token",
)


@pytest.mark.parametrize("model", MODELS)
def test_a_key_is_read_without_a_question_to_the_database(model: str, recorder: Recorder) -> None:
    """Reading the key runs no query, which would cost time and fail in asynchronous code."""
    from django.db import connection  # noqa: PLC0415 - not everywhere
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415

    for create in CREDENTIALS.values():
        create()
    module, _, name = model.partition(":")
    key = getattr(import_module(module), name).objects.first()
    kind = key_types({}).of(type(key))
    assert kind is not None

    with CaptureQueriesContext(connection) as queries:
        for field in kind.fields.values():
            with suppress(MissingError):
                field.read(Call(Binding(len, has_self=False), (), {}), key)

    assert queries.captured_queries == []


def test_preset_of_the_framework_is_enough(recorder: Recorder) -> None:
    """The framework's preset knows the key by its class, without the library's own preset."""
    from presets.django_project.credentials import drf_token  # noqa: PLC0415 - not everywhere

    credential = drf_token()
    recorder.instrument(presets="drf", audit_targets=["presets.django_project.audit:record"])

    answers = django_requests(recorder, "drf-token", credential.allowed, credential.denied, {})

    assert_key_is_recorded(recorder, credential, answers)


@pytest.mark.parametrize("name", ["knox", "ninja"])
def test_items_of_a_batch_that_calls_views_name_their_own_keys(name: str, recorder: Recorder) -> None:
    """A view that another request calls with a request of its own has its own key."""
    from django.db import connections  # noqa: PLC0415 - not everywhere
    from django.test import RequestFactory  # noqa: PLC0415 - not everywhere
    from django.urls import resolve  # noqa: PLC0415

    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415

    credentials = [CREDENTIALS[name]() for _ in range(2)]
    recorder.instrument(presets=name, audit_targets=["presets.django_project.audit:record"])
    record = import_module("presets.django_project.audit").record

    def batch(environ: Any, start_response: Any) -> list[bytes]:
        for credential in credentials:
            resolve(f"/{name}").func(RequestFactory().post(f"/{name}", headers=credential.allowed))
            record("batch")
        connections.close_all()  # of this thread, which serves no request of Django
        start_response("200 OK", [])
        return []

    assert requests(serving_wsgi(batch, recorder), "", {}) == [200]

    ids = [credential.snapshot["id"] for credential in credentials]
    named = [(row or {}).get("request_api_key", {}).get("id") for row in recorder.rows]
    assert named == [ids[0], None, ids[1], None]


@pytest.mark.parametrize("name", ["knox", "ninja"])
def test_view_of_a_request_whose_meta_was_replaced_belongs_to_the_request(name: str, recorder: Recorder) -> None:
    """A middleware may give the request a changed copy of ``META``, and the server span still has the key."""
    from django.conf import settings  # noqa: PLC0415 - not everywhere

    from presets.django_project.credentials import CREDENTIALS  # noqa: PLC0415

    credential = CREDENTIALS[name]()
    recorder.instrument(presets=name, audit_targets=["presets.django_project.audit:record"])
    before = settings.MIDDLEWARE
    settings.MIDDLEWARE = [*before, "presets.django_project.middleware.replace_meta"]
    try:
        answers = django_requests(recorder, name, credential.allowed, credential.denied, {})
    finally:
        settings.MIDDLEWARE = before
    assert_key_is_recorded(recorder, credential, answers)


def test_string_as_credential_is_no_key(recorder: Recorder) -> None:
    """A string in ``request.auth`` can be the presented key itself, so it is skipped without a failure."""
    from presets.django_project.credentials import drf_simple_apikey  # noqa: PLC0415 - not everywhere

    credential = drf_simple_apikey()
    recorder.instrument(presets="drf", audit_targets=["presets.django_project.audit:record"])

    django_requests(recorder, "drf-simple-apikey", credential.allowed)

    assert_names_no_key(recorder.rows[0])
    assert recorder.degraded() == {}
    recorder.assert_no_secret(*credential.secrets)


class ServiceKey:
    """A key object of the application."""

    id = "k_service"
    scopes = ("note:read",)
    is_authenticated = True


def _own_view(answer: Callable[[], Any], inside: Callable[[], None]) -> Callable[[], Any]:
    """Return a call of a view with an authentication class of the application."""
    from rest_framework.authentication import BaseAuthentication  # noqa: PLC0415 - not everywhere
    from rest_framework.permissions import IsAuthenticated  # noqa: PLC0415
    from rest_framework.response import Response  # noqa: PLC0415
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    class OwnAuthentication(BaseAuthentication):
        def authenticate(self, request: Any) -> Any:
            return answer()

        def authenticate_header(self, request: Any) -> str:
            return "Own"

    class Own(APIView):
        authentication_classes = (OwnAuthentication,)
        permission_classes = (IsAuthenticated,)

        def get(self, request: Any) -> Response:
            inside()
            return Response(status=200)

    return lambda: Own.as_view()(APIRequestFactory().get("/"))


def _refuse() -> Any:
    from rest_framework.exceptions import AuthenticationFailed  # noqa: PLC0415 - not everywhere

    raise AuthenticationFailed


def _django_user() -> Any:
    from django.contrib.auth.models import User  # noqa: PLC0415 - not everywhere

    return User(pk=1, username="alice")


@pytest.mark.parametrize("name", ["UNAUTHENTICATED_USER", "UNAUTHENTICATED_TOKEN"])
def test_settings_for_anonymous_requests_are_no_key(
    name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application may give anonymous requests a custom user or token."""
    from rest_framework.settings import api_settings  # noqa: PLC0415 - not everywhere

    monkeypatch.setattr(api_settings, name, lambda: SimpleNamespace(id="nobody", is_authenticated=False))
    recorder.instrument(presets="drf")
    with recorder.request():
        assert _own_view(lambda: None, lambda: None)().status_code == 401

    assert "keyaudit.key.id" not in recorder.server_span()
    assert recorder.authentications() == {"accepted": 0, "denied": 0}
    assert recorder.degraded() == {}


def _user_of_a_session(*, is_used: bool) -> Any:
    """Return a user as ``AuthenticationMiddleware`` sets it: a lazy object."""
    from django.utils.functional import SimpleLazyObject  # noqa: PLC0415 - not everywhere

    user = SimpleLazyObject(_django_user)
    assert not is_used or user.username == "alice"
    return user


@pytest.mark.parametrize(
    ("answer", "status", "outcome", "key_id"),
    [
        (lambda: (_django_user(), ServiceKey()), 200, "accepted", "k_service"),
        (lambda: (ServiceKey(), None), 200, "accepted", "k_service"),
        (lambda: (_django_user(), None), 200, None, None),
        (lambda: (_user_of_a_session(is_used=True), None), 200, None, None),
        (lambda: (_user_of_a_session(is_used=False), None), 200, None, None),
        (lambda: (_django_user(), "own-s3cret-of-16-letters"), 200, None, None),
        (lambda: (ServiceKey(), "own-s3cret-of-16-letters"), 200, None, None),
        (lambda: None, 401, None, None),
        (_refuse, 401, "denied", None),
    ],
    ids=[
        "auth",
        "user",
        "django user",
        "user of a session",
        "unused user",
        "secret",
        "secret of a key",
        "anonymous",
        "refused",
    ],
)
def test_authentication_class_of_the_application(
    answer: Callable[[], Any], status: int, outcome: str | None, key_id: str | None, recorder: Recorder
) -> None:
    """The key is ``request.auth``, or the user if it is no Django user and there is no ``request.auth``."""
    from presets.django_project.audit import record  # noqa: PLC0415 - not everywhere

    recorder.instrument(presets="drf", audit_targets=["presets.django_project.audit:record"])
    with recorder.request():
        response = _own_view(answer, lambda: record("note.read", {"by": "application"}))()

    assert response.status_code == status
    span = recorder.server_span()
    assert (span.get("keyaudit.outcome"), span.get("keyaudit.key.id")) == (outcome, key_id)
    if key_id is not None:
        (row,) = recorder.rows
        assert row["request_api_key"]["id"] == key_id
        assert [decision["outcome"] for decision in row["request_api_key"]["decisions"]] == ["granted"]
    assert recorder.count("keyaudit.decisions") == (outcome != "denied")
    assert recorder.degraded() == {}
    recorder.assert_no_secret("own-s3cret-of-16-letters")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("user", ["unused", "used", "anonymous"])
def test_user_is_no_key_of_ninja(is_async: bool, user: str, recorder: Recorder) -> None:
    """``django_auth`` returns ``request.user``, which is a lazy object; other functions may return any user."""
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415 - not everywhere
    from django.test import AsyncRequestFactory, RequestFactory  # noqa: PLC0415 - not everywhere
    from ninja.operation import AsyncOperation, Operation  # noqa: PLC0415

    def answer(request: Any) -> Any:
        return AnonymousUser() if user == "anonymous" else _user_of_a_session(is_used=user == "used")

    async def answer_later(request: Any) -> Any:
        return answer(request)

    recorder.instrument(presets="ninja")
    callbacks = [answer_later if is_async else answer]
    with recorder.request():
        if is_async:
            operation = AsyncOperation("/", ["GET"], answer_later, auth=callbacks)
            asyncio.run(operation._run_authentication(AsyncRequestFactory().get("/")))
        else:
            Operation("/", ["GET"], print, auth=callbacks)._run_authentication(RequestFactory().get("/"))

    assert recorder.server_span() == {}
    assert recorder.authentications() == {"accepted": 0, "denied": 0}


class _Request:
    """A request with a lazily found key, as middleware often stores it."""

    def __init__(self, find: Callable[[], Any]) -> None:
        from django.utils.functional import SimpleLazyObject  # noqa: PLC0415 - not everywhere

        self.api_key = SimpleLazyObject(find)


def _own_middleware(request: Any, view: Callable[[Any], None]) -> None:
    view(request)


@pytest.mark.parametrize("view", ["uses the key", "finds no key", "uses none"])
def test_lazy_key_is_recorded_once_it_is_used(view: str, recorder: Recorder) -> None:
    """A key inside a lazy object is known by its class, and the library does not create it."""
    from rest_framework_api_key.models import APIKey  # noqa: PLC0415 - not everywhere

    row, key = APIKey.objects.create_key(name="loader")
    recorder.instrument(auth_targets=[f"{__name__}:_own_middleware?key=args.request.api_key"])
    request = _Request(lambda: None if view == "finds no key" else row)
    with recorder.request():
        _own_middleware(request, lambda request: None if view == "uses none" else request.api_key == 1)

    assert recorder.server_span().get("keyaudit.key.id") == (row.prefix if view == "uses the key" else None)
    assert recorder.authentications() == {"accepted": int(view == "uses the key"), "denied": 0}
    assert recorder.degraded() == {}
    recorder.assert_no_secret(key, row.id, row.hashed_key)


def test_key_from_the_cache_of_a_manager_is_recorded(recorder: Recorder) -> None:
    """A manager of the application may override the method that finds a key, and not call the library's."""
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415 - not everywhere
    from rest_framework_api_key.models import APIKey, APIKeyManager  # noqa: PLC0415
    from rest_framework_api_key.permissions import HasAPIKey  # noqa: PLC0415

    row, key = APIKey.objects.create_key(name="loader")

    class CachingManager(APIKeyManager):
        def get_from_key(self, key: str) -> Any:
            return cached[key]

    class Proxy(APIKey):
        objects = CachingManager()

        class Meta:
            app_label = "presets"
            proxy = True

    class HasProxyKey(HasAPIKey):
        model = Proxy

    cached = {key: Proxy(id=row.id, prefix=row.prefix, name=row.name)}
    recorder.instrument(presets="drf-api-key")
    with recorder.request():
        sent = APIRequestFactory().get("/", headers={"Authorization": f"Api-Key {key}"})
        assert HasProxyKey().has_permission(sent, None)

    assert recorder.server_span()["keyaudit.key.id"] == row.prefix
    assert recorder.authentications() == {"accepted": 1, "denied": 0}
    recorder.assert_no_secret(key, row.id, row.hashed_key)


def _returned(key: Any) -> Any:
    return key


def _written(key: Any, additional_fields: Any = None) -> None:
    pass


@pytest.mark.parametrize("is_used", [False, True], ids=["unused", "used"])
def test_lazy_key_that_is_returned_or_the_subject_hides_its_secret(is_used: bool, recorder: Recorder) -> None:
    """The class of the key inside the lazy object tells which of its members are secret."""
    from rest_framework_api_key.models import APIKey  # noqa: PLC0415 - not everywhere

    row, _ = APIKey.objects.create_key(name="loader")
    lazy = _Request(lambda: row).api_key
    assert not is_used or lazy.name == "loader"
    here = __name__
    recorder.instrument(
        auth_targets=[f"{here}:_returned"], audit_targets=[f"{here}:_written?subject=args.key&subject_name=name"]
    )
    with recorder.request():
        _returned(lazy)
        _written(lazy)

    (span,) = recorder.audit_spans()
    assert recorder.server_span().get("keyaudit.key.id") == (row.prefix if is_used else None)
    assert (span.attributes or {}).get("keyaudit.subject.id") == (row.prefix if is_used else None)
    assert recorder.authentications() == {"accepted": int(is_used), "denied": 0}
    assert recorder.degraded() == {}
    recorder.assert_no_secret(row.id, row.hashed_key)
