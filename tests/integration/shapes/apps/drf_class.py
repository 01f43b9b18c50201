"""Django REST framework: an authentication class of the application's own."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integration.shapes.apps.common import KEYS, Key, create_note


class KeyAuthentication(BaseAuthentication):  # type: ignore[misc]
    def authenticate(self, request: Request) -> tuple[None, Key] | None:
        presented = request.headers.get("X-API-Key")
        if presented is None:
            return None
        if presented not in KEYS:
            raise AuthenticationFailed
        return None, KEYS[presented]


class NotesView(APIView):  # type: ignore[misc]
    authentication_classes = (KeyAuthentication,)
    permission_classes = ()

    def post(self, _: Request) -> Response:
        return Response(create_note())


urlpatterns = [path("notes", NotesView.as_view())]
app = get_wsgi_application()
