"""``otel-keyaudit explain``: explain the detail of audit rows and the scopes that cover their actions."""

from __future__ import annotations

import sys

import click

from otel_keyaudit.cli.explain.rendering import as_member, print_row
from otel_keyaudit.cli.explain.rows import ExplainedRow, Explainer
from otel_keyaudit.cli.options import from_environment, read_catalog
from otel_keyaudit.cli.output import counted, print_json, stdout_console
from otel_keyaudit.cli.usage import OneLineCommand, WrongUseError
from otel_keyaudit.errors import shown
from otel_keyaudit.observers.sampling.rules import Rules, RulesError, load_rules


@click.command(
    cls=OneLineCommand,
    advice="The rows come from standard input: otel-keyaudit explain < rows.jsonl",
    epilog="Example: otel-keyaudit explain --rules rules.json < rows.jsonl",
)
@click.option("--rules", "rules_path", metavar="PATH", help="File of the rules; default: from the environment.")
@click.option("--catalog", "catalog_path", metavar="PATH", help="The scope catalog; default: from the environment.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON for programs.")
def explain(rules_path: str | None, catalog_path: str | None, is_json: bool) -> None:
    """Explain the detail, the permissions and the scopes of audit rows.

    Read rows as JSON lines from standard input: objects with action, resource_type, resource_id, outcome and
    additional_fields.
    """
    explainer = Explainer(
        rules=_rules(rules_path),
        catalog=read_catalog(catalog_path),
        request_field=from_environment("request_field") or "request_api_key",
        subject_field=from_environment("subject_field") or "api_key",
    )
    console = stdout_console()
    documents, unreadable = [], 0
    if sys.stdin.isatty():
        click.echo("keyaudit: reading rows from the terminal; end them with Ctrl-D", err=True)
    for row in explainer.explain(sys.stdin.buffer):
        if not isinstance(row, ExplainedRow):
            unreadable += 1
            click.echo(f"keyaudit: line {row.number} is not a row: {row.reason}", err=True)
        elif is_json:
            documents.append(as_member(row))
        else:
            print_row(row, console)
    if is_json:
        print_json({"format": "keyaudit-explain/1", "rows": documents})
    if unreadable:
        raise WrongUseError(f"{counted(unreadable, 'line')} could not be read; a row is a JSON object on one line")


def _rules(path: str | None) -> Rules | None:
    if path is None and from_environment("sampler") == "rules":
        path = from_environment("sampler_arg")
    try:
        return None if path is None else load_rules(path)
    except RulesError as error:
        raise WrongUseError(f"the rules {shown(path)}: {error}") from None
