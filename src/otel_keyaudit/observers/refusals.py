"""Distinguish exceptions that refuse a caller from exceptions that report a failure."""

from __future__ import annotations

REFUSALS = frozenset(
    {
        "PermissionDenied", "PermissionDeniedException", "Forbidden", "ForbiddenError", "Unauthorized", "NotAuthorized",
        "NotAuthorizedException", "NotAuthenticated", "AccessDenied", "AuthorizationError", "InsufficientScopeError",
    }
)  # fmt: skip
"""Names of exception classes that refuse a caller, in any library."""


def is_refusal(error: BaseException) -> bool:
    """Return whether an exception of an authorization check is a denial: an HTTP client error, or a refusing class."""
    return 400 <= (_http_status(error) or 0) < 500 or _is_of_refusing_class(error)


def is_denied_access(error: BaseException) -> bool:
    """Return whether an exception denies access: HTTP status 401 or 403 (RFC 9110), or a refusing class."""
    return _http_status(error) in (401, 403) or _is_of_refusing_class(error)


def _is_of_refusing_class(error: BaseException) -> bool:
    return isinstance(error, PermissionError) or any(kind.__name__ in REFUSALS for kind in type(error).__mro__)


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status of an exception, ``None`` without one. Other numbers are codes of the application."""
    for name in ("status_code", "code", "status"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 100 <= status <= 599:
            return int(status)
    return None
