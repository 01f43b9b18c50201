"""A real Jaeger for the tests, and the results of its query API."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import processes
from processes import get


class Jaeger(processes.Jaeger):
    """A Jaeger process on free loopback ports, and its query API."""

    def __enter__(self) -> Jaeger:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def services(self) -> list[str]:
        """Return the names of the services it knows."""
        return self._get_json("/api/services")["data"] or []

    def search(self, service: str, tags: dict[str, str], limit: int = 100) -> list[dict[str, Any]]:
        """Return the traces of a service with a span that has all these attributes."""
        return self.find({"service": service, "tags": json.dumps(tags), "limit": str(limit)})

    def find(self, parameters: dict[str, str]) -> list[dict[str, Any]]:
        """Return the traces that `/api/traces` finds for the parameters of a search in the UI."""
        traces: list[dict[str, Any]] = self._get_json("/api/traces", **parameters)["data"]
        return traces

    def otlp_trace(self, trace_id: str) -> dict[str, Any]:
        """Return a trace in OTLP JSON."""
        return dict(self._get_json(f"/api/v3/traces/{trace_id}")["result"])

    def _get_json(self, path: str, **parameters: str) -> Any:
        return json.loads(get(f"{self.query}{path}?{urlencode(parameters)}"))
