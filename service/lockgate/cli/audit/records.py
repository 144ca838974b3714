"""`lockgate audit export`, `show` and `key`."""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from lockgate.audit import Actor
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.recorded_reading import ExportFormat, RecordedReader
from lockgate.audit.reading.export import Advance, export_log
from lockgate.audit.reading.queries import parse_bound
from lockgate.audit.reading.reader import RECORDS_PAGE_MAX, LogReader
from lockgate.audit.reading.view_export import export_view
from lockgate.audit.types import RecordFilter
from lockgate.bootstrap import open_log
from lockgate.cli.audit.absent_records import explain_absence
from lockgate.cli.audit.settings import configured_log, log_settings_options
from lockgate.cli.standard_output import emit
from lockgate.clock import EpochNs, TimestampError
from lockgate.config import Settings
from lockgate.rendering import plain
from lockgate.storage import open_engine, read_transaction
from lockgate.system_clock import SystemClock

PROGRESS_RECORDS_MIN: Final = 100_000  # some seconds of writing; below, a bar would only flicker
# Whoever can run commands on the gate's machine: the operating system knows them, the gate does not.
_OPERATOR: Final = Actor(type="system", id="command-line")

R = TypeVar("R")


class _Time(click.ParamType[EpochNs]):
    """A time in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> EpochNs:  # noqa: ANN401 - click's own
        try:
            return parse_bound(str(value))
        except TimestampError as exc:
            self.fail(str(exc), param, ctx)


def _filter_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the conditions of a query, and hand them to it as the keyword `wanted`."""

    @functools.wraps(command)
    def with_filter(
        *args: Any,  # noqa: ANN401 - whatever click passes on
        kind: str | None,
        actor: str | None,
        subject: str | None,
        since: EpochNs | None,
        until: EpochNs | None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> R:
        wanted = RecordFilter(kind=kind, actor=actor, subject=subject, since=since, until=until)
        return command(*args, wanted=wanted, **kwargs)

    for option in (
        click.option("--until", type=_Time(), help="Only written before this time."),
        click.option("--since", type=_Time(), help="Only written at this time or later: 2026-11-23T09:00:00Z."),
        click.option("--subject", help="Only about this subject, for example model:fraud-detector."),
        click.option("--actor", help="Only by the actor with this id."),
        click.option("--kind", help="Only this kind."),
    ):
        with_filter = option(with_filter)
    return with_filter


_unrecorded_option: Final = click.option(
    "--unrecorded",
    is_flag=True,
    help="Do not record this read: for a copy of the log that cannot be written. Needs only the public key.",
)


@click.command("export")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder or file to make.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["folder", "ocsf", "csv"]),
    default="folder",
    show_default=True,
    help="folder: everything, to be verified. ocsf (JSON lines) and csv: for other tools; these prove nothing.",
)
@click.option("--no-tiles", is_flag=True, help="Leave the tiles for C2SP tlog-tiles readers out of the folder.")
@_filter_options
@_unrecorded_option
@log_settings_options
def export_command(
    *, out: Path, form: ExportFormat, no_tiles: bool, wanted: RecordFilter, unrecorded: bool, settings: Settings
) -> None:
    """Write the log to a new folder that can be verified offline, or some records to a file for other tools.

    The export is itself recorded in the log, before it is made.
    """
    if form == "folder" and wanted != RecordFilter():
        raise click.UsageError("want a whole log in a folder: conditions go with --format ocsf or csv")
    if form != "folder" and no_tiles:
        raise click.UsageError("want --no-tiles only with --format folder")
    url, key = configured_log(settings)
    engine = open_engine(url)
    log = LogReader(engine, key.name)
    if unrecorded:
        _say_unrecorded()
    else:
        _recorded_reader(settings).announce_export(form, wanted)
    with _progress(read_checkpoint(log.checkpoint()).size) as advance:
        if form == "folder":
            size = export_log(engine, key.name, out, tiles=not no_tiles, key=key, advance=advance)
        else:
            size = export_view(engine, key.name, out, form=form, wanted=wanted, advance=advance)
    click.echo(f"exported {size} records of {plain(key.name)} to {plain(str(out))}", err=True)


@click.command()
@click.argument("seq", type=click.IntRange(min=0), required=False)
@click.option("--last", type=click.IntRange(1, RECORDS_PAGE_MAX), help="The newest N records.")
@_filter_options
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_unrecorded_option
@log_settings_options
def show(
    *,
    seq: int | None,
    last: int | None,
    wanted: RecordFilter,
    output: str,
    unrecorded: bool,
    settings: Settings,
) -> None:
    """Show the record SEQ, or the newest ones. Nothing is verified.

    The read is itself recorded in the log, before anything is shown.
    """
    if (seq is None) == (last is None):
        raise click.UsageError("want SEQ or --last, one of them")
    if seq is not None and wanted != RecordFilter():
        raise click.UsageError("want conditions only with --last")
    url, key = configured_log(settings)
    engine = open_engine(url)
    if unrecorded:
        _say_unrecorded()
        reader: LogReader | RecordedReader = LogReader(engine, key.name)
    else:
        reader = _recorded_reader(settings)
    if seq is None:
        page = reader.find(wanted, limit=last or 0, newest_first=True)[::-1]
    else:
        page = reader.find(wanted, after=seq - 1, limit=1)
        if not page or page[0].seq != seq:
            with read_transaction(engine) as connection:
                raise click.UsageError(explain_absence(connection, key.name, seq))
    indent = None if output == "json" else 2
    emit("".join(f"{_neutral(parse_record(record.body), indent)}\n" for record in page))


@click.command()
@log_settings_options
def key(*, settings: Settings) -> None:
    """Print the log's public key, for whoever verifies."""
    _, log = configured_log(settings)
    emit(f"{log}\n")


def _recorded_reader(settings: Settings) -> RecordedReader:
    return RecordedReader(open_log(settings, SystemClock(), open_engine(settings.database_url)), _OPERATOR)


def _say_unrecorded() -> None:
    click.echo("this read is not recorded in the log", err=True)


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    # On standard error, and only where a person looks at it.
    shown = total >= PROGRESS_RECORDS_MIN and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("exporting", total=total)
        yield lambda count: progress.advance(task, count)


def _neutral(record: dict[str, Any], indent: int | None) -> str:
    # ASCII only, and DEL spelt out: no escape sequence or direction override of a record reaches the terminal.
    return json.dumps(record, indent=indent, sort_keys=True, ensure_ascii=True).replace("\x7f", "\\u007f")
