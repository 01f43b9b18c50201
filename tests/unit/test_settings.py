"""Every option is read from keywords and variables, with precedence and validation."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import (
    AuditTarget,
    AuthTarget,
    AuthzTarget,
    ConfigurationError,
    KeyAuditInstrumentor,
    SubjectTarget,
    environment_variables,
)
from otel_keyaudit.observers.sampling.samplers import build_sampler
from otel_keyaudit.settings import FileOptions, Settings, resolve, unknown_variables
from otel_keyaudit.testing import Recorder
from support.environment.modules import Modules

PREFIX = "OTEL_PYTHON_KEYAUDIT_"
OPTIONS = [
    "auth_targets", "audit_targets", "authz_targets", "subject_targets", "presets", "sampler", "sampler_arg",
    "request_field", "subject_field", "scope_catalog", "audit_spans", "max_items", "events", "strict",
]  # fmt: skip
KINDS = [AuthTarget, AuditTarget, AuthzTarget, SubjectTarget]
NOT_EMPTY = "without empty elements"
TARGETS = "or of strings package.module:name?field=expression"


def from_variables(**options: str) -> Settings:
    """Resolve options from the environment."""
    return resolve({}, {PREFIX + name.upper(): value for name, value in options.items()})


def validate(options: dict[str, Any], environment: dict[str, str] | None = None) -> None:
    """Validate options as ``instrument()`` does."""
    found = resolve(options, environment or {})
    build_sampler(found.sampler, found.sampler_arg, deferred=False)


def test_defaults() -> None:
    """Without any option there is no target, and everything else is as documented."""
    assert vars(resolve({}, {})) == {
        "auth_targets": (),
        "audit_targets": (),
        "authz_targets": (),
        "subject_targets": (),
        "presets": (),
        "sampler": "always_full",
        "sampler_arg": None,
        "request_field": "request_api_key",
        "subject_field": "api_key",
        "scope_catalog": None,
        "audit_spans": True,
        "max_items": 128,
        "events": (),
        "strict": False,
    }


def test_every_option_has_a_variable() -> None:
    """``opentelemetry-instrument`` reads the names of the variables from a module; each is its own value."""
    found = {name: value for name, value in vars(environment_variables).items() if name.startswith("OTEL_")}
    assert sorted(found) == sorted(PREFIX + name.upper() for name in OPTIONS)
    assert all(name == value for name, value in found.items())


@pytest.mark.parametrize(
    ("name", "variable", "keywords"),
    [
        ("auth_targets", "m:f?id=a|if:x%2Cy, m:g", [["m:f?id=a|if:x%2Cy", "m:g"], ("m:f?id=a|if:x%2Cy", "m:g ")]),
        ("auth_targets", "m:f?id=b", ["m:f?id=b", AuthTarget("m:f", id="b"), [AuthTarget("m:f", id="b"), "m:f?id=b"]]),
        ("audit_targets", "m:f,m:f", ["m:f", ["m:f"], AuditTarget("m:f")]),
        ("authz_targets", "m:f?required=args.scope", [AuthzTarget("m:f", required="args.scope")]),
        ("subject_targets", "m:f?id=uid", [[SubjectTarget("m:f", id="uid")]]),
        ("presets", "drf, celery", [["drf", "celery"], ("drf", "celery "), "drf,celery"]),
        ("sampler", " actions ", ["actions"]),
        ("sampler_arg", " a, b ", ["a, b"]),
        ("events", "denials, usage,denials", [["denials", "usage"]]),
        ("request_field", " by_key ", ["by_key", " by_key "]),
        ("subject_field", "about", ["about"]),
        ("audit_spans", "FALSE", [False, "false", " False "]),
        ("strict", "True", [True, "true"]),
        ("max_items", " 7 ", [7, "7", "007"]),
    ],
)
def test_forms_of_an_option(name: str, variable: str, keywords: list[object]) -> None:
    """A variable and each form of a keyword mean the same."""
    expected = from_variables(**{name: variable})
    assert expected != resolve({}, {})
    for keyword in keywords:
        assert resolve({name: keyword}, {}) == expected


def test_commas_in_lists() -> None:
    """In a list of targets a comma is part of the expression, and in a string it separates targets."""
    (target,) = resolve({"auth_targets": ["m:f?id=a|if:x,y"]}, {}).auth_targets
    assert target == AuthTarget("m:f", id="a|if:x,y")
    for string in ("m:f?id=a|if:x%2Cy", "m:f?id=a|if:x%2Cy,m:g"):
        path = from_variables(auth_targets=string).auth_targets[0].sources["id"].paths[0]  # type: ignore[union-attr]
        assert path == target.sources["id"].paths[0]  # type: ignore[union-attr]


def test_a_comma_that_splits_a_target_is_explained() -> None:
    """The second half is not a target, and the error says how to write the comma, also if it names the first half."""
    for split in ("m:f?id=a|if:x,y", "m:f?scopes=a|split:,&id=b", "m:f?scopes=a|split:,", "m:f?name=a|if:,y"):
        with pytest.raises(ConfigurationError, match="write %2C for the comma"):
            from_variables(auth_targets=split)
    for alone in (
        {"auth_targets": "y"}, {"auth_targets": ["m:f", "y"]}, {"auth_targets": "m:f,m:g?nope=a"},
        {"auth_targets": "m:f,,m:g"}, {"auth_targets": ["m:f?id=a", ""]},
    ):  # fmt: skip
        with pytest.raises(ConfigurationError) as wrong:
            resolve(alone, {})
        assert "%2C" not in str(wrong.value)


def test_all_targets() -> None:
    """Authentication comes first, because a denial is explained with its key, then decisions, writes and subjects."""
    options = {f"{kind.kind}_targets": f"m:{kind.kind}" for kind in KINDS}
    assert [target.target_string for target in resolve(options, {}).targets] == [
        "m:auth",
        "m:authz",
        "m:audit",
        "m:subject",
    ]


def test_keyword_beats_variable() -> None:
    """A keyword overrides the environment, even an empty list; ``None`` counts as absent."""
    environment = {PREFIX + "AUTH_TARGETS": "m:f", PREFIX + "MAX_ITEMS": "wrong", PREFIX + "REQUEST_FIELD": "a"}
    found = resolve({"auth_targets": [], "max_items": 5, "request_field": None}, environment)
    assert (found.auth_targets, found.max_items, found.request_field) == ((), 5, "a")


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_variables_are_unset(empty: str) -> None:
    """An empty variable is an unset one, whichever option it is."""
    assert from_variables(**dict.fromkeys(OPTIONS, empty)) == resolve({}, {})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("auth_targets", "m:f,,m:g", "without empty elements"),
        ("auth_targets", "m:f,", "without empty elements"),
        ("auth_targets", ["m:f", " "], "without empty elements"),
        ("auth_targets", 5, "a list of AuthTarget or of strings"),
        ("auth_targets", {"m:f": 1}, "a list of AuthTarget or of strings"),
        ("auth_targets", [5], "a list of AuthTarget or of strings"),
        ("auth_targets", [AuditTarget("m:f")], "a list of AuthTarget or of strings"),
        ("auth_targets", [SubjectTarget("m:f")], "a list of AuthTarget or of strings"),
        ("audit_targets", AuthTarget("m:f"), "a list of AuditTarget or of strings"),
        ("auth_targets", "m.f", "package.module:Qualified.name"),
        ("audit_targets", "m:f?ids=a", "known are fields, fields_as, id_to"),
        ("presets", [5], "a list of strings"),
        ("sampler", 5, "always_full, always_minimal, actions"),
        ("sampler_arg", [5], "an argument with sampler 'actions'"),
        ("sampler_arg", 5, "an argument with sampler 'actions'"),
        ("request_field", 5, "a string"),
        ("events", "denial", "denials, audits, usage; did you mean 'denials'?"),
        ("events", [5], "a list of strings"),
        ("subject_field", "request_api_key", "a name that"),
        ("scope_catalog", 5, "the path of a JSON file"),
        ("scope_catalog", "no/such/file.json", "a scope catalog in JSON"),
        ("audit_spans", "yes", "true or false"),
        ("audit_spans", 1, "true or false"),
        ("strict", "1", "true or false"),
        ("max_items", 0, "at least 1"),
        ("max_items", "0", "at least 1"),
        ("max_items", -5, "at least 1"),
        ("max_items", True, "at least 1"),
        ("max_items", 1.5, "at least 1"),
        ("max_items", "1e3", "at least 1"),
        ("max_items", "٣", "at least 1"),
        ("no_such_option", "its value", "auth_targets, audit_targets, authz_targets, subject_targets, presets"),
    ],
)
def test_wrong_options(name: str, value: object, allowed: str) -> None:
    """A wrong option is one line with its name, the value as given, and the allowed values."""
    with pytest.raises(ConfigurationError) as wrong:
        validate({name: value})
    message = str(wrong.value)
    (as_given,) = value if isinstance(value, list) and len(value) == 1 else (value,)
    assert repr(name) in message
    assert repr(as_given) in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("name", OPTIONS)
def test_empty_keywords_are_wrong(name: str) -> None:
    """An empty string as a keyword is a wrong option."""
    for empty in ("", " "):
        with pytest.raises(ConfigurationError, match=f"^option '{name}'"):
            validate({name: empty})


@pytest.mark.parametrize("argument", ["create,,delete", ["create", ""], ",", "create,"])
def test_empty_patterns_are_wrong(argument: object) -> None:
    """An empty item in the sampler's argument is wrong."""
    with pytest.raises(ConfigurationError, match=re.escape(repr(argument))):
        validate({"sampler": "actions", "sampler_arg": argument})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"auth_targets": ","},
            f"option 'auth_targets' has the value ','; allowed is a list of AuthTarget {TARGETS}, {NOT_EMPTY}",
        ),
        ({"request_field": " "}, "option 'request_field' has the value ' '; allowed is a string that is not empty"),
        ({"strict": "yes"}, "option 'strict' has the value 'yes'; allowed is true or false"),
        ({"max_items": True}, "option 'max_items' has the value True; allowed is a whole number of at least 1"),
        ({"scope_catalog": " "}, "option 'scope_catalog' has the value ' '; allowed is the path of a JSON file"),
    ],
)
def test_a_wrong_option_is_explained(options: dict[str, Any], message: str) -> None:
    """The message has the name, the value as given, and the allowed values."""
    with pytest.raises(ConfigurationError) as wrong:
        resolve(options, {})
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("auth_target", "auth_targets"), ("MAX_ITEM", "max_items"), ("samplers", "sampler"), ("tracer", None)],
)
def test_unknown_option_gets_the_nearest_name(name: str, nearest: str | None) -> None:
    """If no option is near, the message lists all options only."""
    with pytest.raises(ConfigurationError) as wrong:
        resolve({name: 1}, {})
    assert "tracer_provider, meter_provider and logger_provider" in str(wrong.value)
    assert ("did you mean" in str(wrong.value)) is (nearest is not None)
    assert nearest is None or str(wrong.value).endswith(f"; did you mean {nearest!r}?")


@pytest.mark.parametrize(
    ("options", "blamed", "other"),
    [
        ({"request_field": "api_key"}, "request_field", "subject_field"),
        ({"subject_field": "request_api_key"}, "subject_field", "request_field"),
        ({"subject_field": "a", "request_field": "a"}, "subject_field", "request_field"),
    ],
)
def test_the_field_that_was_set_is_blamed(options: dict[str, str], blamed: str, other: str) -> None:
    """The user did not set the other field."""
    with pytest.raises(ConfigurationError, match=f"^option '{blamed}' .* a name that '{other}' does not have$"):
        resolve(options, {})


def test_a_misspelt_sampler_is_blamed_before_its_argument(recorder: Recorder) -> None:
    """The error names the sampler, because it decides which argument is right."""
    for argument in ("create", "create,,delete", 5):
        with pytest.raises(ConfigurationError, match=r"^option 'sampler' .* 'action'.*did you mean 'actions'\?"):
            recorder.instrument(audit_targets="m:f", sampler="action", sampler_arg=argument)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["9" * 100_000, ["m" * 100_000], "m:f?id=a|" + "b" * 100_000])
def test_a_long_value_is_cut(name: str, value: object) -> None:
    """A message repeats at most 200 characters of a value each time, and stays readable."""
    try:
        validate({name: value})
    except ConfigurationError as error:
        assert len(str(error)) < 1_500  # noqa: PT017 - some options accept any string


@pytest.mark.parametrize("kind", KINDS)
def test_one_target_need_not_be_in_a_list(kind: Any) -> None:
    """A single target, a list, a string and duplicates mean the same."""
    name = f"{kind.kind}_targets"
    target = kind("m:f")
    for value in (target, [target], "m:f", ["m:f"], [target, "m:f"], "m:f,m:f"):
        found = resolve({name: value}, {})
        assert found.targets == (target,)
        assert [type(one) for one in found.targets] == [kind]


def test_one_is_the_shortest_list() -> None:
    """The smallest ``max_items`` is one."""
    assert resolve({"max_items": 1}, {}).max_items == resolve({"max_items": "1"}, {}).max_items == 1


@pytest.mark.parametrize("as_option", [str, Path, lambda path: [str(path)]])
def test_the_path_of_rules_is_not_split(tmp_path: Path, as_option: Any) -> None:
    """A comma belongs to the path, while patterns are separated by commas."""
    path = tmp_path / "rules, old.json"
    path.write_text('{"rules": [{"detail": "full"}]}', encoding="utf-8")
    validate({"sampler": "rules", "sampler_arg": as_option(path)})
    validate({"sampler": "rules"}, {"OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG": f" {path} "})


def test_unknown_variables_are_one_sentence() -> None:
    """The sentence names the nearest option; empty variables are unset, and other prefixes are ignored."""
    assert unknown_variables({PREFIX + "AUTH_TARGETS": "m:f", "OTEL_PYTHON_OTHER": "1", PREFIX + "X": " "}) is None
    sentence = unknown_variables({PREFIX + "AUTH_TARGET": "m:f", PREFIX + "SAMPLERS": "x"})
    assert sentence is not None
    assert f"AUTH_TARGET; did you mean '{PREFIX}AUTH_TARGETS'?" in sentence
    assert f"SAMPLERS; did you mean '{PREFIX}SAMPLER'?" in sentence


def test_an_unknown_variable_is_one_warning(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A variable with the library's prefix was meant as an option."""
    monkeypatch.setenv(PREFIX + "AUTH_TARGET", "m:f")
    recorder.instrument(audit_targets="email.message:no_such?fields=none", sampler="always_full")
    (record,) = [record for record in caplog.records if "unknown environment variable" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("keyaudit: ")
    assert "m:f" not in record.getMessage()


def test_references_of_targets_are_checked_at_once_unless_deferred() -> None:
    """A missing package is an error, unless it may still come under ``opentelemetry-instrument``."""
    options = {"auth_targets": "m:f?valid=no_such_package:is_valid"}
    with pytest.raises(ConfigurationError, match=r"field 'valid': .*no package 'no_such_package'"):
        resolve(options, {})
    assert len(resolve(options, {}, deferred=True).auth_targets) == 1


def test_options_of_a_file_are_as_written() -> None:
    """Options of a file are checked when they are used."""
    assert FileOptions(strict="perhaps", no_such=1).declared == {"strict": "perhaps", "no_such": 1}


def test_the_module_of_a_reference_is_not_imported(modules: Modules) -> None:
    """The module is found by its name without an import."""
    name = modules.write("raise RuntimeError")
    assert resolve({"auth_targets": f"m:f?valid={name}:is_valid"}, {}).auth_targets[0].functions == {
        "valid": f"{name}:is_valid"
    }


@pytest.mark.parametrize("as_path", [Path, str])
def test_scope_catalog_is_read_at_once(tmp_path: Path, as_path: type[Path] | type[str]) -> None:
    """The catalog is read when the options are, from a path of either kind."""
    path = tmp_path / "scopes.json"
    path.write_text('{"version": "7"}')
    catalog = resolve({"scope_catalog": as_path(path)}, {}).scope_catalog
    assert catalog is not None
    assert catalog.version == "7"
    path.write_text('{"version": 7}')
    with pytest.raises(ConfigurationError, match=r"option 'scope_catalog' has the value .*scopes.json.*'version'"):
        resolve({"scope_catalog": as_path(path)}, {})


@pytest.mark.parametrize("function", ["no_such_package.x:f", "os.path:no_such"])
def test_functions_of_a_pending_target_are_checked_at_once(modules: Modules, function: str) -> None:
    """A function that cannot exist is an error now, although the target's own module is not imported yet."""
    name = modules.write("")
    with pytest.raises(ConfigurationError, match=re.escape(f"target '{name}:f?id={function}': field 'id'")):
        resolve({"auth_targets": [f"{name}:f?id={function}"]}, {})


def test_error_of_a_value_with_lines() -> None:
    """The error is one line, whatever the repr of the value."""

    class Lines:
        def __repr__(self) -> str:
            return "one\ntwo"

    with pytest.raises(ConfigurationError, match="one two"):
        resolve({"max_items": Lines()}, {})


@pytest.mark.parametrize(
    "options",
    [{"sampler": "nope"}, {"max_items": 0}, {"nope": 1}, {"sampler_arg": "a"}, {"presets": "no-such-preset"}],
)
def test_wrong_options_without_targets(recorder: Recorder, options: dict[str, Any]) -> None:
    """A wrong option is an error even without targets, and nothing is instrumented."""
    with pytest.raises(ConfigurationError):
        recorder.instrument(**options)
    assert KeyAuditInstrumentor().status() == []


@given(st.dictionaries(st.sampled_from(OPTIONS), st.text(max_size=20).filter(lambda text: "\0" not in text)))
def test_any_environment_resolves_or_is_a_configuration_error(options: dict[str, str]) -> None:
    """Any string in a variable gives settings or one error of one line."""
    try:
        from_variables(**options)
    except ConfigurationError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - most texts are wrong, some are not


@pytest.mark.parametrize("name", ["self", "declared", "options"])
def test_an_unknown_name_in_a_file_is_explained_whatever_it_is(name: str) -> None:
    """The name of a parameter of the library is no exception."""
    assert FileOptions(**{name: 1}).declared == {name: 1}
    with pytest.raises(ConfigurationError, match=f"^unknown option '{name}' has the value 1"):
        resolve(FileOptions(**{name: 1}).declared, {})
