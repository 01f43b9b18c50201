"""Starlette's test client, on whichever HTTP client is there."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have the successor of httpx
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
