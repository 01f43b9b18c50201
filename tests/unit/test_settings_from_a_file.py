"""The SDK's declarative configuration (``OTEL_CONFIG_FILE``) has the same options, between keywords and variables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import KeyAuditInstrumentor
from support.commands.programs import Program
from support.environment.modules import LoadModule

INSTRUMENTATION = pytest.importorskip("opentelemetry.configuration.instrumentation", reason="comes with a newer SDK")

FILE = """
file_format: "1.1"
propagator:
  composite: [{{tracecontext: }}]
instrumentation/development:
  python:
    keyaudit: {options}
"""
TARGETS = 'auth_targets: ["shop.security:verify"], audit_targets: "shop.audit:record"'


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """An application with a configuration file beside it."""
    return Program(tmp_path)


def with_file(program: Program, options: str, **variables: str) -> dict[str, str]:
    """Write a configuration file with these options; return the variables that make it count."""
    file = program.write("otel.yaml", FILE.format(options=options))
    return {**variables, "OTEL_CONFIG_FILE": str(file)}


def test_a_file_alone_is_enough(program: Program) -> None:
    """Options in YAML have the names and meanings of the keywords; a list may be one."""
    options = f'{{{TARGETS}, sampler: actions, sampler_arg: ["delete"], max_items: 5, audit_spans: false}}'
    ended = program.run(with_file(program, options))
    assert [row["request_api_key"]["detail"] for row in ended.rows] == ["minimal", "full"]
    assert ended.log == []


def test_a_file_beats_the_environment(program: Program) -> None:
    """Options in the file override variables, and all others come from variables."""
    variables = with_file(
        program,
        "{audit_targets: 'shop.audit:record', request_field: by_file}",
        auth_targets="shop.security:verify",
        request_field="by_variable",
        sampler="always_minimal",
    )
    ended = program.run(variables)
    assert [row["by_file"]["detail"] for row in ended.rows] == ["minimal", "minimal"]


def test_a_keyword_beats_the_file(program: Program) -> None:
    """Keywords of the application override the file, option by option."""
    program.instrument_itself()
    options = f"{{{TARGETS}, request_field: by_file, sampler: always_minimal}}"
    ended = program.run(with_file(program, options))
    assert [row["by_code"]["detail"] for row in ended.rows] == ["minimal", "minimal"]
    assert ended.log == []


@pytest.mark.parametrize(
    ("option", "named"),
    [("max_items: many", "'many'"), ("maximum: 3", "'maximum'"), ("declared: true", "'declared'")],
)
def test_a_wrong_option_in_a_file_is_one_logged_error(program: Program, option: str, named: str) -> None:
    """The error is logged once, although the file and the loader both instrument."""
    ended = program.run(with_file(program, f"{{{TARGETS}, {option}}}"))
    (line,) = ended.log
    assert named in line
    assert "allowed" in line
    assert ended.key_ids == [None, None]
    assert "neighbour is on" in ended.others


def test_file_without_targets_is_logged_once(program: Program) -> None:
    """An empty configuration is one line here too."""
    ended = program.run(with_file(program, "{}"))
    (line,) = ended.log
    assert "nothing is instrumented" in line


@pytest.fixture
def configure() -> Iterator[Any]:
    """The part of the SDK that passes options on to instrumentors."""
    yield lambda options: INSTRUMENTATION.configure_instrumentation(
        INSTRUMENTATION.ExperimentalInstrumentation(python={"keyaudit": options})
    )
    KeyAuditInstrumentor().uninstrument()


def test_options_of_a_file_are_forgotten_with_it(configure: Any, load_module: LoadModule) -> None:
    """After ``uninstrument()`` only newly given options count."""
    app = load_module("def record(additional_fields=None):\n    return additional_fields\n")
    target = f"{app.__name__}:record"
    configure({"audit_targets": [target], "request_field": "by_file"})
    assert [status.state for status in KeyAuditInstrumentor().status()] == ["active"]
    assert app.record({"by_file": 1}) == {"by_file_unverified": 1}
    KeyAuditInstrumentor().uninstrument()
    KeyAuditInstrumentor().instrument(audit_targets=[target])
    assert app.record({"by_file": 1}) == {"by_file": 1}
    assert app.record({"request_api_key": 1}) == {"request_api_key_unverified": 1}


def test_a_disabled_entry_is_not_instrumented(configure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """``enabled: false`` belongs to the SDK and is not an option of the library."""
    configure({"enabled": False, "audit_targets": "nowhere:record"})
    assert KeyAuditInstrumentor().status() == []
    assert not caplog.records
