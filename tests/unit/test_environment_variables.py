"""``opentelemetry-instrument`` reads the variables in real processes: right and wrong ones, presets, late modules."""

from pathlib import Path

import pytest

from otel_keyaudit import environment_variables
from otel_keyaudit.settings import resolve
from support.commands.programs import Ended, Program

TARGETS = {"auth_targets": "shop.security:verify", "audit_targets": "shop.audit:record"}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """An application that is not on the path yet when the instrumentors are loaded."""
    return Program(tmp_path)


def runs_on(ended: Ended) -> bool:
    """Say whether the application and the other instrumentor ran as if this library were not there."""
    return ended.key_ids == [None, None] and "neighbour is on" in ended.others


def test_variables_alone_are_enough(program: Program) -> None:
    """With targets in the environment each row has the key, and nothing is logged."""
    ended = program.run({**TARGETS, "sampler": "actions", "sampler_arg": "delete,api_key.*"})
    assert ended.key_ids == ["k_1", "k_1"]
    assert [row["request_api_key"]["detail"] for row in ended.rows] == ["minimal", "full"]
    assert ended.log == []
    assert "neighbour is on" in ended.others


def test_every_variable_is_a_flag(program: Program) -> None:
    """``opentelemetry-instrument`` makes a flag of each variable that is documented."""
    flags = [f"--keyaudit_{name}={value}" for name, value in TARGETS.items()]
    ended = program.run({}, *flags, "--keyaudit_request_field=by_key")
    assert [row["by_key"]["id"] for row in ended.rows] == ["k_1", "k_1"]


def test_a_wrong_variable_is_one_logged_error(program: Program) -> None:
    """The line names the option, the value and the allowed values, and the application continues."""
    ended = program.run({**TARGETS, "max_items": "many"})
    (line,) = ended.log
    assert "'max_items'" in line
    assert "'many'" in line
    assert "allowed" in line
    assert runs_on(ended)


def test_empty_configuration_is_logged_once(program: Program) -> None:
    """Without targets the library does nothing and logs one line."""
    ended = program.run({"auth_targets": ""})
    (line,) = ended.log
    assert "nothing is instrumented" in line
    assert "OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS" in line
    assert runs_on(ended)


def test_a_package_that_is_not_found_is_pending(program: Program) -> None:
    """A target that is still pending at the first request is warned about once, and the others are active."""
    ended = program.run({**TARGETS, "auth_targets": "shop.security:verify,nowhere.at_all:verify", "strict": "true"})
    (line,) = ended.log
    assert "nowhere.at_all:verify" in line
    assert "not imported" in line
    assert ended.key_ids == ["k_1", "k_1"]


@pytest.mark.parametrize("strict", ["true", "false"])
def test_target_that_proves_wrong_at_an_import_is_logged(program: Program, strict: str) -> None:
    """A missing name is one line, and the import and the other targets continue."""
    ended = program.run({**TARGETS, "audit_targets": "shop.audit:record,shop.audit:write", "strict": strict})
    (line,) = ended.log
    assert "shop.audit:write" in line
    assert ended.key_ids == ["k_1", "k_1"]


def test_rows_do_not_depend_on_the_sdk(program: Program) -> None:
    """With OTEL_SDK_DISABLED there are no spans, and the rows are complete."""
    ended = program.run({**TARGETS, "OTEL_SDK_DISABLED": "true"})
    assert ended.key_ids == ["k_1", "k_1"]
    assert ended.rows[0]["request_api_key"].keys() == {"id", "digest", "detail", "scopes"}


def test_a_sampler_is_not_imported_early(program: Program) -> None:
    """The sampler of the application is resolved when it is first asked."""
    program.write(
        "app/shop/detail.py",
        """
        import sys
        assert "starlette" in sys.modules
        from otel_keyaudit import Detail
        def choose(event):
            return Detail.MINIMAL if event.action == "create" else Detail.FULL
        """,
    )
    ended = program.run({**TARGETS, "sampler": "shop.detail:choose"})
    assert [row["request_api_key"]["detail"] for row in ended.rows] == ["minimal", "full"]
    assert ended.log == []


def test_an_application_may_instrument_itself(program: Program) -> None:
    """A keyword overrides the environment, even if the environment came first."""
    program.instrument_itself()
    ended = program.run({**TARGETS, "request_field": "by_variable", "sampler": "always_minimal"})
    assert [row["by_code"]["detail"] for row in ended.rows] == ["minimal", "minimal"]
    assert ended.log == []


def test_the_documented_variables_are_those_that_are_read() -> None:
    """Each documented variable is the name of an option, and each option has one."""
    documented = {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    with pytest.raises(ValueError, match="allowed are") as caught:
        resolve({"nonsense": 1}, {})
    named = str(caught.value).partition("allowed are ")[2].partition(", tracer_provider")[0]
    assert documented == {f"OTEL_PYTHON_KEYAUDIT_{name.upper()}" for name in named.replace(" and ", ", ").split(", ")}
    assert all(vars(environment_variables)[name] == name for name in documented)


def test_a_wrong_name_is_one_logged_error(program: Program) -> None:
    """The line lists the known names and the nearest, and the application continues."""
    ended = program.run({**TARGETS, "presets": "auditlog,drf-apikey"})
    (line,) = ended.log
    assert "there is no preset 'drf-apikey'; known are apikeyauth, auditlog, " in line
    assert "did you mean 'drf-api-key'?" in line
    assert ended.key_ids == [None, None]
    assert "neighbour is on" in ended.others


@pytest.mark.unmutated  # the libraries of all presets are installed there
@pytest.mark.parametrize("strict", ["false", "true"])
def test_a_library_that_is_missing_or_too_old_is_reported(program: Program, strict: str) -> None:
    """The line has the required and the found release; without ``strict`` everything else continues."""
    library = program.site / "Flask_HTTPAuth-4.7.0.dist-info"
    program.write(f"site/{library.name}/METADATA", "Metadata-Version: 2.1\nName: Flask-HTTPAuth\nVersion: 4.7.0\n")
    ended = program.run({**TARGETS, "presets": "flask-httpauth,unkey", "strict": strict})

    old = "it needs Flask-HTTPAuth 4.8 or newer; found is 4.7.0"
    if strict == "true":
        assert [old in line for line in ended.log] == [True]
        assert ended.key_ids == [None, None]
    else:
        missing = "preset unkey is off: it needs unkey-py 3.2 or newer, which is not installed"
        assert [f"preset flask-httpauth is off: {old}" in ended.log[0], missing in ended.log[1]] == [True] * 2
        assert len(ended.log) == 2
        assert ended.key_ids == ["k_1", "k_1"]
