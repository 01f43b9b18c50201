"""What a wrong option says, word by word, and options at their limits."""

from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import AuditTarget, AuthTarget, ConfigurationError
from otel_keyaudit.key.scope_catalog import CatalogError, load_catalog
from otel_keyaudit.settings import FileOptions, resolve
from support.keyaudit import Modules

OPTIONS = (
    "auth_targets, audit_targets, presets, sampler, sampler_arg, request_field, subject_field, scope_catalog, "
    "audit_spans, max_items, strict, tracer_provider and meter_provider"
)
NO_PATH = "cannot be read: its path is invalid; allowed is a scope catalog in JSON"
TARGETS = "or of texts package.module:name?field=expression"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"no_such": 1}, f"unknown option 'no_such' has the value 1; allowed are {OPTIONS}"),
        ({"auth_targets": 5}, f"option 'auth_targets' has the value 5; allowed is a list of AuthTarget {TARGETS}"),
        ({"audit_targets": [5]}, f"option 'audit_targets' has the value 5; allowed is a list of AuditTarget {TARGETS}"),
        (
            {"auth_targets": ","},
            f"option 'auth_targets' has the value ','; allowed is a list of AuthTarget {TARGETS}, none of them empty",
        ),
        (
            {"sampler": "actions", "sampler_arg": ["a", 1]},
            "option 'sampler_arg' has the value ['a', 1]; allowed is a list of texts, or one text with commas between",
        ),
        (
            {"sampler": "actions", "sampler_arg": 5},
            "option 'sampler_arg' has the value 5; allowed is a list of texts, or one text with commas between",
        ),
        (
            {"subject_field": "a", "request_field": "a"},
            "option 'subject_field' has the value 'a'; allowed is another name than that of 'request_field'",
        ),
        ({"request_field": " "}, "option 'request_field' has the value ' '; allowed is a text that is not empty"),
        ({"strict": "yes"}, "option 'strict' has the value 'yes'; allowed is true or false"),
        ({"max_items": 0}, "option 'max_items' has the value 0; allowed is a whole number of at least 1"),
        ({"max_items": True}, "option 'max_items' has the value True; allowed is a whole number of at least 1"),
        ({"scope_catalog": " "}, "option 'scope_catalog' has the value ' '; allowed is the path of a JSON file"),
        ({"scope_catalog": 5}, "option 'scope_catalog' has the value 5; allowed is the path of a JSON file"),
        ({"scope_catalog": "\0"}, f"option 'scope_catalog' has the value '\\x00', a file that {NO_PATH}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_option_is_explained(options: dict[str, Any], message: str) -> None:
    """Its name, the value as given, and what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        resolve(options, {})
    assert str(wrong.value) == message


def test_one_is_the_shortest_list() -> None:
    """The least that ``max_items`` allows."""
    assert resolve({"max_items": 1}, {}).max_items == 1
    assert resolve({"max_items": "1"}, {}).max_items == 1


@pytest.mark.parametrize("kind", [AuthTarget, AuditTarget])
def test_one_target_need_not_be_in_a_list(kind: Any) -> None:
    """Alone, in a list, as a text, and twice are the same."""
    name = f"{kind.kind}_targets"
    target = kind("m:f")
    for value in (target, [target], "m:f", ["m:f"], [target, "m:f"], "m:f,m:f"):
        settings = resolve({name: value}, {})
        assert settings.targets == (target,)
        assert [type(one) for one in settings.targets] == [kind]


def test_the_other_kind_of_target_is_wrong() -> None:
    """An audit target authenticates nobody."""
    with pytest.raises(ConfigurationError, match="'auth_targets' has the value AuditTarget"):
        resolve({"auth_targets": [AuditTarget("m:f")]}, {})


def test_functions_named_in_targets_are_checked_at_once_unless_deferred() -> None:
    """A package that does not exist is an error, or may still come under ``opentelemetry-instrument``."""
    options = {"auth_targets": "m:f?valid=no_such_package:is_valid", "sampler": "no_such_package:choose"}
    with pytest.raises(ConfigurationError, match="no package 'no_such_package'"):
        resolve({"sampler": options["sampler"]}, {})
    with pytest.raises(ConfigurationError, match=r"field 'valid': .*no package 'no_such_package'"):
        resolve({"auth_targets": options["auth_targets"]}, {})
    assert len(resolve(options, {}, deferred=True).auth_targets) == 1


def test_options_of_a_file_are_as_written() -> None:
    """Nothing is checked before they are used."""
    assert FileOptions(strict="perhaps", no_such=1).declared == {"strict": "perhaps", "no_such": 1}


def test_a_catalog_keeps_its_version(tmp_path: Path) -> None:
    """Every effective scope names it."""
    path = tmp_path / "catalog.json"
    path.write_text('{"version": "2026-11", "resources": {"a": ["read"]}}')
    assert load_catalog(path).version == "2026-11"
    assert resolve({"scope_catalog": str(path)}, {}).scope_catalog == load_catalog(path)
    with pytest.raises(CatalogError) as wrong:
        load_catalog("\0")
    assert str(wrong.value) == "cannot be read: its path is invalid"


def test_a_module_with_a_function_is_no_package(modules: Modules) -> None:
    """A function that is named is found by its module, which is not imported for that."""
    name = modules.write("raise RuntimeError")
    assert resolve({"auth_targets": f"m:f?valid={name}:is_valid"}, {}).auth_targets[0].functions == {
        "valid": f"{name}:is_valid"
    }
