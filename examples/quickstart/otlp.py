"""A small OTLP/HTTP receiver: it keeps the exported spans as OTLP JSON, and can send them to another endpoint."""

import base64
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service import DemoError

SERVER = 2  # SpanKind in OTLP
WAIT_SECONDS = 20.0
SEND_SECONDS = 10.0


@dataclass(frozen=True)
class Span:
    """The parts of a span that the report shows."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int
    attributes: dict[str, Any]


class Receiver:
    """Listens on a free loopback port while its `with` block runs."""

    def __init__(self) -> None:
        self._exports: list[tuple[bytes, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._exports))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, requests: int) -> None:
        """Wait for the server span of each request; it ends last, so the rest of its trace has arrived before."""
        end = time.monotonic() + WAIT_SECONDS
        while (arrived := sum(span.kind == SERVER for span in self.spans())) < requests:
            if time.monotonic() > end:
                raise DemoError(
                    f"only {arrived} of {requests} server spans arrived: the service's log above may say why"
                )
            time.sleep(0.05)

    def document(self) -> dict[str, Any]:
        """Return all received spans as one OTLP JSON document."""
        exports = [_to_json(body) for body, _ in list(self._exports)]
        return {"resourceSpans": [spans for export in exports for spans in export.get("resourceSpans", [])]}

    def spans(self) -> list[Span]:
        """Return every span received."""
        return [_span(span) for span in _span_members(self.document())]

    def pass_on(self, endpoint: str) -> None:
        """Send all received spans to another OTLP/HTTP endpoint."""
        for body, headers in self._exports:
            url = f"{endpoint.rstrip('/')}/v1/traces"
            request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 (http or https: checked)
            with _opener(endpoint).open(request, timeout=SEND_SECONDS):
                pass


def is_listening(endpoint: str) -> bool:
    """Return whether a server answers at the host and port of a URL."""
    parts = urlsplit(endpoint)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 4318), timeout=1):
            return True
    except OSError:
        return False


def _handler(exports: list[tuple[bytes, dict[str, str]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            own = {"host", "content-length", "connection", "accept-encoding"}
            exports.append((body, {name: value for name, value in self.headers.items() if name.lower() not in own}))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any, **_kwargs: Any) -> None:
            """Stay silent."""

    return Handler


def _to_json(body: bytes) -> dict[str, Any]:
    """Convert protobuf to OTLP JSON, which differs from protobuf's own JSON in that ids are hexadecimal."""
    export: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
    for span in _span_members(export):
        for member in (span, *span.get("links", [])):
            for name in {"traceId", "spanId", "parentSpanId"} & member.keys():
                member[name] = base64.b64decode(member[name]).hex()
    return export


def _span_members(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in document.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            yield from scope.get("spans", [])


def _span(member: dict[str, Any]) -> Span:
    return Span(
        trace_id=member["traceId"],
        span_id=member["spanId"],
        parent_id=member.get("parentSpanId", ""),
        name=member["name"],
        kind=member["kind"],
        start=int(member["startTimeUnixNano"]),
        end=int(member["endTimeUnixNano"]),
        attributes={item["key"]: _value(item.get("value", {})) for item in member.get("attributes", [])},
    )


def _value(value: dict[str, Any]) -> Any:
    """Decode an OTLP attribute value."""
    for kind, content in value.items():
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values", [])]
        return int(content) if kind == "intValue" else content
    return None


def _opener(endpoint: str) -> urllib.request.OpenerDirector:
    local = urlsplit(endpoint).hostname in ("localhost", "127.0.0.1", "::1")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))
