"""``otel-keyaudit presets``: list the presets, and show which of them fit the installed libraries."""

from __future__ import annotations

import click

from otel_keyaudit.cli.output import print_json
from otel_keyaudit.cli.presets.rendering import as_document, print_list, print_preset
from otel_keyaudit.cli.usage import OneLineCommand, WrongUseError
from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.presets import _registry


@click.command(
    cls=OneLineCommand,
    epilog="Example: otel-keyaudit presets drf-api-key",
)
@click.argument("name", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
def presets(name: str | None, is_json: bool) -> None:
    """List the presets, or show one preset with its targets.

    A preset fits if its library is installed in a supported release.
    """
    try:
        chosen = _registry.presets() if name is None else {name: _registry.preset(name)}
    except ConfigurationError as error:
        raise WrongUseError(str(error).removeprefix("option 'presets': ")) from None
    if is_json:
        print_json(as_document(chosen))
    elif name is None:
        print_list(chosen)
    else:
        print_preset(name, chosen[name])
