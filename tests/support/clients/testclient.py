"""Starlette's test client, with the installed HTTP client."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have the successor of httpx
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
