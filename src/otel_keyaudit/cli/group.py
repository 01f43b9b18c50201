"""Define the group of all commands. A command is imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from otel_keyaudit.cli.output import checked_streams
from otel_keyaudit.cli.usage import OneLineGroup, WrongUseError
from otel_keyaudit.errors import hint, shown
from otel_keyaudit.version import __version__

_COMMANDS = ("doctor", "discover", "explain", "presets", "report")
"""Names of the commands. Each is an object of that name in ``otel_keyaudit.cli.<name>.command``."""


class _Group(OneLineGroup):
    """A group that imports its commands when they are used."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"otel_keyaudit.cli.{name}.command"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name."""
        if args[0] not in _COMMANDS:
            allowed = ", ".join(_COMMANDS)
            raise WrongUseError(
                f"there is no command {shown(args[0])}; allowed are {allowed}{hint(args[0], _COMMANDS)}"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, invoke_without_command=True, epilog="Example: otel-keyaudit doctor -- uvicorn shop.main:app")
@click.version_option(__version__, prog_name="otel-keyaudit")
@click.pass_context
def group(context: click.Context) -> None:
    """Set up otel-keyaudit, check it, and evaluate the audit rows.

    Exit status: 0, 1 for findings, or 2 for wrong use. Options come from the environment (OTEL_PYTHON_KEYAUDIT_...).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run() -> None:
    """Run the command that the arguments of the process name."""
    with checked_streams():
        group(prog_name="otel-keyaudit")
