"""Options and output that the commands about models and versions share."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.model_client import MODELS_LISTED_MAX
from lockgate.cli.standard_output import emit
from lockgate.rendering import plain

output_option: Final = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True
)
key_option: Final = click.option(
    "--idempotency-key", metavar="KEY", help="Name this call, so that sending it again changes nothing more."
)
reason_option: Final = click.option("--reason", help="Why, for the record.")


def _parse_tags(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[dict[str, str]]:
    tags = []
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"want NAME=VALUE, got {value[:80]!r}")
        tags.append({"name": name, "value": text})
    return tags


tag_option: Final = click.option(
    "--tag", "tags", multiple=True, callback=_parse_tags, metavar="NAME=VALUE", help="Again for each tag."
)


def said(document: Mapping[str, Any]) -> dict[str, Any]:
    """Write a request; what nobody said is left out, so that the gate's own defaults count."""
    return {"schema_version": 1, **{name: value for name, value in document.items() if value not in (None, [])}}


def show_document(document: Mapping[str, Any], output: str, text: str) -> int:
    """Write an answer as it is, or as a text of one or more lines."""
    if output == "json":
        emit(json.dumps(document, indent=2) + "\n")
    else:
        emit("".join(f"{plain(line)}\n" for line in text.split("\n")))
    return ExitCode.ALLOW


def show_items(
    items: Sequence[Mapping[str, Any]], output: str, line: Callable[[Mapping[str, Any]], str], *, more: bool
) -> None:
    """Write a list, each item as its line; say so where there are more."""
    if more:
        click.echo(f"lockgate: only the first {MODELS_LISTED_MAX}; ask for less", err=True)
    text = "\n".join(line(item) for item in items)
    if output == "json" or items:
        show_document({"items": list(items)}, output, text)


def fields_text(document: Mapping[str, Any]) -> str:
    """Write what a document says, a field on a line."""
    lines = []
    for name, value in document.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if shown and value is not None and name != "schema_version":
            lines.append(f"{name:14}  " + shown.replace("\n", " "))
    return "\n".join(lines)
