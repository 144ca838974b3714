"""`lockgate audit rotate-key` and `compromise-key`: the log's key, changed or given up."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from lockgate.audit import create_key_file, load_public_key, parse_verifier_key
from lockgate.audit.keeping.key_changes import Attestation, newest_attestation, record_compromise, rotate_key
from lockgate.audit.reading.queries import parse_bound
from lockgate.bootstrap import load_former_signer, open_log
from lockgate.cli.audit.settings import OPERATOR, load_timestamp_trust, load_witnesses, log_option, log_settings_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.clock import EpochNs, TimestampError
from lockgate.config import MAIN_LOG, Settings, settings_of_log
from lockgate.errors import ConfigError
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

REASON_CHARS_MAX: Final = 1000  # as in the record's schema


@click.command("rotate-key")
@click.option(
    "--new-key",
    "new_key_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new key's file; made if it is not there. With the next: its public key alone.",
)
@click.option("--new-signer-command", default="", help="The program that keeps the new key.")
@log_option
@settings_options
def rotate_key_command(settings: Settings, log: str, new_key_file: Path, new_signer_command: str) -> int:
    """Change a log's key.

    Appends a log.key.rotate record whose checkpoint both keys sign, prints the new public key, and says what to set
    next. From then on a process that has only the old key appends nothing. Running it again changes nothing.

    \b
    Example:
      lockgate audit rotate-key --new-key /var/lib/lockgate/log-2027.key
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    settings = settings_of_log(settings, log)
    if settings.log_former_key_file is not None:
        former = "LOCKGATE_LOG_FORMER_KEY_FILE" if log == MAIN_LOG else settings.log_former_key_file
        raise ConfigError(f"{former} is there: end the rotation under way first, then begin another")
    old = load_public_key(settings.log_key_file)
    # The programs of all logs are set by one setting: an environment's new key is kept as its old one, unless said.
    command = tuple(shlex.split(new_signer_command)) or (() if log == MAIN_LOG else settings.log_signer_command)
    if not new_key_file.exists() and not command:
        create_key_file(new_key_file, old.name)
    new = load_public_key(new_key_file)
    changed = replace(
        settings,
        log_key_file=new_key_file.absolute(),
        log_signer_command=command,
        log_former_key_file=settings.log_key_file,
        log_former_signer_command=settings.log_signer_command,
    )
    clock = SystemClock()
    engine = open_engine(settings.database_url)
    check_schema(engine)
    if new.name != old.name:  # said here, where it can be told from a database without the log
        raise ConfigError(f"want a new key of the name {old.name}, got one of {new.name}")
    receipt = rotate_key(open_log(changed, clock, engine), old, new, OPERATOR, clock.now_ns())
    emit(f"{new}\n")
    click.echo("it was recorded before" if receipt is None else f"recorded as record {receipt.seq}", err=True)
    click.echo(_next_steps(changed, log), err=True)
    return ExitCode.ALLOW


@click.command("compromise-key")
@click.argument("vkey")
@click.option("--trusted-size", type=click.IntRange(min=0), help="Up to which size its checkpoints count.")
@click.option(
    "--lost-at", metavar="TIME", help="When it was last in good hands, as 2026-11-23T09:00:00Z. Default: now."
)
@click.option("--reason", required=True, help="What happened; it stays in the log for ever.")
@log_settings_options
def compromise_key_command(
    settings: Settings, vkey: str, trusted_size: int | None, lost_at: str | None, reason: str
) -> int:
    """Record that the key VKEY is in the wrong hands.

    The log must be under another key already (rotate-key). What VKEY signed then counts only up to the trusted size. If
    it is not given, it is the largest size that a witness of LOCKGATE_AUDIT_POLICY cosigned, or an authority of
    LOCKGATE_TSA_ROOTS stamped, before --lost-at: nobody who got the key later could have made those.

    \b
    Example:
      lockgate audit compromise-key 'gate.example/audit+…' --lost-at 2026-11-20T00:00:00Z --reason 'backup tape lost'
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        raise click.BadParameter(f"want 1 to {REASON_CHARS_MAX} characters", param_hint="--reason")
    clock = SystemClock()
    lost = parse_verifier_key(vkey)
    engine = open_engine(settings.database_url)
    check_schema(engine)
    if trusted_size is None:
        found = newest_attestation(
            engine,
            lost.name,
            load_witnesses(settings, lost.name),
            load_timestamp_trust(settings),
            clock.now_ns() if lost_at is None else _time(lost_at),
        )
        trusted_size = _trusted(found)
    former = load_former_signer(settings)
    keys = [load_public_key(settings.log_key_file), *([former.verifier_key] if former else [])]
    receipt = record_compromise(
        open_log(settings, clock, engine), keys, lost, trusted_size, reason=reason, actor=OPERATOR, now=clock.now_ns()
    )
    click.echo(f"recorded as record {receipt.seq}: the key counts up to size {trusted_size}", err=True)
    click.echo(
        f"tell every auditor and witness: in their policy files, '# lockgate sizes 0..{trusted_size}' below its line",
        err=True,
    )
    return ExitCode.ALLOW


def _next_steps(changed: Settings, log: str) -> str:
    # The setting names the main log's key; an environment's key is where its name says.
    old = changed.log_former_key_file or changed.log_key_file
    former = old.with_suffix(".former.key")
    move = [] if log == MAIN_LOG else [f"  mv {old} {former}", f"  mv {changed.log_key_file} {old}"]
    settings = {
        "LOG_KEY_FILE": "" if move else str(changed.log_key_file),
        "LOG_SIGNER_COMMAND": shlex.join(changed.log_signer_command),
        "LOG_FORMER_KEY_FILE": "" if move else str(old),
        "LOG_FORMER_SIGNER_COMMAND": shlex.join(changed.log_former_signer_command),
    }
    end = f"take {former} away" if move else "unset the LOCKGATE_LOG_FORMER_* variables"
    return "\n".join(
        [
            "do this for every process of the log, and start them again:",
            *move,
            *(f"  LOCKGATE_{name}={value}" for name, value in settings.items() if value),
            "give the new public key to every client, auditor and witness, beside the old one;",
            f"when all have it, {end}, start again, and put the old key away",
        ]
    )


def _time(text: str) -> EpochNs:
    try:
        return parse_bound(text)
    except TimestampError as exc:
        raise click.BadParameter(str(exc), param_hint="--lost-at") from exc


def _trusted(found: Attestation | None) -> int:
    if found is None:
        raise click.UsageError(
            "want --trusted-size: no witness or authority that is configured attested the log before that time, so "
            "nothing shows which checkpoints are from before"
        )
    click.echo(f"found: {found.by} saw the log at size {found.size}", err=True)
    return found.size
