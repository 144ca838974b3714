"""`lockgate audit verify` and `verify-receipt`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress

from lockgate.audit import (
    ExportError,
    ProofInvalidError,
    Receipt,
    RecordInvalidError,
    SignatureInvalidError,
    VerifierKey,
    parse_verifier_key,
    store,
    verify_receipt,
)
from lockgate.audit.types import Verification
from lockgate.audit.verification.export_folder import ExportFolder, read_checkpoint_file
from lockgate.audit.verification.verifier import verify_log
from lockgate.canonical_json import parse_json
from lockgate.cli.standard_output import emit
from lockgate.config import load_settings
from lockgate.errors import LockgateError
from lockgate.rendering import plain
from lockgate.schemas import check_schema
from lockgate.storage import StorageError, open_engine, read_transaction

PROGRESS_RECORDS_MIN: Final = 20_000  # about a second of checking; below, a bar would only flicker
PROGRESS_BYTES_MIN: Final = 20 * 1024 * 1024  # the same, of an export
RECEIPT_BYTES_MAX: Final = 256 * 1024  # a record and a proof of 63 hashes, escaped
_EXIT_CODES: Final = {"valid": 0, "tampered": 1, "unverifiable": 2}


@click.command()
@click.option("--export", "export", type=click.Path(path_type=Path), help="An export's folder.")
@click.option("--database", metavar="URL", help="A live database, for example sqlite:////var/lib/lockgate/lockgate.db.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="A gate's data folder, for its live database.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    envvar="LOCKGATE_LOG_KEY",
    show_envvar=True,
    metavar="VKEY",
    help="The log's public key; repeat for several.",
)
@click.option(
    "--checkpoint",
    "held",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A signed checkpoint that you kept: betrays a shortened log. Repeat for several.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def verify(
    context: click.Context,
    *,
    export: Path | None,
    database: str | None,
    data_dir: Path | None,
    keys: tuple[str, ...],
    held: tuple[Path, ...],
    output: str,
) -> None:
    """Check every record of a log under its public key.

    \b
    Exit codes:
      0  valid
      1  tampered: a check failed although all it needs was at hand
      2  unverifiable: a key, a file or a checkpoint is missing; also wrong usage
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if sum(source is not None for source in (export, database, data_dir)) != 1:
        raise click.UsageError("want exactly one of --export, --database and --data-dir")
    if not keys:
        raise click.UsageError("want --key; 'lockgate audit key' on the gate prints it")
    try:
        known = [parse_verifier_key(text) for text in keys]
        notes = [read_checkpoint_file(path) for path in held]
        if export is not None:
            verification = _verify_export(ExportFolder(export), known, notes)
        else:
            url = database or load_settings(data_dir=str(data_dir)).database_url
            verification = _verify_database(url, known, notes)
    except LockgateError as exc:
        click.echo(f"lockgate: {plain(str(exc))} [{exc.code}]", err=True)
        context.exit(_EXIT_CODES["unverifiable"])
    emit(_as_json(verification) if output == "json" else _as_text(verification))
    context.exit(_EXIT_CODES[verification.verdict])


@click.command("verify-receipt")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    envvar="LOCKGATE_LOG_KEY",
    show_envvar=True,
    metavar="VKEY",
    help="The log's public key.",
)
@click.pass_context
def verify_receipt_command(context: click.Context, *, file: Path, keys: tuple[str, ...]) -> None:
    """Check one receipt, as 'lockgate request --receipt FILE' keeps it, under the log's public key.

    \b
    Exit codes:
      0  valid: the record is in the log
      1  tampered: the record, the proof or the signature is not what it must be
      2  unverifiable: no known key signed it, or the file is not a receipt; also wrong usage
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    try:
        known = [parse_verifier_key(text) for text in keys]
        record = verify_receipt(_read_receipt(file), known)
    except (ProofInvalidError, RecordInvalidError, SignatureInvalidError) as exc:
        emit(f"TAMPERED  {plain(str(exc))} [{exc.code}]\n")
        context.exit(_EXIT_CODES["tampered"])
    except LockgateError as exc:
        click.echo(f"UNVERIFIABLE  {plain(str(file))}: {plain(str(exc))} [{exc.code}]", err=True)
        context.exit(_EXIT_CODES["unverifiable"])
    emit(f"VALID  record {record['seq']} ({plain(record['kind'])}) is in {plain(record['log'])}\n")


def _read_receipt(file: Path) -> Receipt:
    try:
        document = parse_json(file.read_bytes(), bytes_max=RECEIPT_BYTES_MAX)
    except OSError as exc:
        raise ExportError(f"cannot read the receipt: {exc.strerror}") from exc
    check_schema("v1/api/receipt", document)
    return Receipt(seq=document["seq"], record=document["record"].encode(), proof=document["proof"])


def _verify_export(folder: ExportFolder, keys: list[VerifierKey], held: list[bytes]) -> Verification:
    with _progress(folder.size_bytes(), PROGRESS_BYTES_MIN) as advance:

        def records() -> Iterator[tuple[bytes, None]]:
            for body, _ in folder.records():
                advance(len(body) + 1)
                yield body, None

        verification = verify_log(
            records=records(),
            checkpoints=folder.checkpoints(),
            keys=keys,
            attachments=folder.attachment,
            held=[folder.newest_checkpoint(), *held],
        )
    if verification.verdict == "valid":
        folder.check_whole()
    return verification


def _verify_database(url: str, keys: list[VerifierKey], held: list[bytes]) -> Verification:
    log = keys[0].name
    engine = open_engine(url)
    if not Path(engine.url.database or "").is_file():  # SQLite would make one
        raise StorageError("there is no database at this place")
    with read_transaction(engine) as connection:
        head = store.read_head(connection, log)
        with _progress(head.size if head else 0, PROGRESS_RECORDS_MIN) as advance:

            def records() -> Iterator[tuple[bytes, Any]]:
                for entry in store.stream_entries(connection, log):
                    advance(1)
                    yield entry.body, entry.columns

            return verify_log(
                records=records(),
                checkpoints=store.stream_checkpoints(connection, log),
                keys=keys,
                attachments=partial(store.read_attachment, connection, log),
                held=held,
            )


@contextmanager
def _progress(total: int, minimum: int) -> Iterator[Any]:
    # On standard error, and only where a person looks at it.
    shown = total >= minimum and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("verifying", total=total)
        yield lambda amount: progress.advance(task, amount)


def _as_json(verification: Verification) -> str:
    return json.dumps({"schema_version": 1, **asdict(verification)}, sort_keys=True) + "\n"


def _as_text(verification: Verification) -> str:
    lines = [
        f"{verification.verdict.upper()}  {plain(verification.log) or '(no log)'}: {verification.size} records read"
    ]
    if verification.checkpoint_size is not None:
        lines.append(f"  signed root over {verification.checkpoint_size} records: sha256:{verification.root_sha256}")
    if verification.first_bad_seq is not None:
        lines.append(f"  first record in doubt: {verification.first_bad_seq}")
    lines += [f"  {problem.code}: {plain(problem.detail)}" for problem in verification.problems]
    return "\n".join(lines) + "\n"
