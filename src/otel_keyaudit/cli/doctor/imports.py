"""Instrument the targets and import their modules in a separate process, because imports have side effects."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.cli.doctor.probe import IMPORT_ERRORS, Probe
from otel_keyaudit.cli.records import DIRECTORY
from otel_keyaudit.guard.guard import Guard, quietly


class _Imports(Guard):
    """Imports modules, and records only the class of an exception, because its message may contain a secret."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def report(self, module: str, error: BaseException) -> None:
        """Record an exception."""
        self.errors[module] = type(error).__name__


def main() -> None:
    """Import the module of every target, then write the status of the targets."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the import without a traceback
    directory = Path(os.environ[DIRECTORY])
    sys.path.insert(0, str(Path.cwd()))
    probe, imports = Probe(directory), _Imports()
    instrumentor = KeyAuditInstrumentor()
    instrumentor.instrument()
    quietly(_prepare_django)  # if it fails, the imports fail, too
    for module in dict.fromkeys(status.target.partition(":")[0] for status in instrumentor.status()):
        imports.guarded(module, import_module, module)
    (directory / IMPORT_ERRORS).write_text(json.dumps(imports.errors), encoding="utf-8")
    probe.write()


def _prepare_django() -> None:
    """Load the applications of a Django project, because its models cannot be imported before."""
    if os.environ.get("DJANGO_SETTINGS_MODULE") and find_spec("django"):
        import_module("django").setup()


if __name__ == "__main__":
    main()
