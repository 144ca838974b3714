"""The client's commands about lineage: what a version was made of, and what became of it."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.standard_output import emit
from lockgate.rendering import plain

_output_option: Final = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
def lineage() -> None:
    """Look at what a version was made of, and have it collected."""


@lineage.command()
@click.argument("model")
@click.argument("version")
@click.option(
    "--openlineage", is_flag=True, help="Its promotions as OpenLineage run events, one JSON object on each line."
)
@_output_option
@connection_options
def show(connection: Connection, *, model: str, version: str, openlineage: bool, output: str) -> int:
    """Show the newest snapshot of a version's lineage, with its promotions and deployments.

    Exit codes: 0 shown, 2 usage, 3 there is none, or the gate did not say.

    \b
    Example:
      lockgate lineage show fraud-detector 1.4.0
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    query = "?" + urlencode({"format": "openlineage"}) if openlineage else ""
    answer = _call(connection, "GET", model, version, query)
    if openlineage:
        emit("".join(f"{json.dumps(event)}\n" for event in answer["events"]))
    else:
        _emit(answer, output)
    return ExitCode.ALLOW


@lineage.command()
@click.argument("model")
@click.argument("version")
@_output_option
@connection_options
def collect(connection: Connection, *, model: str, version: str, output: str) -> int:
    """Have the gate ask registry and feature store now, and show what it found. Needs the role requester or operator.

    What did not change since is not kept again. Promotions that were asked for before keep the lineage that they have.

    Exit codes: 0 collected, 2 usage, 3 it could not be collected.

    \b
    Example:
      lockgate lineage collect fraud-detector 1.4.0
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    _emit(_call(connection, "POST", model, version, ""), output)
    return ExitCode.ALLOW


def _call(connection: Connection, method: str, model: str, version: str, query: str) -> dict[str, Any]:
    path = f"/v1/models/{quote(model, safe='')}/versions/{quote(version, safe='')}/lineage{query}"
    return connection.client.call(method, path, None, answers={HTTPStatus.OK: "lineage"})


def _emit(answer: Mapping[str, Any], output: str) -> None:
    if output == "json":
        emit(json.dumps(answer, indent=2) + "\n")
    else:
        emit("".join(f"{plain(line)}\n" for line in _lines(answer)))


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    graph = answer["graph"]
    labels = {node["id"]: f"{node['kind']} {node['label']}" for node in graph["nodes"]}
    yield f"LINEAGE {answer['model']} {answer['version']}  {answer['score']} %  {answer['digest']}"
    yield f"  collected {answer['collected_at']}"
    if answer["problems"]:
        yield f"  missing   {', '.join(answer['problems'])}"
    if answer["truncated"]:
        yield f"  cut       {', '.join(answer['truncated'])}"
    for node in graph["nodes"]:
        facts = "  ".join(f"{fact['name']}={fact['value']}" for fact in node["facts"])
        yield f"  {labels[node['id']]}" + (f"  {facts}" if facts else "")
    for edge in graph["edges"]:
        yield f"  {labels[edge['from']]}  --{edge['kind']}->  {labels[edge['to']]}"
    if graph["truncated"]:
        yield "  and more than is shown"
