"""End a command that is used wrongly, with exit status 2 and one line on standard error."""

from __future__ import annotations

import os
from typing import IO, Any

import click

PREFIX = "OTEL_PYTHON_KEYAUDIT_"
"""Prefix of the environment variables."""


class WrongUseError(click.ClickException):
    """Ends the command with exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as one line."""
        click.echo(f"keyaudit: {' '.join(self.format_message().splitlines())}", file=file, err=file is None)


class OneLineCommand(click.Command):
    """A command that reports wrong use in one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise WrongUseError(f"{error.format_message()} Try: otel-keyaudit {self.name} --help") from None


def from_environment(option: str) -> str | None:
    """Return the environment variable of an option; an empty one counts as unset."""
    return os.environ.get(PREFIX + option.upper(), "").strip() or None
