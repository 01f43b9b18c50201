from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, HttpResponse
from pghistory.middleware import HistoryMiddleware


class HistoryOnPostgreSQL(HistoryMiddleware):
    """Gives the context to statements where triggers read it: elsewhere they would not be valid."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if connection.vendor == "postgresql":
            return super().__call__(request)
        return self.get_response(request)


def replace_meta(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Replace the ``META`` of each request by a changed copy."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META = {**request.META, "HTTP_X_REAL_IP": "192.0.2.1"}
        return get_response(request)

    return middleware
