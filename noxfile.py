"""The environments and sessions behind `make`: `make help` lists the commands, `nox --list` the sessions.

Each session has a virtualenv in .venv/ that matches one lock in requirements/; `make lock` compiles the locks from the
groups in pyproject.toml.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import nox

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
MAIN = "3.13"  # builds, and everything else that needs only one Python
CHECKS = "3.11"  # mypy and ruff
MEASURED = ("tests-3.14",)  # measuring coverage is cheap since 3.14
PRESETS = "3.13"  # not all of these libraries have releases for every Python

ROOT = Path(__file__).parent
BUILD = ROOT / "build"
COVERAGE = BUILD / "coverage"
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")

ONCE = ("tests/integration", "tests/isolation", "tests/presets", "tests/project")
"""Slow tests, with servers and processes of their own. Only MAIN runs them."""
IGNORE_ONCE = tuple(f"--ignore={folder}" for folder in ONCE)
PARTLY = dict.fromkeys(
    ("3.10", "3.11", "3.12", "3.15"),
    ("tests/promises", "tests/unit/guard", "tests/unit/patching", "tests/unit/request", "tests/unit/row/types"),
)
"""Pythons that run only the tests of what depends on the interpreter; 3.10 runs all of them in ``oldest``."""

EPOCH = {"SOURCE_DATE_EPOCH": "1580601600"}
"""2020-02-02, the default of hatchling, so that two builds have the same bytes."""

LOCKS = {
    "tools": (),
    "dev": ("pyproject.toml", "--extra", "cli"),
    "oldest": ("pyproject.toml", "--extra", "cli", "--resolution", "lowest-direct"),
    "presets": ("pyproject.toml", "--python-version", "3.12"),
    "presets-oldest": ("pyproject.toml", "--python-version", "3.12"),
    "demo": ("pyproject.toml", "examples/quickstart/requirements.in"),
    "runtime": ("pyproject.toml", "--constraint", "requirements/dev.txt"),
    "mutation": ("pyproject.toml", "--extra", "cli", "--python-version", MAIN, "-c", "requirements/presets.txt"),
    "bench": ("pyproject.toml", "--extra", "cli", "--constraint", "requirements/dev.txt"),
    "check-full": ("pyproject.toml",),
    "foreign-suites": ("pyproject.toml", "--python-version", MAIN),
    "supply-chain": (),
    "docs": ("pyproject.toml", "--extra", "cli"),
}
"""Each lock with its sources, besides the group of the same name in pyproject.toml."""

nox.needs_version = ">=2026.7"
nox.options.default_venv_backend = "uv"
nox.options.envdir = ".venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = bool(os.environ.get("EVERY_PYTHON"))
nox.options.sessions = ["tests", "oldest-3.10", "presets", "coverage", "check"]

# pyenv has shims for versions that are not active, so its interpreters come first
os.environ["PATH"] = os.pathsep.join(
    [*(str(path) for path in sorted(PYENV.glob("versions/3.1?.*/bin"))), os.environ["PATH"]]
)
os.environ["NOX_ENABLE_STALENESS_CHECK"] = "1"  # a virtualenv is created again when its Python changes
# the user's own telemetry settings must not influence a session
for variable in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[variable]


def synchronize(session: nox.Session, lock: str) -> None:
    """Install exactly the packages of a lock."""
    session.run_install("uv", "pip", "sync", "--quiet", "--require-hashes", f"requirements/{lock}.txt", external=True)


def install_package(session: nox.Session) -> None:
    """Install the wheel of this checkout, and check that the installed versions are in its declared ranges."""
    wheel = os.environ.get("WHEEL") or next((BUILD / "dist").glob("*.whl"))
    session.run_install(
        "uv", "pip", "install", "--quiet", "--no-deps", "--reinstall-package=otel-keyaudit", str(wheel), external=True
    )
    session.run_install("uv", "pip", "check", "--quiet", external=True)


def build_distributions(session: nox.Session, folder: Path) -> None:
    """Build the sdist, and the wheel from the sdist, with the locked backend."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ("uv", "build", "--quiet", "--no-build-isolation", "--no-create-gitignore", "--out-dir", str(folder))
    session.run(*command, env=EPOCH, external=True)


def run_pytest(session: nox.Session, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run tests against the installed wheel, and measure coverage in the sessions of MEASURED."""
    measure = ("coverage", "run", "-m") if session.name in MEASURED else ("python", "-m")
    COVERAGE.mkdir(parents=True, exist_ok=True)
    variables = {"COVERAGE_FILE": str(COVERAGE / f".coverage.{session.name}"), **(env or {})}
    session.run(*measure, "pytest", "-n", "2", *arguments, env=variables)


def passes(session: nox.Session, *command: str) -> bool:
    """Run a check from the sources and return whether it passed."""
    try:
        session.run(*command, env={"PYTHONPATH": "src"})
    except nox.command.CommandFailed:
        return False
    return True


@nox.session(python=MAIN)
def build(session: nox.Session) -> None:
    """Build the wheel that the tests install, unless WHEEL names one."""
    shutil.rmtree(COVERAGE, ignore_errors=True)
    if not os.environ.get("WHEEL"):
        synchronize(session, "dev")
        build_distributions(session, BUILD / "dist")


@nox.session(python=PYTHONS, requires=["build"])
def tests(session: nox.Session) -> None:
    """Run the tests with the newest dependencies (arguments: pytest's)."""
    if session.python == "3.15" and not shutil.which("cargo"):
        session.skip("orjson has no wheel for Python 3.15 yet, and building it needs Rust")
    synchronize(session, "dev")
    install_package(session)
    chosen = () if session.python == MAIN else PARTLY.get(str(session.python), IGNORE_ONCE)
    run_pytest(session, *(session.posargs or chosen))


@nox.session(python=["3.10", "3.14"], requires=["build"])
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies, on the oldest Python and on the newest that has wheels for them."""
    synchronize(session, "oldest")
    install_package(session)
    run_pytest(session, *(session.posargs or IGNORE_ONCE))


@nox.session(python=PRESETS, requires=["build"])
@nox.parametrize("lock", ["presets", "presets-oldest"], ids=["newest", "oldest"])
def presets(session: nox.Session, lock: str) -> None:
    """Run the tests of presets against the newest and the oldest supported releases of the real libraries."""
    synchronize(session, lock)
    install_package(session)
    folders = ["tests/presets", "tests/integration/rows"]
    if lock == "presets":  # whole services and real databases take long
        folders += [f"tests/integration/{name}" for name in ("events", "outside", "shapes", "sql")]
    arguments = session.posargs or folders
    # in other sessions, missing libraries skip these tests
    run_pytest(session, *arguments, env={"KEYAUDIT_PRESETS": "1"})


@nox.session(python=MAIN)
def coverage(session: nox.Session) -> None:
    """Combine the coverage of all test sessions and compare it with the limit."""
    synchronize(session, "dev")
    env = {"COVERAGE_FILE": str(COVERAGE / "all")}
    session.run("coverage", "combine", "--quiet", "--keep", *map(str, COVERAGE.glob(".coverage.*")), env=env)
    session.run("coverage", "report", env=env)


@nox.session(python=CHECKS)
def check(session: nox.Session) -> None:
    """Check the sources: ruff, mypy, import-linter. Every check runs, even after a failure."""
    synchronize(session, "dev")
    commands = [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("lint-imports",),
    ]
    failed = [command for command in commands if not passes(session, *command)]
    if failed:
        session.error(f"failed: {'; '.join(map(' '.join, failed))} (`make format` fixes lint and formatting)")


@nox.session(python=CHECKS)
def format(session: nox.Session) -> None:  # noqa: A001 - the name of the command
    """Fix lint and formatting."""
    synchronize(session, "dev")
    session.run("ruff", "check", "--fix-only", ".")
    session.run("ruff", "format", ".")


@nox.session(python=False)
def jaeger(session: nox.Session) -> None:
    """Build Jaeger into the user's cache folder, once (needs Go)."""
    session.run("python", "examples/jaeger/build/build.py", external=True)


@nox.session(python=False)
def promtool(session: nox.Session) -> None:
    """Unpack promtool into the user's cache folder, once (needs apt)."""
    # where it cannot be fetched, its tests name the reason why they are skipped
    session.run("python", "examples/prometheus/fetch_promtool.py", external=True, success_codes=[0, 1])


@nox.session(python=MAIN)
def demo(session: nox.Session) -> None:
    """Run the example service and show its rows and spans."""
    synchronize(session, "demo")
    session.install("--quiet", "--no-deps", "--no-build-isolation", "--reinstall-package=otel-keyaudit", ".")
    session.run("python", "examples/quickstart/demo.py", *session.posargs)


@nox.session(python=MAIN)
def dist(session: nox.Session) -> None:
    """Build the wheel and the sdist twice into dist/, compare the bytes, and check metadata and contents."""
    synchronize(session, "dev")
    for folder in (ROOT / "dist", BUILD / "again"):
        build_distributions(session, folder)
    files = sorted(str(path) for path in (ROOT / "dist").iterdir())
    for file in files:
        session.run("cmp", file, str(BUILD / "again" / Path(file).name), external=True)
    session.run("sha256sum", *files, external=True)
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", *files[:1] if files[0].endswith(".whl") else files[1:])


@nox.session(python=MAIN)
def sbom(session: nox.Session) -> None:
    """Install the wheel of dist/ with only its dependencies, as the environment of the SBOM."""
    synchronize(session, "runtime")
    # by name, so that the SBOM contains no path
    session.install("--quiet", "--no-deps", "--no-index", "--find-links", "dist", "--reinstall", "otel-keyaudit")
    session.run_install("uv", "pip", "check", external=True)
    session.run("python", "-c", "import otel_keyaudit, otel_keyaudit.testing, sys; assert 'pytest' not in sys.modules")


@nox.session(python=MAIN, name="supply-chain", requires=["dist", "sbom"])
def supply_chain(session: nox.Session) -> None:
    """Check the published files and the way they are published: builds, contents, SBOM, bandit, zizmor."""
    synchronize(session, "supply-chain")
    output = BUILD / "sbom" / "otel-keyaudit.cdx.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    environment = ROOT / ".venv" / "sbom" / "bin" / "python"
    command = ("cyclonedx-py", "environment", "--output-reproducible", "--output-file", str(output), str(environment))
    session.run(*command, env=EPOCH)
    session.run("python", "-m", "tools.licenses", str(output))
    session.run("pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "tests/project/test_supply_chain.py")
    session.run("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", "src")
    session.run("zizmor", "--quiet", "--offline", "--pedantic", ".github")


@nox.session(python=CHECKS)
def sabotage(session: nox.Session) -> None:
    """Break the library in twenty ways, and check that a test fails each time."""
    synchronize(session, "dev")
    session.run("python", "-m", "tools.sabotage", *session.posargs)


@nox.session(python=MAIN)
def mutation(session: nox.Session) -> None:
    """Count the mutants of the library that the tests notice (arguments: folders)."""
    synchronize(session, "mutation")
    # processes that tests start find the entry points of the package
    session.run_install("uv", "pip", "install", "--quiet", "--no-deps", "--editable", ".", external=True)
    session.run("python", "-m", "tools.mutation", *session.posargs)


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """Measure the cost of the library (`check`: compare with benchmarks/baseline.json)."""
    is_short = {"check", "baseline", "--quick"} & {*session.posargs}  # without the peers and PostgreSQL
    synchronize(session, "dev" if is_short else "bench")
    session.run("python", "-m", "benchmarks", *session.posargs, env={"PYTHONPATH": "src"})


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs; a warning is an error."""
    synchronize(session, "docs")
    command = ("mkdocs", "build", "--strict", "--quiet", "--site-dir", str(BUILD / "docs"))
    session.run(*command, env={"NO_MKDOCS_2_WARNING": "1"})  # it advertises another generator


@nox.session(python=MAIN, name="foreign-suites", requires=["build"])
def foreign_suites(session: nox.Session) -> None:
    """Run other projects' own tests without and with the library, and print the difference (arguments: projects)."""
    synchronize(session, "foreign-suites")
    install_package(session)
    session.run("python", "-m", "tools.foreign_suites", *session.posargs)


@nox.session(python=MAIN, name="check-full", requires=["build", "oldest-3.14", "sabotage", "fuzz"])
def check_full(session: nox.Session) -> None:
    """Run the long forms of the tests: three quarters of an hour (QUICK=1: 4 seeds of isolation, not 20)."""
    synchronize(session, "dev")
    install_package(session)
    full = {"OTEL_KEYAUDIT_FULL": "1"}
    long = ("-o", "faulthandler_timeout=1800")
    examples = "--hypothesis-profile=full"
    session.run("pytest", "-n", "2", *long, "tests/promises/test_leaks.py", env=full)
    session.run("pytest", "-n", "2", *long, "tests/promises/test_transparency.py", examples)
    session.run("pytest", "-n", "2", *long, "-m", "hypothesis", examples)
    for seed in random.sample(range(2**32), 3):
        session.run("pytest", "-n", "2", f"--randomly-seed={seed}")
    seeds = "[0] or [1] or [2] or [3]" if os.environ.get("QUICK") else ""
    session.run("pytest", "-n", "2", *long, "tests/isolation", "-k", seeds, "--durations=5", env=full)


@nox.session(python="3.14", requires=["build"])
def fuzz(session: nox.Session) -> None:
    """Fuzz the merge a million times, and run the vendors' scrubbers over the library's output."""
    synchronize(session, "check-full")
    install_package(session)
    session.run("pytest", "tests/promises/test_scrubbers.py", "-p", "no:logfire")
    session.run("python", "tests/fuzz/fuzz_merge.py", "-runs=1000000")


@nox.session(python=False)
def lock(session: nox.Session) -> None:
    """Compile the locks from the groups in pyproject.toml (UPGRADE=1: to the newest versions)."""
    compile_ = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    compile_ += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "make lock"]
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    for name, sources in LOCKS.items():
        group = [] if name == "runtime" else ["--group", name]
        python = [] if "--python-version" in sources else ["--python-version", PYTHONS[0]]
        output = ["--output-file", f"requirements/{name}.txt"]
        session.run(*compile_, *python, *group, *sources, *output, *upgrade, external=True)
