"""The documentation is true: its code runs, its target strings are valid, its reference is complete, its links work."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import otel_keyaudit
from otel_keyaudit import ApiKey, environment_variables, names
from otel_keyaudit.key.permissions.scope_catalog import load_catalog
from otel_keyaudit.observers.sampling.rules import load_rules
from otel_keyaudit.presets._registry import preset, presets
from otel_keyaudit.settings import EVENTS, Settings, resolve
from otel_keyaudit.targets.base_target import Target, parse_target
from otel_keyaudit.targets.expressions.filters import _FILTERS
from otel_keyaudit.targets.expressions.secret_names import SECRET_NAMES
from otel_keyaudit.targets.target import AuditTarget, AuthTarget, AuthzTarget, SubjectTarget

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
REFERENCE = "".join(text for name, text in PAGES.items() if name.startswith("reference/"))
PREFIX = "OTEL_PYTHON_KEYAUDIT_"
KINDS: dict[str, type[Target]] = {
    "AUTH_TARGETS": AuthTarget,
    "AUDIT_TARGETS": AuditTarget,
    "AUTHZ_TARGETS": AuthzTarget,
    "SUBJECT_TARGETS": SubjectTarget,
}


def programs() -> list[tuple[str, str]]:
    """Return the Python blocks that are marked to run, each with its page."""
    return [
        (name, block)
        for name, text in PAGES.items()
        for block in re.findall(r"^<!-- run -->\n```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


def fenced(language: str, text: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(program: str) -> str:
    """Run a program without configuration and return its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-B", "-W", "error", "-c", program]
    done = subprocess.run(command, env=inherited, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported() -> list[tuple[str, str, str]]:
    """Return page, name and value of each variable of the library that a page exports."""
    words = [
        (name, word)
        for name, text in PAGES.items()
        for block in fenced("sh", text)
        for line in block.splitlines()
        if line.startswith("export ")
        for word in shlex.split(line)[1:]
    ]
    return [(name, *word[len(PREFIX) :].split("=", 1)) for name, word in words if word.startswith(PREFIX)]  # type: ignore[misc]


def presets_examples() -> list[tuple[set[str], str]]:
    """Return each configuration on the page of presets, with the presets that its section describes."""
    sections = PAGES["presets.md"].split("\n## ")[1:]
    assert all(fenced("sh", section) for section in sections)
    return [
        (set(re.findall(r"^### `(.*)`$", section, re.MULTILINE)), block)
        for section in sections
        for block in fenced("sh", section)
    ]


@pytest.mark.parametrize(("page", "program"), programs())
def test_marked_code_runs(page: str, program: str) -> None:
    """Each marked block is a program that ends without an error or a warning."""
    run(program)


def test_digest_of_the_reference_is_the_digest_of_the_library() -> None:
    """The program in the reference prints the digest that the library computes."""
    (program,) = [program for page, program in programs() if page == "reference/row.md"]

    assert run(program).strip() == ApiKey("k_7Qm", name="ci-bot", scopes=["template:read"]).digest


def test_exported_variables_exist() -> None:
    """Each exported variable is an environment variable of the library."""
    known = {name.removeprefix(PREFIX) for name in dir(environment_variables) if name.startswith(PREFIX)}

    assert {name for _, name, _ in exported()} <= known


@pytest.mark.parametrize(
    ("kind", "string"),
    [(name, target) for _, name, value in exported() if name in KINDS for target in value.split(",")],
)
def test_target_strings_are_valid(kind: str, string: str) -> None:
    """Each target string in an export line can be parsed."""
    assert parse_target(KINDS[kind], string).target_string == string


def test_options_page_has_every_option() -> None:
    """Each option has a section or a row with its name and its variable."""
    page = PAGES["reference/options.md"]
    for name in Settings.__dataclass_fields__:
        assert f"`{name}`" in page, name
        assert f"`{name.upper()}`" in page, name


def test_reference_has_every_name() -> None:
    """Each public name, field, filter, event, metric and attribute is in the reference."""
    fields = {field for kind in KINDS.values() for field in kind.fields}
    for name in (*otel_keyaudit.__all__, *fields, *_FILTERS, *EVENTS):
        assert re.search(rf"\b{name}\b", REFERENCE), name
    for name in vars(names).values():
        if isinstance(name, str) and name.startswith("keyaudit."):
            assert name in REFERENCE or f"`.{name.rpartition('.')[2]}`" in REFERENCE, name


def test_reference_lists_the_secret_names() -> None:
    """The list of secret names in the reference is complete."""
    (block,) = [block for block in fenced("text", PAGES["reference/targets.md"]) if "rawkey" in block]

    assert set(block.split()) == SECRET_NAMES


def test_presets_page_is_current_and_complete() -> None:
    """The page of presets is the output of its generator, and each preset has one description."""
    generator = runpy.run_path(str(DOCS / "_presets.py"))

    assert PAGES["presets.md"] == generator["page"](), "run: python docs/_presets.py"
    assert sorted(re.findall(r"^### `(.*)`$", PAGES["presets.md"], re.MULTILINE)) == list(presets())


@pytest.mark.parametrize(("described", "block"), presets_examples())
def test_presets_page_shows_complete_configurations(described: set[str], block: str) -> None:
    """Each configuration is valid, uses a preset of its section, and names an authentication and an audit write."""
    variables = dict(word.split("=", 1) for word in shlex.split(block) if "=" in word)
    settings = resolve({}, variables, deferred=True)
    chosen = [preset(name) for name in settings.presets]
    targets = sum((one.targets for one in chosen), settings.targets)

    assert described & {*settings.presets}
    assert {"auth", "audit"} <= {target.kind for target in targets}


@pytest.mark.parametrize("page", [*PAGES, "../README.md", "../CONTRIBUTING.md"])
def test_links_lead_to_files(page: str) -> None:
    """Each relative link leads to a file of the repository."""
    path = (DOCS / page).resolve()
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    """Each page is in the navigation of the site."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

    assert [page for page in PAGES if f": {page}\n" not in navigation] == []


def complete_json(member: str) -> list[str]:
    """Return the JSON blocks of all pages that are objects with a member of this name."""
    blocks = [block for text in PAGES.values() for block in fenced("json", text) if block.startswith("{")]
    return [block for block in blocks if member in json.loads(block)]


@pytest.mark.parametrize("block", complete_json("rules"))
def test_rule_files_are_valid(tmp_path: Path, block: str) -> None:
    """Each rule file in the documentation can be loaded."""
    file = tmp_path / "rules.json"
    file.write_text(block, encoding="utf-8")

    assert len(load_rules(file).rules) > 1


@pytest.mark.parametrize("block", complete_json("resources"))
def test_scope_catalogs_are_valid(tmp_path: Path, block: str) -> None:
    """Each scope catalog in the documentation can be loaded."""
    file = tmp_path / "scopes.json"
    file.write_text(block, encoding="utf-8")

    assert load_catalog(file).version == "2026-11"


def test_options_in_yaml_exist() -> None:
    """The YAML of the start page has only options of the library."""
    (block,) = fenced("yaml", PAGES["start.md"])
    options = yaml.safe_load(block)["instrumentation/development"]["python"]["keyaudit"]

    assert set(options) <= set(Settings.__dataclass_fields__)


@pytest.mark.parametrize("section", ["## A target is `wrong`", "## Messages"])
def test_messages_of_the_troubleshooting_page_exist(section: str) -> None:
    """Each part of a message is in the sources, where an ellipsis or a word in capitals is a value."""
    table = PAGES["troubleshooting.md"].split(section)[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)  # adjacent string literals
    parts = [part for message in messages for part in re.split(r"…|'\w+'|\b[A-Z]+\b(?=[ :])|N(?= )", message)]
    parts = [re.sub(r"^\W+|\W+$", "", part) for part in parts]

    assert len(messages) > 10
    assert [part for part in parts if len(part) > 3 and part not in joined] == []


def test_architecture_names_every_folder_and_only_files_that_exist() -> None:
    """The map for maintainers has each folder of the package, and each file that it names exists."""
    page = PAGES["architecture.md"]
    package = ROOT / "src" / "otel_keyaudit"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    files = {name for name in re.findall(r"`([\w/]+\.(?:py|md))`", page) if "<" not in name}

    assert [folder for folder in sorted(folders) if f"| `{folder}/` |" not in page] == []
    assert [file for file in sorted(files) if not (package / file).exists() and not (ROOT / file).exists()] == []


def test_frameworks_page_names_each_instrumentation() -> None:
    """Each instrumentation that the warning about missing requests can name is on the page."""
    source = (ROOT / "src/otel_keyaudit/request/boundaries/missing_instrumentation.py").read_text(encoding="utf-8")
    found = set(re.findall(r"opentelemetry-instrumentation-[a-z-]+", source))

    assert len(found) > 5
    assert sorted(name for name in found if f"`{name}`" not in PAGES["how-to/frameworks.md"]) == []


def test_decisions_page_names_each_preset_with_decisions() -> None:
    """Each preset that observes permission checks is on the page about decisions."""
    found = [name for name, preset in presets().items() if any(target.kind == "authz" for target in preset.targets)]

    assert [name for name in found if f"`{name}`" not in PAGES["how-to/decisions.md"]] == []
