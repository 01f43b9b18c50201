"""Each configuration in examples/jaeger, with the real Jaeger."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from opentelemetry.trace import StatusCode, Tracer

from integration.jaeger.server import Jaeger
from processes import HOST, eventually, get

FOLDER = Path(__file__).parents[3] / "examples" / "jaeger"
README = (FOLDER / "README.md").read_text()
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
    """Start a configuration by name; all servers are stopped after the test."""
    with ExitStack() as started:

        def start(name: str, **environment: str) -> Jaeger:
            environment |= {"JAEGER_UI_CONFIG": str(FOLDER / "ui.json")}
            return started.enter_context(Jaeger(jaeger_binary, FOLDER / name, tmp_path, "jaeger", **environment))

        yield start


@pytest.fixture(scope="module")
def badger(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger with all-in-one.yaml that the tests of searches share."""
    ui = str(FOLDER / "ui.json")
    folder = tmp_path_factory.mktemp("badger")
    with Jaeger(jaeger_binary, FOLDER / "all-in-one.yaml", folder, JAEGER_UI_CONFIG=ui) as server:
        yield server


@contextmanager
def tracer(server: Jaeger, service: str = SERVICE) -> Iterator[Tracer]:
    """Yield a tracer whose spans have reached the server when the block ends, each trace in one request."""
    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider.get_tracer(__name__)
    exporter = OTLPSpanExporter(f"{server.otlp}/v1/traces")
    finished = spans.get_finished_spans()
    for first in range(0, len(finished), SPANS_IN_A_REQUEST):
        assert exporter.export(finished[first : first + SPANS_IN_A_REQUEST]) is SpanExportResult.SUCCESS


def send(tracer: Tracer, root: dict[str, str], child: dict[str, str] | None = None) -> str:
    """Send one trace of a server span and an audit span, and return its id."""
    with tracer.start_as_current_span("POST /orders", attributes=root) as span:
        tracer.start_span("audit order.create", attributes=child).end()
    return f"{span.get_span_context().trace_id:032x}"


def ids(traces: list[dict[str, Any]]) -> set[str]:
    """Return the ids of the traces that a search has found."""
    return {trace["traceID"] for trace in traces}


def test_badger_survives_a_restart(start: Start) -> None:
    """With all-in-one.yaml, a trace is found by its key id after a restart, and no other trace is."""
    server = start("all-in-one.yaml")
    with tracer(server) as shop:
        sent = send(shop, {"keyaudit.key.id": "k_restart"})
        send(shop, {"keyaudit.key.id": "k_other"})
    server.stop()
    server.start()
    assert server.services() == [SERVICE]
    assert ids(server.search(SERVICE, {"keyaudit.key.id": "k_restart"})) == {sent}
    assert server.search(SERVICE, {"keyaudit.key.id": "k_unused"}) == []


def test_tail_sampling_keeps_denied_and_full_traces(start: Start) -> None:
    """Every trace with full detail, a denied key or a denied decision is kept whole, and about one in 100 others."""
    server = start("tail-sampling.yaml", JAEGER_DECISION_WAIT="1s")
    minimal = {"keyaudit.detail": "minimal", "keyaudit.outcome": "accepted"}
    with tracer(server) as shop:
        rest = {send(shop, minimal, minimal) for _ in range(REST)}
        full = {send(shop, minimal, {"keyaudit.detail": "full"}) for _ in range(INTERESTING)}
        denied = {send(shop, {"keyaudit.outcome": "denied"}) for _ in range(INTERESTING)}
        refused = {send(shop, minimal, {"keyaudit.decision.outcome": each}) for each in ("denied", "error")}
    interesting = full | denied | refused
    assert eventually(lambda: decided(server) == REST + len(interesting))
    kept = int(decided(server, sampled="true"))
    traces = eventually(lambda: whole(kept, server.find({"service": SERVICE, "limit": "5000"})))
    assert interesting <= ids(traces)
    assert len(ids(traces) & rest) in REST_KEPT


def decided(server: Jaeger, **labels: str) -> float:
    """Return the number of traces that the tail sampling has decided on."""
    return server.metric("otelcol_processor_tail_sampling_global_count_traces_sampled_total", **labels)


def whole(count: int, traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the traces if they are as many as expected and each has all its spans, else an empty list."""
    spans = [len(trace["spans"]) for trace in traces]
    return traces if spans == [SPANS_IN_A_TRACE] * count else []


def test_ui_configuration_is_served(start: Start) -> None:
    """The page of the UI contains all of ui.json."""
    page = get(f"{start('all-in-one.yaml').query}/search")
    served = re.findall(r"JAEGER_CONFIG = (.*);$", page, re.MULTILINE)
    assert [json.loads(each) for each in served] == [UI]


@pytest.mark.parametrize("pattern", UI["linkPatterns"], ids=lambda pattern: pattern["text"])
def test_link_pattern_finds_the_traces_of_a_key(jaeger: Jaeger, pattern: dict[str, str]) -> None:
    """A link pattern, filled in as the UI does it, finds every trace of the key and no other."""
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


def searches() -> list[tuple[str, str]]:
    """Return purpose and line of each search in the README."""
    return re.findall(r"^\| (.+) \| `(keyaudit\.\S*=.*|error=.*)` \|$", README, re.MULTILINE)


@pytest.mark.parametrize("line", [line for _, line in searches()], ids=[purpose for purpose, _ in searches()])
def test_search_line_of_the_readme_finds_a_trace(badger: Jaeger, line: str) -> None:
    """A line that the README suggests for the field Tags finds a span that has these attributes."""
    tags = dict(token.split("=", 1) for token in shlex.split(line))
    other = {key: f"not {value}" for key, value in tags.items()}
    with tracer(badger, service=line) as shop:
        sent = send_span(shop, tags)
        send_span(shop, other)
    assert ids(eventually(lambda: badger.search(line, tags))) == {sent}


def send_span(tracer: Tracer, tags: dict[str, str]) -> str:
    """Send a trace with one span that has these attributes, as their types are, and return its id."""
    tags = dict(tags)
    failed = tags.pop("error", "") == "true"
    with tracer.start_as_current_span("audit") as span:
        for key, value in tags.items():
            is_json = value.startswith("[") or value == "true"
            span.set_attribute(key, json.loads(value) if is_json else value)
        if failed:
            span.set_status(StatusCode.ERROR)
    return f"{span.get_span_context().trace_id:032x}"


def test_readme_has_a_search_for_each_question() -> None:
    """The searches above are found in the README."""
    assert len(searches()) == 11


def fill(template: str, tags: dict[str, str]) -> str:
    """Fill a template as jaeger-ui's link patterns do: `#{tag}` becomes the tag's value, URL-encoded."""
    return re.sub(r"#\{([^{}]*)}", lambda match: quote(tags[match[1]], safe="!'()*"), template)


def test_compose_file_mounts_existing_files() -> None:
    """compose.yaml mounts existing files at the paths it uses, and listens on this machine only."""
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["jaeger"]
    mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
    files = {target: source for source, target in mounts.items() if source.startswith("./")}
    assert all((FOLDER / source).is_file() for source in files.values())
    assert {service["command"][0].removeprefix("--config="), service["environment"]["JAEGER_UI_CONFIG"]} == set(files)
    assert service["environment"]["JAEGER_DATA"] == mounts["spans"]
    assert {port.split(":")[0] for port in service["ports"]} == {HOST}
