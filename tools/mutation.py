"""Changes the library in thousands of small ways, and tells which of them its tests notice: what `make mutation` does.

    python tools/mutation.py [MODULE ...]

mutmut makes the mutants, and runs those tests of `MODULES` that reach the changed function. Each module has a copy of
the sources of its own, and what was found out about an unchanged function is kept there: a second run goes on.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from environments import BUILD, ROOT, StepError, environ, environment, main, say
from equivalents import EXPLAINED
from mutants import AREA_FLOOR, AREAS, MODULES, NOT_ON_MUTANTS, NOTHING_TO_CHANGE, OVERALL_FLOOR
from results import Results

AT_ONCE = 2
HOURS = 3
"""How long the mutants of one module may take; the longest take a few minutes."""

SECONDS = 180
"""How long the tests of one mutant may take in a process of their own; most end within a few seconds."""

MEMORY = 8 * 2**30
"""What a mutant that never stops may fill."""

CONFIGURATION = """
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["{path}"]
also_copy = ["examples", "docs"]
pytest_add_cli_args = {arguments}
pytest_add_cli_args_test_selection = {tests}
timeout_constant = 2.0
timeout_multiplier = 6.0
use_git_change_detection = false
"""
QUICK = {"PYTEST_ADDOPTS": "-p no:unraisableexception"}  # which collects garbage for longer than most tests run
PYTEST = ("-p", "no:cacheprovider", "-m", "not hypothesis")  # a property that fails is tried again and again


SURVIVED = (0, 5, 33)
"""Exit codes for which mutmut says that a mutant has survived, or that no test reaches it."""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: the line of the source, and what it was changed to."""

    name: str
    line: str
    mutant: str


@dataclass(frozen=True)
class Score:
    """What became of the mutants of a module."""

    module: str
    mutants: int
    explained: tuple[Survivor, ...]
    left: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        """How many the tests noticed."""
        return self.mutants - len(self.explained) - len(self.left)

    @property
    def percent(self) -> float:
        """How many of those that can be noticed were."""
        return percent(self.killed, len(self.left))


def mutation() -> None:
    """Test every module, or those on the command line, and compare the scores with the floors."""
    asked = sys.argv[1:]
    check_names(asked)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    python = environment("mutation", "mutation")
    results = Results("make mutation")
    scores = []
    modules = asked or list(MODULES)
    say(f"the mutants of {len(modules)} modules, {AT_ONCE} modules at once")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = {pool.submit(tested, python, name): name for name in modules}
        for done in as_completed(pending):
            if isinstance(error := done.exception(), StepError):
                results.note(f"{pending[done]}: {error}", failed=True)
            else:
                scores.append(done.result())
                print(row(scores[-1]), flush=True)
    judge(results, sorted(scores, key=lambda score: modules.index(score.module)), whole=not asked)


def check_names(asked: list[str]) -> None:
    """Check that there is such a module, and that none was forgotten.

    Raises:
        StepError: There is a module too many, or one too few.
    """
    if unknown := [name for name in asked if name not in MODULES]:
        message = f"no module of tools/mutants.py: {', '.join(unknown)}; there are {', '.join(MODULES)}"
        raise StepError(message)
    modules = {path.stem for path in (ROOT / "src" / "otel_keyaudit").glob("*.py")}
    if unknown := [] if asked else sorted(modules ^ {*MODULES, *NOTHING_TO_CHANGE}):
        message = f"tools/mutants.py and src/otel_keyaudit have not the same modules: {', '.join(unknown)}"
        raise StepError(message)


def tested(python: Path, module: str) -> Score:
    """Test the mutants of one module in its copy of the sources."""
    folder = BUILD / "mutation" / module
    if synchronised(folder):
        forget_survivors(folder, module)
        (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # which tests reach which function
    arguments = [*PYTEST, *(f"--deselect=tests/{test}" for test in NOT_ON_MUTANTS)]
    tests = [tests_of(name) for name in MODULES[module].split()]
    own = CONFIGURATION.format(path=source(module), arguments=json.dumps(arguments), tests=json.dumps(tests))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8") + own)
    mutmut = python.with_name("mutmut")
    (folder / "output").write_text(output_in(folder, mutmut, "run", "--max-children", "1"))
    found = json.loads(output_in(folder, python, ROOT / "tools" / "survivors.py", source(module), *tests))
    survivors = [Survivor(*one) for one in found["survivors"]]
    explained = tuple(one for one in survivors if explains(module, one))
    left = [one for one in survivors if one not in explained]
    retried = [one.name for one in left if one.name in found["early"]]
    killed = {name for name in retried if not passes(folder, name, python, "-m", "pytest", "-x", *arguments, *tests)}
    note(folder, module, lambda name, code: 1 if name in killed else code)
    return Score(module, found["mutants"], explained, tuple(one for one in left if one.name not in killed))


def passes(folder: Path, mutant: str, *command: str | Path) -> bool:
    """Say whether the tests do not notice a mutant in a process of their own.

    mutmut forks one that has imported library and tests, so it does not see what a mutant does while that happens.
    """
    try:
        return run_in(folder, *command, mutant=mutant, seconds=SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def synchronised(folder: Path) -> bool:
    """Bring the copy up to date, and say whether anything in it has changed; what is the same is not touched."""
    (folder / "mutants" / "src").mkdir(parents=True, exist_ok=True)  # Python must find it on its path when it starts
    has_changed = False
    for part in ("src", "tests", "examples", "docs"):
        shutil.rmtree(folder / part / "__pycache__", ignore_errors=True)
        for path in (ROOT / part).rglob("*"):
            copy = folder / path.relative_to(ROOT)
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                has_changed = True
    return has_changed


def forget_survivors(folder: Path, module: str) -> None:
    """Have mutants tried again that may be noticed by now; what was noticed before still is."""
    note(folder, module, lambda _, code: None if code in SURVIVED else code)


def note(folder: Path, module: str, outcome: Callable[[str, int | None], int | None]) -> None:
    """Change what mutmut knows of the mutants: the exit codes of their tests, by name."""
    meta = folder / "mutants" / f"{source(module)}.meta"
    if meta.exists():
        kept = json.loads(meta.read_text())
        kept["exit_code_by_key"] = {name: outcome(name, code) for name, code in kept["exit_code_by_key"].items()}
        meta.write_text(json.dumps(kept))


def output_in(folder: Path, *command: str | Path) -> str:
    """Run a program on a copy and return its output."""
    done = run_in(folder, *command, seconds=HOURS * 3600)
    if done.returncode:
        message = f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}"
        raise StepError(message)
    return done.stdout


def run_in(folder: Path, *command: str | Path, seconds: int, mutant: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program on a copy, the changed sources before all others."""
    env = environ({"PYTHONPATH": str(folder / "mutants" / "src"), "PYTHONDONTWRITEBYTECODE": "1", **QUICK})
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder / "mutants" if mutant else folder,
        env={name: value for name, value in env.items() if not name.startswith("OTEL_")}
        | ({"MUTANT_UNDER_TEST": mutant} if mutant else {}),
        timeout=seconds,
        capture_output=True,
        text=True,
        check=False,
    )


def source(module: str) -> str:
    """Return where a module is."""
    return f"src/otel_keyaudit/{module}.py"


def tests_of(name: str) -> str:
    """Return where tests are."""
    folder, slash, subject = name.rpartition("/")
    return f"tests/{folder}{slash}test_{subject}.py"


def explains(module: str, survivor: Survivor) -> bool:
    """Say whether there is a reason why no test can notice a mutant."""
    return any(
        one.module == module and one.line == survivor.line and survivor.mutant in one.mutants for one in EXPLAINED
    )


def judge(results: Results, scores: list[Score], *, whole: bool) -> None:
    """Print the table and what is left; fail for a score below its floor, and for a reason that has no mutant."""
    for score in scores:
        floor = AREA_FLOOR if score.module in AREAS else 0.0
        results.note(row(score), failed=score.percent < floor)
    killed, left = sum(score.killed for score in scores), sum(len(score.left) for score in scores)
    overall = percent(killed, left)
    results.note(
        f"{'overall':<24}{killed + left:>6} that can be killed{overall:>26.1f} %",
        failed=whole and overall < OVERALL_FLOOR,
    )
    survivors = {(score.module, one.line, one.mutant) for score in scores for one in score.explained}
    for one in EXPLAINED:
        for mutant in one.mutants:
            if one.module in {score.module for score in scores} and (one.module, one.line, mutant) not in survivors:
                results.note(f"explained, but it does not survive: {one.module}: {mutant}", failed=True)
    listed = [f"{one.name}\n    - {one.line}\n    + {one.mutant}\n" for score in scores for one in score.left]
    (BUILD / "mutation" / "left.txt").write_text("".join(listed))
    print(f"{len(listed)} mutants that are left are listed in {BUILD / 'mutation' / 'left.txt'}")
    results.close()


def row(score: Score) -> str:
    """Return a line of the table."""
    counts = f"{score.mutants:>6} mutants{len(score.explained):>5} explained{len(score.left):>5} left"
    return f"{score.module:<24}{counts}{score.percent:>9.1f} %"


def percent(killed: int, left: int) -> float:
    """Return the part that was noticed."""
    return 100 * killed / (killed + left) if killed else 0.0


if __name__ == "__main__":
    sys.exit(main("make mutation", mutation))
