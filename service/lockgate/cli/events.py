"""`lockgate events` and `lockgate delivery`: what happened at the gate, and who was told of it."""

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import click

from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.errors import GateUnreachableError, ProblemError, ReaderGoneError
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.gate_client import GateClient
from lockgate.cli.standard_output import deliver, emit
from lockgate.delivery.types import DeliveryState
from lockgate.rendering import plain

POLL_S: Final = 2.0  # between two looks with --follow: soon for a person, and little to the gate
DELIVERIES_PAGE: Final = 100  # what the gate gives at once
DELIVERIES_MAX: Final = 1000  # whoever needs more asks for a state or a subscriber


@click.command()
@click.option("--log", metavar="ENVIRONMENT", help="Of that environment's own log instead of the main one.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="SEQ",
    help="Only what comes after this place in the log: data.seq of the last event that you have. Default: all.",
)
@click.option(
    "--format", "format_", type=click.Choice(["cloudevents", "cdevents"]), default="cloudevents", show_default=True
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until stopped.")
@connection_options
def events(connection: Connection, log: str | None, after: int | None, format_: str, *, follow: bool) -> int:
    """Print what happened, one event a line as JSON, oldest first.

    An event is a view of a record of the audit log and proves nothing: 'lockgate audit verify-receipt' does, with the
    receipt of the record that data.seq names.

    Exit codes: 0 all printed, 2 usage, 3 not all could be read.

    \b
    Example:
      lockgate events --after 4711 --follow | while read -r event; do ./notify "$event"; done
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    try:
        for event in _read(connection.client, log, after, format_, follow=follow):
            deliver(json.dumps(event, sort_keys=True) + "\n")
    except ReaderGoneError:
        pass  # 'head', say: whoever reads has enough
    return ExitCode.ALLOW


def _read(
    client: GateClient, log: str | None, after: int | None, format_: str, *, follow: bool
) -> Iterator[Mapping[str, Any]]:
    query = {"format": format_, "limit": "100", **({} if log is None else {"log": log})}
    cursor = None if after is None else str(after)
    while True:
        asked = query if cursor is None else {**query, "after": cursor}
        try:
            page = client.call("GET", f"/v1/events?{urlencode(asked)}", None, answers={HTTPStatus.OK: "event_page"})
        except (GateUnreachableError, ProblemError) as exc:
            # A gate that restarts must not end what follows it; anything that it says on purpose does.
            if not follow or (isinstance(exc, ProblemError) and not exc.come_back):
                raise
            time.sleep(POLL_S)
            continue
        yield from page["items"]
        cursor = page["next_cursor"]
        if page["at_end"]:
            if not follow:
                return
            time.sleep(POLL_S)


@click.group()
def delivery() -> None:
    """See which events were delivered to webhooks, and have one sent again."""


@delivery.command("list")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]), help="Only in this state.")
@click.option("--subscriber", metavar="NAME", help="Only to this webhook.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connection_options
def list_(connection: Connection, state: str | None, subscriber: str | None, output: str) -> int:
    """List deliveries, newest first: id, state, subscriber, attempts, the code of the last one, the event.

    \b
    Example:
      lockgate delivery list --state dead
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    conditions = {"state": state, "subscriber": subscriber, "limit": str(DELIVERIES_PAGE)}
    query = {name: value for name, value in conditions.items() if value is not None}
    items: list[Mapping[str, Any]] = []
    cursor: dict[str, str] = {}
    while len(items) < DELIVERIES_MAX:
        path = f"/v1/deliveries?{urlencode({**query, **cursor})}"
        page = connection.client.call("GET", path, None, answers={HTTPStatus.OK: "delivery_list"})
        items += page["items"]
        if not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    else:
        click.echo(f"lockgate: only the newest {DELIVERIES_MAX}; ask for a state or a subscriber", err=True)
    emit(json.dumps({"items": items}, indent=2) + "\n" if output == "json" else "".join(map(_line, items)))
    return ExitCode.ALLOW


@delivery.command()
@click.argument("delivery_id", metavar="ID", type=click.UUID)
@connection_options
def redeliver(connection: Connection, delivery_id: object) -> int:
    """Have an event sent once more, under the same id. Recorded.

    A receiver that wanted no more (410) is tried again from now on.

    Exit codes: 0 it will be sent, 2 usage, 3 not.

    \b
    Example:
      lockgate delivery redeliver 0199c0de-0000-7000-8000-000000000003
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    path = f"/v1/deliveries/{delivery_id}:redeliver"
    answer = connection.client.call("POST", path, None, answers={HTTPStatus.ACCEPTED: "delivery"})
    emit(_line(answer))
    return ExitCode.ALLOW


def _line(item: Mapping[str, Any]) -> str:
    last = f"{item['code']} {item['status'] or ''}".strip() or "-"
    where = f"{item['log'] or 'main'}/{item['seq']}"
    return (
        plain(
            f"{item['id']}  {item['state']:9}  {item['subscriber']}  {item['attempts']:>2}  {last}  "
            f"{item['event_type']}  {where}"
        )
        + "\n"
    )
