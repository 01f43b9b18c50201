"""Print the output of commands: tables and lines for people, JSON for programs, and color only in a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_keyaudit.errors import printable


@contextmanager
def checked_streams() -> Iterator[None]:
    """Replace closed standard streams, escape characters that a terminal cannot show, and report a failed write.

    Raises:
        SystemExit: The output cannot be written; the status is 2.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python tries to write the rest at exit
        sys.stderr.write(f"keyaudit: cannot write the output: {error.strerror}\n")
        sys.exit(2)


def stdout_console() -> Console:
    """Return a console on standard output that does not interpret markup in values."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


def table(*columns: str) -> Table:
    """Return an empty table with these columns. Long values are wrapped, never cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 line`` and ``2 lines``."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def line(*parts: str | tuple[str, str]) -> Text:
    """Return a line of printable parts, each a string or a string with a style."""
    made = Text()
    for part in parts:
        text, style = part if isinstance(part, tuple) else (part, "")
        made.append(printable(text), style)
    return made


def print_json(document: Any) -> None:
    """Print a JSON document. Every character beyond ASCII is escaped."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
