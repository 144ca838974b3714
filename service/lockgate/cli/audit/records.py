"""`lockgate audit export`, `show` and `key`."""

import json
from pathlib import Path
from typing import Any, Final

import click

from lockgate.audit import (
    store,
)
from lockgate.audit.export import export_log
from lockgate.audit.formats.records import parse_record
from lockgate.cli.audit.settings import configured_log
from lockgate.cli.standard_output import emit
from lockgate.rendering import plain
from lockgate.storage import open_engine, read_transaction

SHOW_MAX: Final = 1000  # records that one command shows


@click.command("export")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to make.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The gate's data folder.")
def export_command(*, out: Path, data_dir: Path | None) -> None:
    """Write the whole log to a new folder that can be verified offline."""
    url, log = configured_log(data_dir)
    size = export_log(open_engine(url), log.name, out)
    click.echo(f"exported {size} records of {plain(log.name)} to {plain(str(out))}", err=True)


@click.command()
@click.argument("seq", type=click.IntRange(min=0), required=False)
@click.option("--last", type=click.IntRange(1, SHOW_MAX), help="The newest N records.")
@click.option("--kind", help="Only this kind, with --last.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="The gate's data folder.")
def show(*, seq: int | None, last: int | None, kind: str | None, output: str, data_dir: Path | None) -> None:
    """Show the record SEQ, or the newest ones. Nothing is verified."""
    if (seq is None) == (last is None):
        raise click.UsageError("want SEQ or --last, one of them")
    if kind is not None and last is None:
        raise click.UsageError("want --kind only with --last")
    url, log = configured_log(data_dir)
    with read_transaction(open_engine(url)) as connection:
        if seq is not None:
            entry = store.read_entry(connection, log.name, seq)
            entries = [] if entry is None else [entry]
        else:
            entries = store.read_last_entries(connection, log.name, limit=last or 0, kind=kind)
    if seq is not None and not entries:
        raise click.UsageError(f"the log holds no record {seq}")
    indent = None if output == "json" else 2
    emit("".join(f"{_neutral(parse_record(entry.body), indent)}\n" for entry in entries))


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="The gate's data folder.")
def key(*, data_dir: Path | None) -> None:
    """Print the log's public key, for whoever verifies."""
    _, log = configured_log(data_dir)
    emit(f"{log}\n")


def _neutral(record: dict[str, Any], indent: int | None) -> str:
    # ASCII only, and DEL spelt out: no escape sequence or direction override of a record reaches the terminal.
    return json.dumps(record, indent=indent, sort_keys=True, ensure_ascii=True).replace("\x7f", "\\u007f")
