from django.db import connection
from django.http import HttpRequest, HttpResponse
from pghistory.middleware import HistoryMiddleware


class HistoryOnPostgreSQL(HistoryMiddleware):
    """Gives the context to statements where triggers read it: elsewhere they would not be valid."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if connection.vendor == "postgresql":
            return super().__call__(request)
        return self.get_response(request)
