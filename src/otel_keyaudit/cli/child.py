"""Run the user's command under ``opentelemetry-instrument``, and call a function of the library in each process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from otel_keyaudit.cli.records import DIRECTORY
from otel_keyaudit.cli.usage import WrongUseError
from otel_keyaudit.errors import shown

_LAUNCH = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
"""The signals that are passed on to the command, as far as the system has them."""

_KILLED_AT = 3


@contextmanager
def records() -> Iterator[Path]:
    """Create a temporary directory for the records of a command."""
    with TemporaryDirectory(prefix="keyaudit-") as directory:
        yield Path(directory)


def check_command(command: Sequence[str]) -> None:
    """Check that the command exists.

    Raises:
        WrongUseError: There is no such command.
    """
    name = command[0]
    if shutil.which(name) is None:
        advice = f"run it by: python {name}" if name.endswith(".py") else "check its name and your PATH"
        raise WrongUseError(f"there is no command {shown(name)} to run; {advice}")


def run_instrumented(
    command: Sequence[str], directory: Path, function: str, variables: Mapping[str, str] | None = None
) -> int:
    """Run a command until it ends, and pass signals on to its processes.

    Args:
        command: The command with its arguments.
        directory: Directory of the records.
        function: ``module:name`` of the function that each process calls before the instrumentors are loaded.
        variables: More environment variables.

    Returns:
        The exit status of the command; negative if a signal ended it.
    """
    python_path = _python_path(_distribution(directory, function))
    environment = {**os.environ, **(variables or {}), DIRECTORY: str(directory), "PYTHONPATH": python_path}
    for exporter in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"):
        environment.setdefault(exporter, "none")  # no collector is needed to observe calls
    # opentelemetry-instrument would also parse an option of the command, such as --config, before a "--"
    return run_until_end([sys.executable, "-c", _LAUNCH, "--", *command], environment)


def run_until_end(program: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program until it ends, and return its exit status. Signals are passed on to its processes."""
    # The program writes to standard error, because standard output has the result. It gets its own process group,
    # because otherwise it would receive signals of the terminal twice.
    child = subprocess.Popen(  # noqa: S603 - the user's own command, or this interpreter
        program, env=environment, stdout=sys.stderr.fileno(), start_new_session=True
    )
    with _passed_on(child):
        return child.wait()


def _distribution(directory: Path, function: str) -> Path:
    """Write a distribution with an entry point that ``opentelemetry-instrument`` calls in every process."""
    metadata = directory / "site" / "keyaudit_command-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: keyaudit-command\nVersion: 1\n", encoding="utf-8")
    entry_point = f"[opentelemetry_pre_instrument]\nkeyaudit_command = {function}\n"
    (metadata / "entry_points.txt").write_text(entry_point, encoding="utf-8")
    return metadata.parent


def _python_path(first: Path) -> str:
    existing = os.environ.get("PYTHONPATH")
    return str(first) if not existing else os.pathsep.join((str(first), existing))


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass signals on to all processes of the command, as a terminal does. The third signal kills them."""
    count = 0

    def pass_on(number: int, _: FrameType | None) -> None:
        nonlocal count
        count += 1
        if child.poll() is None:
            os.killpg(child.pid, number if count < _KILLED_AT else signal.SIGKILL)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS if not _is_under_nohup(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_under_nohup(number: int) -> bool:
    """Return whether a signal is SIGHUP and is ignored, so that the command outlives its terminal."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
