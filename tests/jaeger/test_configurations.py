"""Each configuration in examples/jaeger, with the real Jaeger."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from jaeger.server import HOST, Jaeger, eventually, get

FOLDER = Path(__file__).parents[2] / "examples" / "jaeger"
UI = json.loads((FOLDER / "ui.json").read_text())
SERVICE = "shop"

Start = Callable[..., Jaeger]

SPANS_IN_A_TRACE = 2
SPANS_IN_A_REQUEST = 500 * SPANS_IN_A_TRACE

INTERESTING = 40
REST = 2000
# One in a hundred of 2000 is 20. Trace ids are random: by the binomial distribution fewer than 3 arrive with a
# probability of 4.2e-7, more than 50 with 3.8e-9. (Of 1000 traces none at all would arrive with 4.3e-5: too often.)
REST_KEPT = range(3, 51)


@pytest.fixture
def start(jaeger_binary: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a configuration by name; whatever was started is stopped after the test."""
    started: list[Jaeger] = []

    def start(name: str, **environment: str) -> Jaeger:
        server = Jaeger(jaeger_binary, FOLDER / name, tmp_path, JAEGER_UI_CONFIG=str(FOLDER / "ui.json"), **environment)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@contextmanager
def tracer(server: Jaeger) -> Iterator[Tracer]:
    """A tracer of the service whose spans have reached the server when the block ends, each trace in one request."""
    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": SERVICE}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider.get_tracer(__name__)
    exporter = OTLPSpanExporter(f"{server.otlp}/v1/traces")
    finished = spans.get_finished_spans()
    for first in range(0, len(finished), SPANS_IN_A_REQUEST):
        assert exporter.export(finished[first : first + SPANS_IN_A_REQUEST]) is SpanExportResult.SUCCESS


def send(tracer: Tracer, root: dict[str, str], child: dict[str, str] | None = None) -> str:
    """Make one trace of a server span and an audit span, and return its id."""
    with tracer.start_as_current_span("POST /orders", attributes=root) as span:
        tracer.start_span("audit order.create", attributes=child).end()
    return f"{span.get_span_context().trace_id:032x}"


def ids(traces: list[dict[str, Any]]) -> set[str]:
    """The ids of the traces that a search has found."""
    return {trace["traceID"] for trace in traces}


def test_badger_survives_a_restart(start: Start) -> None:
    """What all-in-one.yaml has received is found by its key id, and only by its own, after a stop and a new start."""
    server = start("all-in-one.yaml")
    with tracer(server) as shop:
        sent = send(shop, {"keyaudit.key.id": "k_restart"})
        send(shop, {"keyaudit.key.id": "k_other"})
    server.stop()
    server.start()
    assert server.services() == [SERVICE]
    assert ids(server.search(SERVICE, {"keyaudit.key.id": "k_restart"})) == {sent}
    assert server.search(SERVICE, {"keyaudit.key.id": "k_unused"}) == []


def test_tail_sampling_keeps_what_an_audit_needs(start: Start) -> None:
    """Every trace with full detail or a denied outcome arrives, whole, and about one in a hundred of the rest."""
    server = start("tail-sampling.yaml", JAEGER_DECISION_WAIT="1s")
    minimal = {"keyaudit.detail": "minimal", "keyaudit.outcome": "accepted"}
    with tracer(server) as shop:
        rest = {send(shop, minimal, minimal) for _ in range(REST)}
        full = {send(shop, minimal, {"keyaudit.detail": "full"}) for _ in range(INTERESTING)}
        denied = {send(shop, {"keyaudit.outcome": "denied"}) for _ in range(INTERESTING)}
    assert eventually(lambda: decided(server) == REST + 2 * INTERESTING)
    kept = int(decided(server, sampled="true"))
    traces = eventually(lambda: whole(kept, server.find({"service": SERVICE, "limit": "5000"})))
    assert full | denied <= ids(traces)
    assert len(ids(traces) & rest) in REST_KEPT


def decided(server: Jaeger, **labels: str) -> float:
    """How many traces the tail sampling has decided about."""
    return server.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total", **labels)


def whole(count: int, traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The traces once they are that many and each has all its spans, and nothing before."""
    spans = [len(trace["spans"]) for trace in traces]
    return traces if spans == [SPANS_IN_A_TRACE] * count else []


def test_ui_configuration_is_served(start: Start) -> None:
    """Jaeger puts the whole of ui.json into its page."""
    page = get(f"{start('all-in-one.yaml').query}/search")
    served = re.findall(r"JAEGER_CONFIG = (.*);$", page, re.MULTILINE)
    assert [json.loads(each) for each in served] == [UI]


@pytest.mark.parametrize("pattern", UI["linkPatterns"], ids=lambda pattern: pattern["text"])
def test_link_pattern_finds_the_traces_of_a_key(jaeger: Jaeger, pattern: dict[str, str]) -> None:
    """A link, filled in as the UI does it, is a search that finds every trace of the key and no other."""
    key = f"k/{pattern['text']}"
    link = urlsplit(fill(pattern["url"], {pattern["key"]: key}))
    searched = dict(parse_qsl(link.query, strict_parsing=True))
    ((attribute, value),) = json.loads(searched["tags"]).items()
    with tracer(jaeger) as shop:
        sent = {send(shop, {attribute: key}), send(shop, {attribute: key})}
        send(shop, {attribute: "k_other"})
    assert (link.path, searched["service"], value) == ("/search", SERVICE, key)
    assert ids(eventually(lambda: whole(2, jaeger.find(searched)))) == sent
    assert pattern["type"] == "tags"
    assert fill(pattern["text"], {pattern["key"]: "k"}).endswith(" key k")


def fill(template: str, tags: dict[str, str]) -> str:
    """Fill a template as jaeger-ui's link patterns do: `#{tag}` becomes the tag's value, URL-encoded."""
    return re.sub(r"#\{([^{}]*)}", lambda match: quote(tags[match[1]], safe="!'()*"), template)


def test_compose_file_names_what_exists() -> None:
    """compose.yaml mounts files that are there, at the paths it uses, and is reached from this machine only."""
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["jaeger"]
    mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
    files = {target: source for source, target in mounts.items() if source.startswith("./")}
    assert all((FOLDER / source).is_file() for source in files.values())
    assert {service["command"][0].removeprefix("--config="), service["environment"]["JAEGER_UI_CONFIG"]} == set(files)
    assert service["environment"]["JAEGER_DATA"] == mounts["spans"]
    assert {port.split(":")[0] for port in service["ports"]} == {HOST}
