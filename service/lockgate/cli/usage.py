"""The client's commands about uses of versions: tell of them, list them, find what nobody uses."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, Final

import click

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.standard_output import emit
from lockgate.rendering import plain
from lockgate.schemas import SchemaError, check_schema

BATCH_ROWS: Final = 1000  # what the gate takes in one report
ITEMS_MAX: Final = 10_000  # of a list: a hundred pages, which a person does not read
_LINE_BYTES_MAX: Final = 4096  # of a row; one with names as long as may be is below 700
_DAYS_MAX: Final = 400  # what the gate knows of

_output_option: Final = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
def usage() -> None:
    """Tell how often versions are used, and find those that nobody uses."""


@usage.command()
@click.argument("file", metavar="FILE", type=click.File("rb"))
@connection_options
def record(connection: Connection, file: IO[bytes]) -> int:
    """Tell how often versions were used; FILE, or - for standard input, has a JSON object on each line.

    Each says model, version, environment, day (YYYY-MM-DD, UTC), loads and predictions of the whole day so far, and
    perhaps source. What is told twice counts once, so that a file may be sent again. Needs the role deployer.

    Exit codes: 0 all of it was kept, 2 usage, 3 not known to be kept.

    \b
    Example:
      echo '{"model": "fraud-detector", "version": "1.4.0", "environment": "production",
        "day": "2026-11-23", "loads": 2, "predictions": 1042}' | tr -d '\\n' | lockgate usage record -
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    rows = list(_read_rows(file))  # all of them, before anything is sent
    for start in range(0, len(rows), BATCH_ROWS):
        connection.client.record_usage({"schema_version": 1, "rows": rows[start : start + BATCH_ROWS]})
    emit(f"KEPT {len(rows)}\n")
    return ExitCode.ALLOW


@usage.command("list")
@click.option("--model", help="Only of this model.")
@click.option("--environment", "--env", help="Only in this environment.")
@click.option("--since", metavar="DAY", help="Only of this day (YYYY-MM-DD, UTC) and later.")
@_output_option
@connection_options
def list_(connection: Connection, *, model: str | None, environment: str | None, since: str | None, output: str) -> int:
    """List what was counted: a line for each version, environment, day and source.

    \b
    Example:
      lockgate usage list --model fraud-detector --since 2026-11-01
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    query = {"model": model, "environment": environment, "since": since}
    _show(_pages(connection.client.list_usage, query), output, _row_line)
    return ExitCode.ALLOW


@usage.command()
@click.option(
    "--days", type=click.IntRange(1, _DAYS_MAX), default=30, show_default=True, help="For how long nobody used them."
)
@_output_option
@connection_options
def idle(connection: Connection, *, days: int, output: str) -> int:
    """List live versions that nobody seems to use, each with the reason to think so.

    not_counted: nobody ever counted its uses there. zero_use: counted, and never a use. stale: used, but not in these
    days. What was not live all these days is not listed.

    \b
    Example:
      lockgate usage idle --days 60
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    _show(_pages(connection.client.list_idle, {"days": str(days)}), output, _idle_line)
    return ExitCode.ALLOW


def _read_rows(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    number = 0
    while line := file.readline(_LINE_BYTES_MAX + 1):
        number += 1
        if not line.strip():
            continue
        try:
            row = parse_json(line, bytes_max=_LINE_BYTES_MAX)
            check_schema("v1/api/usage_report", {"schema_version": 1, "rows": [row]})
        except MalformedJSONError as exc:
            raise click.UsageError(f"line {number}: {exc}") from exc
        except SchemaError as exc:
            raise click.UsageError(f"line {number}: {exc} at {exc.pointer.removeprefix('/rows/0') or '/'}") from exc
        yield row


def _pages(
    ask: Callable[[Mapping[str, str]], dict[str, Any]], query: Mapping[str, str | None]
) -> Iterator[dict[str, Any]]:
    asked = {name: value for name, value in query.items() if value is not None}
    page = ask(asked)
    yield from page["items"]
    while page["next_cursor"]:
        page = ask({**asked, "cursor": page["next_cursor"]})
        yield from page["items"]


def _show(items: Iterable[Mapping[str, Any]], output: str, line: Callable[[Mapping[str, Any]], str]) -> None:
    shown: list[Mapping[str, Any]] = []
    for item in items:
        if len(shown) == ITEMS_MAX:
            click.echo(f"lockgate: only the first {ITEMS_MAX}; ask for less", err=True)
            break
        shown.append(item)
    if output == "json":
        emit(json.dumps({"items": shown}, indent=2) + "\n")
    else:
        emit("".join(f"{plain(line(item))}\n" for item in shown))


def _row_line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['day']}  {row['model']} {row['version']}  {row['environment']}  "
        f"loads {row['loads']}  predictions {row['predictions']}  by {row['source']}"
    )


def _idle_line(version: Mapping[str, Any]) -> str:
    return (
        f"{version['reason']:11}  {version['model']} {version['version']}  {version['environment']}  "
        f"live since {version['live_since']}  last used {version['last_used_at'] or 'never'}"
    )
