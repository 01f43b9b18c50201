"""End a command that is used wrongly, with exit status 2 and one line on standard error."""

from __future__ import annotations

from typing import IO, Any

import click


class WrongUseError(click.ClickException):
    """Ends the command with exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as one line."""
        click.echo(f"keyaudit: {' '.join(self.format_message().splitlines())}", file=file, err=file is None)


class OneLineCommand(click.Command):
    """A command that reports wrong use in one line.

    Args:
        *args: Arguments of ``click.Command``.
        advice: Remedy for an unexpected argument, instead of a reference to the help.
        **kwargs: Keyword arguments of ``click.Command``.
    """

    def __init__(self, *args: Any, advice: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._advice = advice

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            message = _sentence(error)
            if "unexpected extra argument" in message and self._advice:
                raise WrongUseError(f"{message} {self._advice}") from None
            raise WrongUseError(f"{message} Try: otel-keyaudit {self.name} --help") from None


class OneLineGroup(click.Group):
    """A group that reports wrong use in one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options before the command."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise WrongUseError(f"{_sentence(error)} Try: otel-keyaudit --help") from None


def _sentence(error: click.UsageError) -> str:
    """Return the message with one full stop, without the usage line."""
    message = " ".join(error.format_message().split())
    return message if message.endswith((".", "?")) else f"{message}."
