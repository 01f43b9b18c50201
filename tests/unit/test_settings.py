"""Options: every one by keyword and by variable, what beats what, and what is wrong."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import (
    AuditEvent,
    AuditTarget,
    AuthTarget,
    ConfigurationError,
    Detail,
    KeyAuditInstrumentor,
    environment_variables,
)
from otel_keyaudit.settings import Settings, resolve
from support.keyaudit import KeyAudit, Modules

PREFIX = "OTEL_PYTHON_KEYAUDIT_"
OPTIONS = [
    "auth_targets", "audit_targets", "presets", "sampler", "sampler_arg", "request_field", "subject_field",
    "scope_catalog", "audit_spans", "max_items", "strict",
]  # fmt: skip


def from_variables(**options: str) -> Settings:
    """Resolve options from the environment."""
    return resolve({}, {PREFIX + name.upper(): value for name, value in options.items()})


def shown(settings: Settings) -> Mapping[str, Any]:
    """Return the settings that can be compared."""
    return {name: value for name, value in vars(settings).items() if name != "sampler"}


def test_defaults() -> None:
    """Without any option there is no target, and everything else as documented."""
    settings = resolve({}, {})
    assert shown(settings) == {
        "auth_targets": (),
        "audit_targets": (),
        "presets": (),
        "request_field": "request_api_key",
        "subject_field": "api_key",
        "scope_catalog": None,
        "audit_spans": True,
        "max_items": 128,
        "strict": False,
    }
    assert settings.sampler.is_constant_full


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
        ("request_field", " by_key ", ["by_key", " by_key "]),
        ("subject_field", "about", ["about"]),
        ("audit_spans", "FALSE", [False, "false", " False "]),
        ("strict", "True", [True, "true"]),
        ("max_items", " 7 ", [7, "7", "007"]),
    ],
)
def test_forms_of_an_option(name: str, variable: str, keywords: list[object]) -> None:
    """A variable and each form of a keyword mean the same."""
    expected = shown(from_variables(**{name: variable}))
    assert expected != shown(resolve({}, {}))
    for keyword in keywords:
        assert shown(resolve({name: keyword}, {})) == expected


def test_commas_in_lists() -> None:
    """In a list of targets a comma is part of the expression; in a text it separates targets."""
    (target,) = resolve({"auth_targets": ["m:f?id=a|if:x,y"]}, {}).auth_targets
    assert target == AuthTarget("m:f", id="a|if:x,y")
    assert from_variables(auth_targets="m:f?id=a|if:x%2Cy").auth_targets[0].sources == target.sources


def test_all_targets() -> None:
    """All targets are those of authentication, then those of audit writes."""
    settings = resolve({"audit_targets": "m:g", "auth_targets": ["m:f"]}, {})
    assert [target.written for target in settings.targets] == ["m:f", "m:g"]


def test_keyword_beats_variable() -> None:
    """A keyword beats the environment, also with an empty list; ``None`` is as good as absent."""
    environment = {PREFIX + "AUTH_TARGETS": "m:f", PREFIX + "MAX_ITEMS": "wrong", PREFIX + "REQUEST_FIELD": "a"}
    settings = resolve({"auth_targets": [], "max_items": 5, "request_field": None}, environment)
    assert (settings.auth_targets, settings.max_items, settings.request_field) == ((), 5, "a")


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_variables_are_unset(empty: str) -> None:
    """An empty variable is an unset one, whichever option it is."""
    assert shown(from_variables(**dict.fromkeys(OPTIONS, empty))) == shown(resolve({}, {}))


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("auth_targets", "m:f,,m:g", "none of them empty"),
        ("auth_targets", "m:f,", "none of them empty"),
        ("auth_targets", ["m:f", " "], "none of them empty"),
        ("auth_targets", 5, "a list of AuthTarget or of texts"),
        ("auth_targets", {"m:f": 1}, "a list of AuthTarget or of texts"),
        ("auth_targets", [5], "a list of AuthTarget or of texts"),
        ("auth_targets", [AuditTarget("m:f")], "a list of AuthTarget or of texts"),
        ("audit_targets", AuthTarget("m:f"), "a list of AuditTarget or of texts"),
        ("auth_targets", "m.f", "package.module:Qualified.name"),
        ("audit_targets", "m:f?ids=a", "known are fields, action"),
        ("presets", "no-such-preset", "known are"),
        ("presets", [5], "a list of texts"),
        ("sampler", "sometimes", "always_full, always_minimal"),
        ("sampler", 5, "a text"),
        ("request_field", 5, "a text"),
        ("subject_field", "request_api_key", "another name"),
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
        ("max_items", "9" * 5000, "at least 1"),
        ("no_such_option", "its value", "auth_targets, audit_targets, presets"),
    ],
)
def test_wrong_options(name: str, value: object, allowed: str) -> None:
    """A wrong option is one error of one line with its name, the value as given, and what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        resolve({name: value}, {})
    message = str(wrong.value)
    (as_given,) = value if isinstance(value, list) and len(value) == 1 else (value,)
    assert repr(name) in message
    assert repr(as_given) in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("name", OPTIONS)
def test_empty_keywords_are_wrong(name: str) -> None:
    """An empty text as a keyword is a wrong option, whichever it is."""
    for empty in ("", " "):
        with pytest.raises(ConfigurationError, match=f"^option '{name}'"):
            resolve({name: empty}, {})


@pytest.mark.parametrize("argument", ["create,,delete", ["create", ""], ",", "create,"])
def test_empty_patterns_are_wrong(argument: object) -> None:
    """An empty item in the sampler's argument is wrong."""
    with pytest.raises(ConfigurationError, match=re.escape(repr(argument))):
        resolve({"sampler": "actions", "sampler_arg": argument}, {})


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"sampler_arg": "create"}, ["'sampler_arg'", "'create'", "'always_full'"]),
        ({"sampler": "always_minimal", "sampler_arg": ["a", "b"]}, ["'sampler_arg'", "'a,b'", "'always_minimal'"]),
        ({"sampler": "os.path:join", "sampler_arg": "a"}, ["'sampler_arg'", "'a'", "'os.path:join'"]),
        ({"sampler": "actions"}, ["'sampler_arg'", "'actions'"]),
        ({"sampler": "actions", "sampler_arg": []}, ["'sampler_arg'", "'actions'"]),
        ({"sampler": "on_change", "sampler_arg": 5}, ["'sampler_arg'", "5"]),
    ],
)
def test_wrong_arguments_of_samplers(options: dict[str, Any], parts: list[str]) -> None:
    """An argument that a sampler does not take, or needs and does not have, is wrong."""
    with pytest.raises(ConfigurationError) as wrong:
        resolve(options, {})
    assert [part for part in parts if part not in str(wrong.value)] == []


def test_samplers_get_their_argument() -> None:
    """Patterns arrive from a list as from a text; ``on_change`` does without."""
    event = AuditEvent(action="create")
    for argument in ("read, create", ["read", "create"]):
        sampler = resolve({"sampler": "actions", "sampler_arg": argument}, {}).sampler
        assert sampler.choose(event) is Detail.FULL
        assert sampler.choose(AuditEvent(action="delete")) is Detail.MINIMAL
    assert not from_variables(sampler="on_change").sampler.is_constant_full
    assert resolve({"sampler": lambda event: Detail.MINIMAL}, {}).sampler.choose(event) is Detail.MINIMAL


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
    """Whatever the repr of a value, the error is one line."""

    class Lines:
        def __repr__(self) -> str:
            return "one\ntwo"

    with pytest.raises(ConfigurationError, match="one two"):
        resolve({"max_items": Lines()}, {})


@pytest.mark.parametrize("options", [{"sampler": "nope"}, {"max_items": 0}, {"nope": 1}, {"sampler_arg": "a"}])
def test_wrong_options_without_targets(keyaudit: KeyAudit, options: dict[str, Any]) -> None:
    """A wrong option is an error of ``instrument()`` also when nothing else is configured; nothing is on then."""
    with pytest.raises(ConfigurationError):
        keyaudit.instrument(**options)
    assert KeyAuditInstrumentor().status() == []


@given(st.dictionaries(st.sampled_from(OPTIONS), st.text(max_size=20).filter(lambda text: "\0" not in text)))
def test_any_environment_resolves_or_is_a_configuration_error(options: dict[str, str]) -> None:
    """No text in a variable makes anything else of it than settings or one error of one line."""
    try:
        from_variables(**options)
    except ConfigurationError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - most texts are wrong, some are not
