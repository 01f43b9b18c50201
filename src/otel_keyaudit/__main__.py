"""Run the command ``otel-keyaudit``, which needs the extra ``cli``."""

from __future__ import annotations

import sys
from importlib import import_module

_EXTRA = ("click", "rich")


def main() -> None:
    """Run the command. Without the extra, print one line that names it and exit with status 2."""
    try:
        for package in _EXTRA:
            import_module(package)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"keyaudit: the command line needs {error.name}, which is not installed; "
            'run: pip install "otel-keyaudit[cli]"\n'
        )
        sys.exit(2)
    from otel_keyaudit.cli.group import run  # noqa: PLC0415 - the module needs the extra

    run()


if __name__ == "__main__":
    main()
