"""`lockgate audit verify` and `verify-receipt`: the auditor's program with more around it.

The program is `lockgate.audit.verification.command`; more is the live database, its query columns, and a progress bar.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from lockgate.audit.errors import AuditError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.verification.auditor import (
    Belongings,
    check_same_record,
    read_policy,
    read_receipt,
    read_trust,
)
from lockgate.audit.verification.command import ACCUSING, PARALLEL_BYTES_MIN, check_export
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.receipts import ReceiptDemands, verify_receipt_under
from lockgate.audit.verification.reports import EXIT_CODES, as_json, as_text, failure_as_text, receipt_as_text
from lockgate.audit.verification.verdicts import CLOCK_ERROR_S_MAX, DIMENSIONS, Demands
from lockgate.audit.verification.verifier import Trust
from lockgate.cli.audit.live_log import logs_in_database, verify_database
from lockgate.cli.standard_output import emit
from lockgate.config import MAIN_LOG, Settings, load_settings, settings_of_log
from lockgate.errors import LockgateError
from lockgate.system_clock import SystemClock

_WORST_FIRST: Final = ("tampered", "unverifiable", "valid")
PROGRESS_RECORDS_MIN: Final = 20_000  # about half a second of checking; below, a bar would only flicker
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _trust_options(command: _Command) -> _Command:
    command = click.option(
        "--key",
        "keys",
        multiple=True,
        envvar="LOCKGATE_LOG_KEY",
        show_envvar=True,
        metavar="VKEY",
        help="The log's public key; repeat for several.",
    )(command)
    return click.option(
        "--policy", type=click.Path(path_type=Path), help="A policy file: keys, their sizes and witnesses. Or --key."
    )(command)


@click.command()
@click.option("--export", "export", type=click.Path(path_type=Path), help="An export's folder.")
@click.option("--database", metavar="URL", help="A live database, for example sqlite:////var/lib/lockgate/lockgate.db.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="A gate's data folder: its database, held against the checkpoints beside it.",
)
@click.option(
    "--log",
    "environment",
    metavar="ENVIRONMENT",
    help="Of a live gate, the log of this environment alone; '' is the main log.",
)
@_trust_options
@click.option(
    "--checkpoint",
    "held",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A signed checkpoint that you kept: betrays a shortened log. Repeat for several.",
)
@click.option(
    "--tsa-roots",
    type=click.Path(path_type=Path),
    help="Certificates (PEM) of time-stamping authorities whose anchors count.",
)
@click.option(
    "--trust-dir",
    type=click.Path(path_type=Path),
    help="Your trust domains, for anchors of type sigstore.",
)
@click.option("--trust-domain", help="The one of them that counts for anchors. Default: each.")
@click.option("--schemas", is_flag=True, help="Hold each body to the schema that its record names.")
@click.option(
    "--require",
    multiple=True,
    type=click.Choice(DIMENSIONS),
    help="Call the log unverifiable unless this is valid too. Repeat for several.",
)
@click.option(
    "--max-age",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="How old the newest record may be (implies --require freshness); otherwise as the log's heartbeats promise.",
)
@click.option(
    "--clock-error",
    type=click.IntRange(min=1),
    default=CLOCK_ERROR_S_MAX,
    show_default=True,
    metavar="SECONDS",
    help="How far the log's clock may have been from an anchor's or yours.",
)
@click.option("--every-signature", is_flag=True, help="Verify the signature of every checkpoint; takes far longer.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes for an export; one for each core unless given.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def verify(
    context: click.Context,
    *,
    export: Path | None,
    database: str | None,
    data_dir: Path | None,
    environment: str | None,
    policy: Path | None,
    keys: tuple[str, ...],
    held: tuple[Path, ...],
    tsa_roots: Path | None,
    trust_dir: Path | None,
    trust_domain: str | None,
    schemas: bool,
    require: tuple[Any, ...],
    max_age: int | None,
    clock_error: int,
    every_signature: bool,
    workers: int | None,
    output: str,
) -> None:
    """Check every record of a log under its public key; of a live gate, of each log, under the key of each.

    \b
    Exit codes:
      0  valid
      1  tampered: a check failed although all it needs was at hand
      2  unverifiable: a key, a file or a checkpoint is missing; also wrong usage
    Of several logs: 1 if any is tampered, else 2 if any is unverifiable.
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if sum(source is not None for source in (export, database, data_dir)) != 1:
        raise click.UsageError("want exactly one of --export, --database and --data-dir")
    if trust_domain is not None and trust_dir is None:
        raise click.UsageError("want --trust-dir with --trust-domain")
    if export is not None and environment is not None:
        raise click.UsageError("want --log only with --database or --data-dir: an export is of one log")
    belongings = _belongings(policy, keys, held=held, tsa_roots=tsa_roots)
    demands = Demands(required=require, now=SystemClock().now_ns(), age_s_max=max_age, clock_error_s_max=clock_error)
    try:
        trust = read_trust(belongings, demands, every_signature=every_signature)
        trust = _with_checks(trust, trust_dir, trust_domain, schemas=schemas)
        if export is not None:
            total = ExportFolder(export).size_bytes()
            with _progress(total, PARALLEL_BYTES_MIN) as advance:
                verification = check_export(export, trust, workers=workers, on_progress=advance)
            emit(as_json(verification) if output == "json" else as_text(verification))
            verdicts: set[str] = {verification.verdict}
        else:
            verdicts = _verify_live(database, data_dir, environment, trust, output)
    except LockgateError as exc:
        click.echo(failure_as_text("unverifiable", "cannot be decided", str(exc), exc.code), err=True, nl=False)
        context.exit(EXIT_CODES["unverifiable"])
    context.exit(EXIT_CODES[next(verdict for verdict in _WORST_FIRST if verdict in verdicts)])


def _verify_live(
    database: str | None, data_dir: Path | None, environment: str | None, trust: Trust, output: str
) -> set[str]:
    """Verify the logs of a live gate, say what was found of each, and return the verdicts."""
    settings = None if data_dir is None else load_settings(data_dir=str(data_dir))
    url = settings.database_url if settings else str(database)
    named = list(dict.fromkeys(each.key.name for each in trust.policy.logs))
    there = logs_in_database(url)
    # One that is named and not there was taken away; a policy may also name logs of other gates.
    chosen = [log for log in named if log in there or any(_are_of_one_gate(log, other) for other in there)] or named[:1]
    if environment is not None:
        chosen = [log for log in named if _environment_of(log, named) == environment]
    if not chosen:
        raise click.UsageError("want the key of the log that is to be verified")
    verdicts: set[str] = set()
    for log in chosen:
        held = [note for note in trust.held if _is_for(note, log, chosen)]
        file = _checkpoint_file(settings, _environment_of(log, named)) if settings else None
        try:
            verification = verify_database(
                url,
                replace(trust, held=held),
                log,
                checkpoint_file=file,
                progress=partial(_progress, minimum=PROGRESS_RECORDS_MIN),
            )
        except LockgateError as exc:  # the others are verified all the same
            click.echo(failure_as_text("unverifiable", log, str(exc), exc.code), err=True, nl=False)
            verdicts.add("unverifiable")
            continue
        emit(as_json(verification) if output == "json" else as_text(verification))
        verdicts.add(verification.verdict)
    for log in () if environment is not None else sorted(set(there) - set(named)):
        click.echo(failure_as_text("unverifiable", log, "want its public key too", "key_unknown"), err=True, nl=False)
        verdicts.add("unverifiable")
    return verdicts


def _environment_of(log: str, logs: Sequence[str]) -> str:
    """Return the environment whose log this is, "" for a main one: an environment's continues the main one's name."""
    main, _, environment = log.rpartition("/")
    return environment if main in logs else MAIN_LOG


def _are_of_one_gate(log: str, other: str) -> bool:
    return log.startswith(f"{other}/") or other.startswith(f"{log}/")


def _is_for(note: bytes, log: str, logs: Sequence[str]) -> bool:
    # What is of no log that is verified goes to the first of them, which says what is wrong with it.
    try:
        origin = read_checkpoint(note).origin
    except AuditError:
        origin = ""
    return origin == log or (log == logs[0] and origin not in logs)


def _checkpoint_file(settings: Settings, environment: str) -> Path:
    # Whoever verifies may not have the setting that names the environments.
    if environment == MAIN_LOG:
        return settings.checkpoint_file
    return settings_of_log(replace(settings, environment_logs=(environment,)), environment).checkpoint_file


@click.command("verify-receipt")
@click.argument("file", type=click.Path(path_type=Path))
@_trust_options
@click.option("--record", type=click.Path(path_type=Path), help="The record that the receipt must be of.")
@click.option(
    "--require-witnesses", is_flag=True, help="Unverifiable unless the policy's quorum signed the receipt's checkpoint."
)
@click.option("--max-age", type=click.IntRange(min=1), metavar="SECONDS", help="How old the record may be.")
@click.pass_context
def verify_receipt_command(
    context: click.Context,
    *,
    file: Path,
    policy: Path | None,
    keys: tuple[str, ...],
    record: Path | None,
    require_witnesses: bool,
    max_age: int | None,
) -> None:
    """Check one receipt, as 'lockgate request --receipt FILE' keeps it, under the log's public key.

    \b
    Exit codes:
      0  valid: the record is in the log
      1  tampered: the record, the proof or the signature is not what it must be
      2  unverifiable: no known key signed it, or the file is not a receipt; too few witnesses, or too old, where that
         was asked for; also wrong usage
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    belongings = _belongings(policy, keys)
    demands = ReceiptDemands(is_witnessed=require_witnesses, now=SystemClock().now_ns(), age_s_max=max_age)
    try:
        receipt, log_policy = read_receipt(file), read_policy(belongings)
        try:
            verdict, text = "valid", receipt_as_text(verify_receipt_under(receipt, log_policy, demands))
            if record is not None:
                check_same_record(receipt, record)
        except ACCUSING as exc:
            verdict, text = "tampered", failure_as_text("tampered", str(file), str(exc), exc.code)
        emit(text)
    except LockgateError as exc:
        click.echo(failure_as_text("unverifiable", str(file), str(exc), exc.code), err=True, nl=False)
        context.exit(EXIT_CODES["unverifiable"])
    context.exit(EXIT_CODES[verdict])


def _belongings(
    policy: Path | None, keys: tuple[str, ...], *, held: tuple[Path, ...] = (), tsa_roots: Path | None = None
) -> Belongings:
    if policy is None and not keys:
        raise click.UsageError("want --policy or --key; 'lockgate audit key' on the gate prints the key")
    return Belongings(policy=policy, keys=keys, held=held, tsa_roots=tsa_roots)


def _with_checks(trust: Trust, trust_dir: Path | None, trust_domain: str | None, *, schemas: bool) -> Trust:
    # Loaded only if asked for: each takes half a second.
    if trust_dir is not None:
        from lockgate.cli.audit.anchor_checks import sigstore_check  # noqa: PLC0415 - as said above

        check_anchor = sigstore_check(trust_dir, trust_domain, SystemClock(), trust.check_anchor)
        trust = replace(trust, check_anchor=check_anchor)
    if schemas:
        from lockgate.cli.audit.body_checks import BodySchemas  # noqa: PLC0415 - as said above

        trust = replace(trust, check_body=BodySchemas().check)
    return trust


@contextmanager
def _progress(total: int, minimum: int) -> Iterator[Callable[[int], None]]:
    # On standard error, and only where a person looks at it.
    shown = total >= minimum and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("verifying", total=total)
        yield lambda done: progress.update(task, completed=done)
