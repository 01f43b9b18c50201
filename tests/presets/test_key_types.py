"""Keys of known libraries that a function of the user returns are recognized by their class, without a preset."""

from __future__ import annotations

import re
import sys
import textwrap
from types import ModuleType

import pytest

from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

SECRET = "c4nary-s3cret-of-a-token"
TOKEN = f"""
    class Token:
        key = pk = "{SECRET}"
        id = "{SECRET}"
        user_id = 7
        def __str__(self):
            return self.key
"""
MINE = """
    class Mine(Token):
        pass

    def verify():
        return Mine()

    def record(key=None, additional_fields=None):
        return additional_fields
"""


@pytest.fixture
def service(load_module: LoadModule) -> ModuleType:
    """A service whose function returns a subclass of a library's token; the class is made to look like that one."""
    source = textwrap.dedent(TOKEN) + "\nToken.__module__ = 'rest_framework.authtoken.models'\n" + textwrap.dedent(MINE)
    return load_module(source)


@pytest.mark.parametrize("fields", ["", "?id=pk", "?id=id", "?id=return.pk", "?id=pk|str", "?name=pk"])
def test_a_token_whose_id_is_its_secret_is_never_named_by_it(
    fields: str, lenient_recorder: Recorder, service: ModuleType
) -> None:
    """Neither a default nor an expression that leads to the secret under another name records it."""
    name = service.__name__
    lenient_recorder.instrument(auth_targets=[f"{name}:verify{fields}"], audit_targets=[f"{name}:record"])

    with lenient_recorder.request():
        service.verify()
        row = service.record()

    said = row["request_api_key"]
    assert said["owner"] == "7"
    assert len(said["id"]) == 16
    assert SECRET not in str((row, lenient_recorder.server_span(), lenient_recorder.counters()))


def test_expression_overrides_a_known_class_unless_it_leads_to_a_secret(
    lenient_recorder: Recorder, service: ModuleType
) -> None:
    """An expression of the target overrides the known fields of the class, unless it leads to a secret."""
    name = service.__name__
    lenient_recorder.instrument(
        auth_targets=[f"{name}:verify?id=user_id|prefix:user-&name=pk|sha256:8"], audit_targets=[f"{name}:record"]
    )

    with lenient_recorder.request():
        service.verify()
        row = service.record()

    assert row["request_api_key"]["id"] == "user-7"
    assert len(row["request_api_key"]["name"]) == 8


def test_a_subject_of_a_known_class_is_written_without_its_secret(
    lenient_recorder: Recorder, service: ModuleType
) -> None:
    """The subject is written without its secret even before a request has shown such a key."""
    name = service.__name__
    lenient_recorder.instrument(audit_targets=[f"{name}:record?subject=args.key&subject_name=pk"])

    with lenient_recorder.request():
        row = service.record(service.verify())

    assert row["api_key"]["owner"] == "7"
    assert SECRET not in str((row, [span.attributes for span in lenient_recorder.spans]))


def test_only_the_preset_that_knows_a_package_is_imported_for_its_keys(
    lenient_recorder: Recorder, service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting the library imports no preset that was not configured; a key imports only the preset of its package."""
    for module in _imported_presets():
        monkeypatch.delitem(sys.modules, module)
    lenient_recorder.instrument(auth_targets=[f"{service.__name__}:verify"])
    at_start = _imported_presets()

    with lenient_recorder.request():
        service.verify()

    assert at_start == set()
    imported = _imported_presets()
    assert imported == {"otel_keyaudit.presets.drf_token", "otel_keyaudit.presets.drf"}


def _imported_presets() -> set[str]:
    return {name for name in sys.modules if re.match(r"otel_keyaudit\.presets\.[^_]", name)}


def test_each_package_leads_to_the_preset_with_its_key_types() -> None:
    """The table of packages has every package with key types and names the right preset for each."""
    known = {name: kind for preset in presets.presets().values() for name, kind in preset.key_types.items()}
    found = {}
    for name in known:
        module, _, class_name = name.partition(":")
        found[name] = presets.key_types({}).of(type(class_name, (), {"__module__": module}))

    assert found == known
    assert set(vars(presets)["_KEY_TYPE_PRESETS"]) == {name.partition(".")[0] for name in known}
