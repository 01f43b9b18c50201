"""Django: a middleware stores the key in the request and calls the view."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from integration.shapes.apps.common import KEYS, create_note


class KeyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        presented = request.headers.get("X-API-Key")
        if presented is not None and presented not in KEYS:
            raise PermissionDenied
        request.api_key = None if presented is None else KEYS[presented]
        return self.get_response(request)


def create(_: HttpRequest) -> HttpResponse:
    """Create a note."""
    return HttpResponse(create_note())


urlpatterns = [path("notes", create)]
app = get_wsgi_application()
