"""``instrument()``, ``uninstrument()`` and ``status()``: wrong options, second calls, and restoration."""

import threading
from types import FunctionType
from typing import Any

import pytest

import otel_keyaudit
from otel_keyaudit import ApiKey, AuditTarget, AuthTarget, ConfigurationError, KeyAuditInstrumentor, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules

KEY = ApiKey("k_1")


def codes(shop: Any) -> list[object]:
    """Return the code of each function of the shop."""
    return [value.__code__ for value in vars(shop).values() if isinstance(value, FunctionType)]


def test_the_public_names_are_those_of_the_interface() -> None:
    """Nothing else is public, except the version."""
    assert set(otel_keyaudit.__all__) - {"__version__"} == {
        "ApiKey", "AuditEvent", "AuditTarget", "AuthTarget", "AuthzTarget", "ConfigurationError", "Decision", "Detail",
        "KeyAuditInstrumentor", "SubjectTarget", "TargetStatus", "current_key", "use_key",
    }  # fmt: skip
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize("name", otel_keyaudit.__all__)
def test_a_public_name_is_imported_at_first_use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is listed before, and looked up once."""
    value = getattr(otel_keyaudit, name)
    monkeypatch.delitem(vars(otel_keyaudit), name)
    assert name in dir(otel_keyaudit)
    assert getattr(otel_keyaudit, name) is value
    assert vars(otel_keyaudit)[name] is value


def test_an_unknown_name_is_an_error() -> None:
    """The error is that of any module."""
    with pytest.raises(AttributeError, match=r"^module 'otel_keyaudit' has no attribute 'nonsense'$"):
        otel_keyaudit.nonsense  # noqa: B018 - what is tested


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"colour": "red"}, ["'colour'", "'red'", "max_items"]),
        ({"max_items": 0}, ["'max_items'", "0", "allowed"]),
        ({"presets": "nonsense"}, ["'presets'", "'nonsense'", "knox"]),
        ({"presets": ""}, ["'presets'", "''", "allowed"]),
        ({"audit_targets": "nonsense"}, ["'nonsense'", "package.module:Qualified.name"]),
        ({"audit_targets": "shop:record?colour=red"}, ["'shop:record?colour=red'", "'colour'", "subject"]),
        ({"sampler": "sometimes"}, ["'sampler'", "'sometimes'", "always_full"]),
        ({"sampler": "actions", "sampler_arg": "create,,delete"}, ["'sampler_arg'", "create,,delete", "allowed"]),
        ({"sampler": "always_full", "sampler_arg": "create"}, ["'sampler_arg'", "'create'", "allowed"]),
        ({"request_field": ""}, ["'request_field'", "''", "allowed"]),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_error(
    recorder: Recorder, shop: Any, options: dict[str, object], named: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the option, the value and the allowed values; nothing is wrapped or logged."""
    before = codes(shop)
    with pytest.raises(ConfigurationError) as caught:
        recorder.instrument(**{"auth_targets": [f"{shop.__name__}:verify"], **options})
    assert [part for part in named if part not in str(caught.value)] == []
    assert codes(shop) == before
    assert KeyAuditInstrumentor().status() == []
    assert not caplog.records


@pytest.mark.parametrize("name", ["tracer_provider", "meter_provider", "logger_provider"])
@pytest.mark.parametrize("value", [3, "global", object()])
def test_a_value_that_is_no_provider_is_a_wrong_option(shop: Any, name: str, value: object) -> None:
    """A typing error there is reported like that of any other option."""
    before = codes(shop)
    allowed = f"get_{name.removesuffix('_provider')}"
    with pytest.raises(ConfigurationError, match=f"option '{name}' has the value .*{allowed}"):
        KeyAuditInstrumentor().instrument(auth_targets=[f"{shop.__name__}:verify"], **{name: value})
    assert codes(shop) == before
    assert KeyAuditInstrumentor().status() == []


def test_instrument_works_after_a_wrong_option(recorder: Recorder, shop: Any) -> None:
    """The next ``instrument()`` after an error works."""
    with pytest.raises(ConfigurationError):
        recorder.instrument(auth_targets="nonsense")
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    assert recorder.status()[f"{shop.__name__}:record"].state == "active"


def test_typed_targets_are_the_strings(recorder: Recorder, shop: Any) -> None:
    """A typed target equals its target string, and is shown in the same form."""
    name = shop.__name__
    recorder.instrument(
        auth_targets=[AuthTarget(f"{name}:verify", id="return.number")],
        audit_targets=AuditTarget(f"{name}:record"),
    )
    assert list(recorder.status()) == [f"{name}:verify?id=return.number", f"{name}:record"]


def test_status_has_one_entry_per_target(recorder: Recorder, shop: Any) -> None:
    """The reason of each status is a sentence."""
    name = shop.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify", f"{name}:missing"], audit_targets=[f"{name}:record", "email.mime.audio:nothing"]
    )
    states = [(status.target, status.kind, status.state) for status in KeyAuditInstrumentor().status()]
    assert states[:3] == [
        (f"{name}:verify", "auth", "active"),
        (f"{name}:missing", "auth", "wrong"),
        (f"{name}:record", "audit", "active"),
    ]
    assert states[3][:2] == ("email.mime.audio:nothing", "audit")
    assert states[3][2] in ("pending", "wrong")
    assert all(status.reason for status in KeyAuditInstrumentor().status())


def test_uninstrument_restores_every_function(recorder: Recorder, shop: Any) -> None:
    """Afterwards the functions have their own code, and no key is looked for."""
    before = codes(shop)
    for _ in range(3):
        recorder.instrument(auth_targets=[f"{shop.__name__}:verify"], audit_targets=[f"{shop.__name__}:record"])
        assert codes(shop) != before
        recorder.uninstrument()
        assert codes(shop) == before
    with use_key(KEY):
        fields: dict[str, object] = {}
        assert shop.record("create", fields) is fields
    assert KeyAuditInstrumentor().status() == []


def test_a_second_instrument_changes_nothing(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The second call logs what to do first."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    KeyAuditInstrumentor().instrument(audit_targets=[f"{shop.__name__}:record"], request_field="other")
    with use_key(KEY):
        assert shop.record("create", {}).keys() == {"request_api_key"}
    (record,) = caplog.records
    assert "instrumented already" in record.getMessage()


def test_second_uninstrument_is_a_warning(recorder: Recorder, shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to restore, which is a warning."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    recorder.uninstrument()
    assert not caplog.records
    KeyAuditInstrumentor().uninstrument()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "keyaudit: it is not instrumented, so there is nothing to restore")
    ]


def test_a_constructor_forgets_nothing(recorder: Recorder, shop: Any) -> None:
    """The instrumentor is a singleton."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    KeyAuditInstrumentor()
    assert len(KeyAuditInstrumentor().status()) == 1
    assert KeyAuditInstrumentor().is_instrumented_by_opentelemetry


def test_each_empty_configuration_is_one_line(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Without targets each ``instrument()`` does nothing and logs one line."""
    for options in ({}, {"sampler": "always_minimal"}):
        caplog.clear()
        recorder.instrument(**options)
        (record,) = caplog.records
        assert record.getMessage() == (
            "keyaudit: nothing is instrumented, because no targets are configured; name your functions in "
            "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS and OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS, or libraries in "
            "OTEL_PYTHON_KEYAUDIT_PRESETS"
        )
    assert not KeyAuditInstrumentor().is_instrumented_by_opentelemetry


def test_a_wrong_variable_is_an_error_from_code(recorder: Recorder, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``instrument()`` from code also raises for wrong variables."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_MAX_ITEMS", "-1")
    with pytest.raises(ConfigurationError, match="max_items"):
        recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"], max_items=1)


def test_keyword_overrides_options_of_the_environment(
    recorder: Recorder, shop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After opentelemetry-instrument, keywords start again with its targets; a call without any is a second call."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS", f"{shop.__name__}:record")
    KeyAuditInstrumentor().instrument(skip_dep_check=True)
    KeyAuditInstrumentor().instrument(request_field="by_code")
    with use_key(KEY):
        assert shop.record("create", {}).keys() == {"by_code"}
    assert not caplog.records
    KeyAuditInstrumentor().instrument(skip_dep_check=True)
    assert not caplog.records
    KeyAuditInstrumentor().instrument()
    assert len(caplog.records) == 1


def test_wrong_keyword_keeps_the_session_of_the_environment(
    recorder: Recorder, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the application's call does not remove the library."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS", f"{shop.__name__}:record")
    KeyAuditInstrumentor().instrument(skip_dep_check=True, raise_exception_on_conflict=True)
    with pytest.raises(ConfigurationError):
        KeyAuditInstrumentor().instrument(max_items="many")
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["active"]


def test_a_wrong_variable_is_logged_for_the_loader(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Under opentelemetry-instrument a wrong option does not raise, which would stop all other instrumentors."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS", "nonsense")
    KeyAuditInstrumentor().instrument(skip_dep_check=True)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "'nonsense'" in caplog.text


def test_an_unexpected_error_is_logged_for_the_loader(
    shop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only its class is logged, because any other message may contain a secret."""

    class Broken:
        def get_meter(self, *_: Any) -> Any:
            raise LookupError("s3cret")

    KeyAuditInstrumentor().instrument(
        skip_dep_check=True, audit_targets=[f"{shop.__name__}:record"], meter_provider=Broken()
    )
    assert [record.getMessage() for record in caplog.records] == ["keyaudit: nothing is instrumented: LookupError"]
    assert KeyAuditInstrumentor().status() == []


def test_instrumenting_from_many_threads_starts_once(recorder: Recorder, shop: Any) -> None:
    """The function is wrapped once and restored once."""
    before = codes(shop)
    options = {"audit_targets": [f"{shop.__name__}:record"], "meter_provider": recorder.meter_provider}
    threads = [threading.Thread(target=KeyAuditInstrumentor().instrument, kwargs=options) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.record("create", {})
    assert recorder.writes()["none"] == 1
    recorder.uninstrument()
    assert codes(shop) == before


def test_a_module_imported_later_is_instrumented(recorder: Recorder, modules: Modules) -> None:
    """The target is active after the import of its module, and restored like any other."""
    name = modules.write("def record(action, additional_fields=None):\n    return additional_fields\n")
    recorder.instrument(audit_targets=[f"{name}:record"])
    assert recorder.status()[f"{name}:record"].state == "pending"
    app = __import__(name)
    assert recorder.status()[f"{name}:record"].state == "active"
    with use_key(KEY):
        assert app.record("create", {}).keys() == {"request_api_key"}
    recorder.uninstrument()
    fields: dict[str, object] = {}
    assert app.record("create", fields) is fields
