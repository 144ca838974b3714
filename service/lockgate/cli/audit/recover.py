"""`lockgate audit recover`: the log after a restored backup, and what the backup undid outside the log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from lockgate.administration import COMMAND_LINE, IDENTITY_KINDS, PRINCIPAL, TOKEN, Administration
from lockgate.audit import AuditLog, load_signer
from lockgate.audit.errors import NothingMissingError
from lockgate.audit.formats.kind_names import RECOVER
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.recovery import recover_log
from lockgate.audit.types import RecordFilter
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.bootstrap import load_former_signer, open_log
from lockgate.cli.audit.settings import OPERATOR, load_witnesses, log_settings_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.standard_output import emit
from lockgate.config import Settings
from lockgate.identity.errors import TokenUnknownError
from lockgate.promotion import GATE_KINDS
from lockgate.registration import REGISTRATION_KINDS
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

REASON_CHARS_MAX: Final = 1000  # as in the record's schema
_PAGE: Final = 500


@click.command()
@click.option(
    "--from",
    "export",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="An export of this log that holds the missing records.",
)
@click.option("--reason", default="a backup was restored", show_default=True, help="Stays in the log for ever.")
@log_settings_options
def recover(settings: Settings, export: Path, reason: str) -> int:
    """Put back the records that a restored backup lacks (audit.log_behind).

    The export is verified, under the log's key and those of LOCKGATE_AUDIT_POLICY; all is put back or nothing. A
    log.recover record says so. Stop the service before.

    Only the log comes back. Tokens that were revoked since the backup are revoked again, and recorded; every other
    change to promotions, models, principals and tokens since is still undone. Each is listed on standard output. Ends
    with 3 if some of them decide who may call: put those right before the service starts. Running it again lists them
    again, and ends with 0 once each principal was put again.

    \b
    Example:
      lockgate audit recover --from /backup/audit-2026-11-23
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        raise click.BadParameter(f"want 1 to {REASON_CHARS_MAX} characters", param_hint="--reason")
    clock = SystemClock()
    engine = open_engine(settings.database_url)
    check_schema(engine)
    signer = load_signer(settings.log_key_file, settings.log_signer_command)
    former = load_former_signer(settings)
    signers = [signer, *([former] if former else [])]
    writer = LogWriter(
        engine=engine,
        signers=signers,
        clock=clock,
        instance=settings.instance,
        checkpoint_file=settings.checkpoint_file,
    )
    policy = load_witnesses(settings, writer.origin) or LogPolicy(logs=tuple(LogKey(key=key) for key in writer.keys))
    log = open_log(settings, clock, engine)
    try:
        done = recover_log(writer, ExportFolder(export), policy, reason=reason, actor=OPERATOR)
    except NothingMissingError:
        # Perhaps this command was ended after the log came back, and before it said what did not.
        put_back = _put_back_before(log)
        if put_back is None:
            raise
        click.echo("the log lacks nothing: it was recovered before", err=True)
    else:
        put_back = range(done.from_size, done.to_size)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.kinds.items()))
        click.echo(
            f"put back records {put_back[0]} to {put_back[-1]}: {kinds}; recorded as record {done.seq}", err=True
        )
    return _tell_what_is_undone(log, Administration(log, clock), put_back)


def _put_back_before(log: AuditLog) -> range | None:
    """Return what the newest recovery put back; None if there was none."""
    newest = log.find(RecordFilter(kind=RECOVER), limit=1, newest_first=True)
    if not newest:
        return None
    body = parse_record(newest[0].body)["body"]
    return range(body["from_size"], body["to_size"])


def _tell_what_is_undone(log: AuditLog, administration: Administration, put_back: range) -> ExitCode:
    undone = _changes_outside(log, put_back)
    if not undone:
        return ExitCode.ALLOW
    # First what decides who may call: the list can be had again with 'lockgate audit show'.
    _revoke_again(administration, [record["body"] for record in undone if record["kind"] == TOKEN])
    emit("".join(f"{record['seq']}  {record['ts']}  {record['kind']}  {_what(record)}\n" for record in undone))
    click.echo(
        f"warning: the {len(undone)} records above are in the log again, but what they changed is not: promotions, "
        "models, principals and tokens are those of the backup",
        err=True,
    )
    still_old = _principals_not_put_right(log, undone, put_back)
    if not still_old:
        return ExitCode.ALLOW
    click.echo(
        "principals were changed since the backup, so roles that were taken away may be held again: put each right as "
        f"its newest {PRINCIPAL} record above says ('lockgate principal put' or 'disable') before the service starts:",
        err=True,
    )
    click.echo("".join(f"  {plain(subject)}\n" for subject in still_old), err=True, nl=False)
    return ExitCode.UNDECIDED


def _principals_not_put_right(log: AuditLog, undone: list[dict[str, Any]], put_back: range) -> list[str]:
    # What was recorded behind what was put back, the operator did after the recovery. What an issuer's tokens did, they
    # do again.
    changed = {
        record["subject"]: str(record["body"]["subject"])
        for record in undone
        if record["kind"] == PRINCIPAL and record["actor"]["id"] == COMMAND_LINE
    }
    return sorted(
        name
        for subject, name in changed.items()
        if not log.find(RecordFilter(kind=PRINCIPAL, subject=subject), after=put_back.stop, limit=1)
    )


def _revoke_again(administration: Administration, changes: list[dict[str, Any]]) -> None:
    for change in changes:
        name = f"token {change['token_id']} of {plain(change['subject'])}"
        if change["change"] == "created":
            click.echo(f"{name}: is gone; whoever holds it needs another", err=True)
            continue
        try:
            administration.revoke_token(change["token_id"])
        except TokenUnknownError:
            continue  # made after the backup: it is gone, and says so above
        click.echo(f"{name}: was valid again, and is revoked again", err=True)


def _changes_outside(log: AuditLog, put_back: range) -> list[dict[str, Any]]:
    """Return the records put back that changed more than the log, by seq."""
    found = [
        record
        for kind in (*GATE_KINDS, *REGISTRATION_KINDS, *IDENTITY_KINDS)
        for record in _records(log, kind, put_back)
    ]
    return sorted(found, key=lambda record: int(record["seq"]))


def _records(log: AuditLog, kind: str, put_back: range) -> Iterator[dict[str, Any]]:
    after = put_back.start - 1
    while page := log.find(RecordFilter(kind=kind), after=after, limit=_PAGE):
        for record in page:
            if record.seq not in put_back:
                return
            yield parse_record(record.body)
        after = page[-1].seq


def _what(record: dict[str, Any]) -> str:
    body = record["body"]
    if record["kind"] == TOKEN:
        return f"{body['change']} {body['token_id']} of {plain(body['subject'])}"
    if record["kind"] == PRINCIPAL:
        return plain(body["subject"]) if body["change"] == "put" else f"{body['change']} {plain(body['subject'])}"
    if record["kind"] in REGISTRATION_KINDS:
        return f"{body['change']} {plain(record['subject'])} {body.get('version', '')}".rstrip()
    if body.get("promotion_id"):
        return f"promotion {plain(str(body['promotion_id']))}"
    return plain(record.get("subject", ""))
