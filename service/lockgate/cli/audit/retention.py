"""`lockgate audit attachments`, `erase` and `prune`: what the log lets go of, each act recorded in it."""

import re
from pathlib import Path
from typing import Final

import click
from sqlalchemy import Connection, Engine

from lockgate.audit import Actor, AuditLog, load_public_key
from lockgate.audit.keeping.attachment_search import (
    FoundAttachment,
    NamingRecord,
    attachments_containing,
    attachments_of_record,
)
from lockgate.audit.keeping.erasing import ERASED_AT_ONCE_MAX, erase
from lockgate.audit.keeping.pruning import Needs, prune
from lockgate.audit.keeping.recorded_reading import RecordedReader
from lockgate.bootstrap import open_log
from lockgate.cli.audit.absent_records import explain_absence
from lockgate.cli.audit.settings import log_option, log_settings_options
from lockgate.cli.confirmation import confirm
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.config import Settings, settings_of_log
from lockgate.digests import Sha256Hex
from lockgate.promotion import open_needs
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine, read_transaction
from lockgate.system_clock import SystemClock

REASON_CHARS_MAX: Final = 1000  # the schemas' of log.erase and log.prune
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.ASCII)
# Whoever can run commands on the gate's machine: the operating system knows them, the gate does not.
_OPERATOR: Final = Actor(type="system", id="command-line")


def _digests(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Sha256Hex, ...]:
    matches = [_DIGEST.fullmatch(value) for value in values]
    if not all(matches) or len(values) > ERASED_AT_ONCE_MAX:
        raise click.BadParameter(f"want 1 to {ERASED_AT_ONCE_MAX} of sha256:<64 hex digits>")
    return tuple(Sha256Hex(match[1]) for match in matches if match)


def _reason(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not 0 < len(value) <= REASON_CHARS_MAX:
        raise click.BadParameter(f"want 1 to {REASON_CHARS_MAX} characters")
    return value


_reason_option: Final = click.option(
    "--reason", required=True, callback=_reason, help="Why; it stays in the log, so no personal data."
)
_yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.option("--record", "seq", type=click.IntRange(min=0), help="Those that the record at this position names.")
@click.option("--containing", "text", help="Those that hold this text, in clear or in a disclosure. Reads all of them.")
@log_settings_options
def attachments(*, settings: Settings, seq: int | None, text: str | None) -> int:
    """List attachments of the log, with the personal values that disclosures hold.

    One line each: SHA-256, size in bytes or what became of it, for --containing the newest record that names it (its
    position, kind and subject), and name and value of a disclosure. The look is recorded in the log; the text looked
    for is not.

    \b
    Example:
      lockgate audit attachments --containing ann@example.org
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if (seq is None) == (not text):
        raise click.UsageError("want --record or --containing, one of them")
    engine, log = _open(settings)
    with read_transaction(engine) as connection:
        if text:
            found: tuple[FoundAttachment, ...] | None = attachments_containing(connection, log.origin, text)
        else:
            found = attachments_of_record(connection, log.origin, seq or 0)
        if found is None:
            raise click.UsageError(explain_absence(connection, log.origin, seq or 0))
    query = "attachments holding a text" if text else f"attachments of seq={seq}"
    RecordedReader(log, _OPERATOR).tell_of_search(query, len(found))
    emit("".join(f"{_line(one)}\n" for one in found))
    return ExitCode.ALLOW


@click.command("erase")
@click.argument("digests", nargs=-1, required=True, callback=_digests, metavar="SHA256...")
@_reason_option
@_yes_option
@log_settings_options
def erase_command(*, settings: Settings, digests: tuple[Sha256Hex, ...], reason: str, yes: bool) -> int:
    """Delete attachments for good: policy inputs, evidence, disclosures of personal values.

    That they were deleted, why and when is recorded in the log; no record changes, and the log still verifies. Exports
    and backups keep their copies. Asking again for what is erased already changes nothing.

    \b
    Example:
      lockgate audit erase sha256:9f86... --reason "request 4711 of a former approver"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    engine, log = _open(settings)
    confirm(f"Delete {len(digests)} attachments of {plain(log.origin)} for good?", yes=yes)
    done = erase(engine, log, digests, reason=reason, actor=_OPERATOR)
    emit("".join(f"erased sha256:{sha256}\n" for sha256 in done.erased))
    if done.erased_before:
        click.echo(f"{len(done.erased_before)} were erased before", err=True)
    _say_remnants(engine, cleared=done.cleared)
    return ExitCode.ALLOW


@click.command("prune")
@click.option("--before", required=True, type=click.IntRange(min=1), help="The first position to keep; N x 256.")
@click.option(
    "--archive",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="An export that holds what goes. Keep it: afterwards nothing else does.",
)
@_reason_option
@_yes_option
@log_option
@settings_options
def prune_command(*, settings: Settings, log: str, before: int, archive: Path, reason: str, yes: bool) -> int:
    """Delete the oldest records, which an export holds.

    The export is verified first, and compared with what is stored. Nothing that an open promotion needs is deleted.
    The log still verifies, from --before on; the archive verifies by itself.

    \b
    Example:
      lockgate audit export --out audit-2026 &&
      lockgate audit prune --before 102400 --archive audit-2026 --reason "kept for two years"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    settings = settings_of_log(settings, log)
    engine, opened = _open(settings)
    confirm(f"Delete the records of {plain(opened.origin)} before {before} for good?", yes=yes)
    clock = SystemClock()

    def needed(connection: Connection) -> Needs:
        return open_needs(connection, clock.now_ns(), log)

    keys = [load_public_key(settings.log_key_file)]
    if settings.log_former_key_file:
        keys.append(load_public_key(settings.log_former_key_file))
    done = prune(engine, opened, archive, before=before, reason=reason, actor=_OPERATOR, keys=keys, needed=needed)
    emit(f"pruned before {done.before}; archive sha256:{done.archive_sha256}\n")
    _say_remnants(engine, cleared=done.cleared)
    return ExitCode.ALLOW


def _open(settings: Settings) -> tuple[Engine, AuditLog]:
    engine = open_engine(settings.database_url)
    check_schema(engine)
    return engine, open_log(settings, SystemClock(), engine)


def _line(found: FoundAttachment) -> str:
    state = "erased" if found.erased and found.size is None else "missing" if found.size is None else str(found.size)
    value = f"  {found.disclosure.name}={plain(str(found.disclosure.value))}" if found.disclosure else ""
    return f"sha256:{found.sha256}  {state}{_newest(found.newest)}{value}"


def _newest(record: NamingRecord | None) -> str:
    if record is None:
        return ""
    return f"  record {record.seq} {record.kind}" + (f" {plain(record.subject)}" if record.subject else "")


def _say_remnants(engine: Engine, *, cleared: bool) -> None:
    if cleared:
        return
    if engine.dialect.name == "sqlite":
        click.echo("the database was being read, and its files still hold a copy: run the same command again", err=True)
    else:
        click.echo("the server keeps a copy until VACUUM FULL: see docs/howto/erase-and-prune.md", err=True)
