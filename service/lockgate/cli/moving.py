"""`lockgate db copy` and `resume`: the gate's rows in another database, and its audit log going on there alone."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine

from lockgate.audit import AuditLog, LogForeignError, LogSealedError, load_signer, store
from lockgate.audit.errors import LogNotSealedError
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.sealing import resume_log, seal_log
from lockgate.audit.verification.verifier import Trust
from lockgate.bootstrap import load_former_signer, open_logs
from lockgate.cli.audit.live_log import verify_database
from lockgate.cli.audit.settings import OPERATOR, load_witnesses
from lockgate.cli.confirmation import confirm
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.clock import Clock
from lockgate.config import Settings, log_names, settings_of_log
from lockgate.errors import ConfigError, LockgateError
from lockgate.ids import new_id
from lockgate.storage import (
    check_schema,
    copy_rows,
    count_rows,
    open_engine,
    prepare_target,
    read_transaction,
)
from lockgate.system_clock import SystemClock

REASON_CHARS_MAX: Final = 1000  # the schemas' of log.seal and log.resume
URL_CHARS_MAX: Final = 4096  # a URL with several hosts and every parameter of libpq fits many times
PROGRESS_ROWS_MIN: Final = 20_000  # about a second; below, a bar would only flicker


class _UnverifiedError(LockgateError):
    """The log does not verify, here or in the copy, and does not go on in the copy."""

    code = "db.unverified"


@click.command()
@click.option("--to", "to_url", metavar="URL", help="Where to: a database without rows. Others see the command line.")
@click.option(
    "--to-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that holds the URL, with its password.",
)
@click.option("--yes", is_flag=True, help="Do not ask, where the log was sealed before.")
@settings_options
def copy(settings: Settings, to_url: str | None, to_file: Path | None, *, yes: bool) -> int:
    """Copy everything into another database, where the audit log goes on; from then on it is sealed in this one.

    From the database of the settings: SQLite to PostgreSQL, the other way, or to another of the same kind; on
    PostgreSQL as the owner of the tables. Each log is verified, sealed by a log.seal record, copied, verified again
    in the copy, and let go on there by a log.resume record. From the seal on, every instance answers 503
    (audit.log_sealed) until it is started again with the new database. Prints how many rows it copied.

    If it fails, nothing goes on anywhere: run it again with an empty database, or let the log go on where it was
    ('lockgate db resume'). Run again, it asks first: a log that goes on in two copies is forked, and everybody who
    holds a receipt can prove that.

    \b
    Example:
      lockgate db copy --to-file /etc/lockgate/new-database-url
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    clock = SystemClock()
    source, target = open_engine(settings.database_url), open_engine(_target_url(to_url, to_file))
    check_schema(source)
    prepare_target(target)
    writers = _writers(settings, clock, target)
    _check_only_logs(source, writers)
    logs = tuple(open_logs(settings, clock, source))
    sealed = [log.origin for log in logs if _is_sealed(log)]
    if sealed:
        click.echo(f"sealed before, for a copy: {', '.join(sealed)}", err=True)
        _ask_whether_alone(sealed[0], yes=yes)
    for writer in writers:
        _verify(source, writer, settings, "in this database")
    reason = f"copied from {source.dialect.name} to {target.dialect.name}"
    for log in logs:
        newly = seal_log(log, event_id=new_id(clock.now_ns()), reason=reason, actor=OPERATOR)
        if not newly and log.origin not in sealed:
            raise LogSealedError(f"{log.origin} was sealed by somebody else just now: two copies would fork it")
    with _progress("copying", sum(count_rows(source).values()), PROGRESS_ROWS_MIN) as advance:
        copied = copy_rows(source, target, _added(advance))
    for writer in writers:
        _verify(target, writer, settings, "in the copy")
    emit("".join(f"{table:<20}{rows:>12}\n" for table, rows in copied.items()))
    for writer in writers:
        seq = resume_log(writer, reason=reason, actor=OPERATOR)
        click.echo(f"{writer.origin} goes on in the copy with record {seq}; in this database it is sealed", err=True)
    click.echo(
        "now set LOCKGATE_DATABASE_URL to the new one, run 'lockgate db grants' there for the service's role if it is "
        "PostgreSQL, and start every instance again",
        err=True,
    )
    return ExitCode.ALLOW


@click.command()
@click.option("--reason", required=True, help="Why; it stays in the log for ever.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings_options
def resume(settings: Settings, reason: str, *, yes: bool) -> int:
    """Let the audit log go on in this database after it was sealed for a copy that came to nothing.

    Never where it goes on in the copy already: two databases that grow one log fork it, and everybody who holds a
    receipt can prove that. On the machine that made the copy the checkpoint file prevents it; elsewhere nothing does.

    \b
    Example:
      lockgate db resume --reason "the new server was too slow; its database was dropped"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        raise click.BadParameter(f"want 1 to {REASON_CHARS_MAX} characters", param_hint="--reason")
    engine = open_engine(settings.database_url)
    check_schema(engine)
    writers = _writers(settings, SystemClock(), engine)
    _ask_whether_alone(writers[0].origin, yes=yes)
    resumed = 0
    for writer in writers:
        try:
            seq = resume_log(writer, reason=reason, actor=OPERATOR)
        except LogNotSealedError:
            if writer is writers[-1] and not resumed:
                raise
            continue  # a copy that was stopped while it sealed, or a resume that was stopped
        resumed += 1
        click.echo(f"{writer.origin} goes on in this database with record {seq}", err=True)
    return ExitCode.ALLOW


def _ask_whether_alone(origin: str, *, yes: bool) -> None:
    # The seal cannot tell, and the checkpoint file only on the machine where the log goes on.
    confirm(f"Does {origin} go on in no other database, and will it never?", yes=yes)


def _is_sealed(log: AuditLog) -> bool:
    try:
        log.check_head()
    except LogSealedError:
        return True
    return False


def _target_url(url: str | None, file: Path | None) -> str:
    if (url is None) == (file is None):
        raise click.UsageError("want --to or --to-file, one of them")
    if file is None:
        return str(url)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(URL_CHARS_MAX).strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"--to-file: want a readable text file: {type(exc).__name__}") from exc


def _writers(settings: Settings, clock: Clock, engine: Engine) -> tuple[LogWriter, ...]:
    return tuple(_writer(settings_of_log(settings, name), clock, engine) for name in log_names(settings))


def _writer(settings: Settings, clock: Clock, engine: Engine) -> LogWriter:
    former = load_former_signer(settings)
    signer = load_signer(settings.log_key_file, settings.log_signer_command)
    return LogWriter(
        engine=engine,
        signers=[signer, *([former] if former else [])],
        clock=clock,
        instance=settings.instance,
        checkpoint_file=settings.checkpoint_file,
    )


def _check_only_logs(source: Engine, writers: Sequence[LogWriter]) -> None:
    # What is not sealed could go on in both.
    ours = [writer.origin for writer in writers]
    with read_transaction(source) as connection:
        others = [log for log in store.read_logs(connection) if log not in ours]
    if others:
        raise LogForeignError(f"want a database of {' and '.join(ours)} alone, got one of {others[0]!r} too")


def _verify(engine: Engine, writer: LogWriter, settings: Settings, where: str) -> None:
    policy = load_witnesses(settings, writer.origin) or LogPolicy(logs=tuple(LogKey(key=key) for key in writer.keys))
    verification = verify_database(
        engine.url.render_as_string(hide_password=False),
        Trust(policy=policy),
        writer.origin,
        checkpoint_file=writer.checkpoint_file,
        progress=partial(_progress, "verifying"),
    )
    if verification.integrity != "valid" or verification.completeness == "tampered":
        problem = verification.problems[0].detail if verification.problems else "a key of its past is not known"
        raise _UnverifiedError(
            f"{writer.origin} {where} is {verification.integrity}: {problem}; 'lockgate audit verify' says more"
        )


@contextmanager
def _progress(what: str, total: int, minimum: int = PROGRESS_ROWS_MIN) -> Iterator[Callable[[int], None]]:
    # On standard error, and only where a person looks at it.
    shown = total >= minimum and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _added(advance: Callable[[int], None]) -> Callable[[int], None]:
    done = 0

    def add(rows: int) -> None:
        nonlocal done
        done += rows
        advance(done)

    return add
