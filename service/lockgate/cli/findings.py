"""`lockgate finding`: what changed behind the gate's back, and closing it."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import click

from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.standard_output import emit
from lockgate.reconciling.types import FindingKind
from lockgate.rendering import plain

FINDINGS_MAX: Final = 1000  # whoever needs more asks for a kind or a model
_PAGE: Final = 100  # what the gate gives at once


@click.group()
def finding() -> None:
    """See what changed behind the gate's back, and close it."""


@finding.command("list")
@click.option("--state", type=click.Choice(["open", "closed"]), default="open", show_default=True)
@click.option("--kind", type=click.Choice([kind.value for kind in FindingKind]), help="Only of this kind.")
@click.option("--model", metavar="MODEL", help="Only about this model.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connection_options
def list_(connection: Connection, state: str, kind: str | None, model: str | None, output: str) -> int:
    """List findings, newest first: id, kind, environment, model, what is wanted, what was found.

    Exit codes: 0 listed, 2 usage, 3 the gate did not say.

    \b
    Example:
      lockgate finding list --kind artifact_drifted
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    conditions = {"state": state, "kind": kind, "model": model, "limit": str(_PAGE)}
    query = {name: value for name, value in conditions.items() if value is not None}
    items: list[Mapping[str, Any]] = []
    cursor: dict[str, str] = {}
    while len(items) < FINDINGS_MAX:
        path = f"/v1/findings?{urlencode({**query, **cursor})}"
        page = connection.client.call("GET", path, None, answers={HTTPStatus.OK: "finding_list"})
        items += page["items"]
        if not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    else:
        click.echo(f"lockgate: only the newest {FINDINGS_MAX}; ask for a kind or a model", err=True)
    emit(json.dumps({"items": items}, indent=2) + "\n" if output == "json" else "".join(map(_line, items)))
    return ExitCode.ALLOW


@finding.command()
@click.argument("finding_id", metavar="ID", type=click.UUID)
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the record.")
@connection_options
def close(connection: Connection, finding_id: object, reason: str) -> int:
    """Close a finding. Where it still stands, the next look opens another one.

    Exit codes: 0 closed, 2 usage, 3 not.

    \b
    Example:
      lockgate finding close 0199c0de-0000-7000-8000-000000000009 --reason "put back, INC-4711"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    path, document = f"/v1/findings/{finding_id}:close", {"schema_version": 1, "reason": reason}
    answer = connection.client.call("POST", path, document, answers={HTTPStatus.OK: "finding_answer"})
    emit(_line(answer["finding"]))
    return ExitCode.ALLOW


def _line(item: Mapping[str, Any]) -> str:
    wanted = item["wanted_version"] or "nothing"
    found = item["found_version"] or item["found_digest"] or item["stage"] or "nothing"
    standing = "stands" if item["standing"] else "stood"
    return (
        plain(
            f"{item['id']}  {item['kind']}  {item['environment'] or '-'}  {item['model']}  "
            f"wanted {wanted}, found {found}  {standing}  {item['response']}  {item['state']}"
        )
        + "\n"
    )
