"""A span near its attribute limit keeps the application's attributes, of which the SDK would drop the oldest."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from otel_keyaudit.testing import Recorder, keyaudit_attributes

LIMIT = 40


class Application:
    """Serves a request whose server span has some attributes already."""

    def __init__(self, recorder: Recorder, module: Any, provider: TracerProvider, *, audit_spans: bool = True) -> None:
        self.recorder = recorder
        self.module = module
        self.tracer = provider.get_tracer("tests")
        provider.add_span_processor(SimpleSpanProcessor(recorder.span_exporter))
        module.instrument(recorder, tracer_provider=provider, audit_spans=audit_spans)

    def serve(self, own: dict[str, int], *key_ids: str) -> dict[str, Any]:
        """Return the application's attributes of the server span after a request with these keys and a row."""
        with self.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER, attributes=own) as span:
            for key_id in key_ids:
                self.module.verify(self.module.ci_bot(key_id))
            self.module.record("create")
            assert not getattr(span, "dropped_attributes")  # noqa: B009 - of the SDK's span only
        return {name: value for name, value in dict(self.span().attributes or {}).items() if name in own}

    def span(self) -> Any:
        """Return the last server span."""
        return self.recorder.server_spans()[-1]


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Application:
    """The application, with a provider that limits spans to 40 attributes."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=LIMIT), shutdown_on_exit=False)
    return Application(recorder, shop, provider)


@pytest.mark.parametrize("free", range(12))
def test_the_attributes_of_the_application_stay(app: Application, free: int) -> None:
    """The library's attributes take the free places, identity first; the row is complete and the loss is counted."""
    own = {f"own.{number}": number for number in range(LIMIT - free)}
    assert app.serve(own, "k_1") == own
    shown = keyaudit_attributes(app.span())
    assert len(shown) == min(free, 7)
    assert shown.get("keyaudit.key.id") == ("k_1" if free else None)
    assert app.module.ROWS[-1]["request_api_key"]["scopes"] == ["a:read", "a:write"]
    degraded = app.recorder.errors()
    assert bool(degraded) == (free < 7)
    assert {stage for stage, _ in degraded} <= {"telemetry"}


@pytest.mark.parametrize("free", range(12))
def test_the_lists_are_on_one_span(app: Application, free: int) -> None:
    """If the server span has no place for the lists, the audit span has them."""
    app.serve({f"own.{number}": number for number in range(LIMIT - free)}, "k_1")
    (audit,) = app.recorder.audit_spans()
    lists = {"keyaudit.key.scopes", "keyaudit.key.allow_list"}
    on_server, on_audit = (lists <= keyaudit_attributes(span).keys() for span in (app.span(), audit))
    assert on_server or on_audit


@pytest.mark.parametrize("free", range(12))
def test_a_full_span_names_no_wrong_key(app: Application, free: int) -> None:
    """A second key overwrites the attributes of the first one, even on a full span."""
    own = {f"own.{number}": number for number in range(LIMIT - free)}
    assert app.serve(own, "k_1", "k_2") == own
    assert not keyaudit_attributes(app.span()).get("keyaudit.key.id")


def test_attributes_of_a_full_span_can_change(recorder: Recorder, shop: Any) -> None:
    """The next write overwrites the attributes of the last one, so nothing is lost or counted."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=LIMIT), shutdown_on_exit=False)
    app = Application(recorder, shop, provider, audit_spans=False)
    own = {f"own.{number}": number for number in range(LIMIT - 8)}
    with app.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER, attributes=own):
        app.module.verify(app.module.ci_bot("k_1"))
        app.module.record("create")
        app.module.record("delete")
    shown = dict(app.span().attributes or {})
    assert (len(shown), shown["keyaudit.action"]) == (LIMIT, "delete")
    assert recorder.errors() == {}


def test_the_limit_of_the_environment(recorder: Recorder, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit comes from OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and is 128 by default."""
    for limit in (10, 128):
        if limit != 128:
            monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", str(limit))
        else:
            monkeypatch.delenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
        app = Application(recorder, shop, TracerProvider(shutdown_on_exit=False))
        own = {f"own.{number}": number for number in range(limit - 1)}
        assert app.serve(own, "k_1") == own
        assert list(keyaudit_attributes(app.span())) == ["keyaudit.key.id"]
        recorder.uninstrument()
