"""The client's commands: request, check, approve, status, withdraw."""

import os
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from lockgate.cli.answers import (
    check_approval_recorded,
    check_forecast,
    check_promotion_answer,
    check_withdrawal_recorded,
)
from lockgate.cli.artifact import digest_given
from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.errors import (
    GateUnreachableError,
    NotSentError,
    PolicyChangedError,
    ProblemError,
    PromotionClosedError,
    RoleNotHeldError,
)
from lockgate.cli.exit_codes import ExitCode, exit_code_of
from lockgate.cli.promotion_request import request_options
from lockgate.cli.standard_output import emit, emit_decision, save_receipt
from lockgate.rendering import Output, RecordPlace, render, render_approval_sheet
from lockgate.system_clock import SystemClock

WAIT_S_MAX: Final = 24 * 3600  # past a day a job should end and be started again, not hold its runner
POLL_S: Final = 2.0  # people approve; two seconds are nothing to them and little to the gate
_SUBJECT_FIELDS: Final = ("model", "version", "digest", "kind", "from", "to")


def _receipt_place(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    # Looked at before anything is sent: a decision whose receipt has no place to go was made in vain.
    if value is None:
        return None
    if not value.absolute().parent.is_dir():
        raise click.BadParameter(f"want a file in a folder that is there, got {str(value)!r}")
    if not os.access(value if value.exists() else value.absolute().parent, os.W_OK):
        raise click.BadParameter(f"want a file that can be written, got {str(value)!r}")
    return value


output_option: Final = click.option(
    "--output",
    "-o",
    type=click.Choice([one.value for one in Output]),
    default=Output.TEXT.value,
    show_default=True,
    help="The form of the decision on standard output.",
)
receipt_option: Final = click.option(
    "--receipt",
    "receipt_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_receipt_place,
    help="Keep the verified receipt in this file, as JSON; an auditor can hold it against the log.",
)


def parse_promotion_id(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Read the id of a promotion, for an argument.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        parsed = str(uuid.UUID(value))
    except ValueError:
        parsed = ""
    if parsed != value:
        raise click.BadParameter("want a promotion id, as 'lockgate request' prints it")
    return value


@click.command()
@request_options
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Name this request, so that sending it again makes no second one. A fresh one if not given; "
    "printed when the answer is lost.",
)
@output_option
@receipt_option
@connection_options
def request(
    connection: Connection,
    document: dict[str, Any],
    idempotency_key: str | None,
    output: str,
    receipt_file: Path | None,
) -> int:
    """Ask whether an artifact may go to an environment.

    The artifact is named by its digest; evidence are Sigstore bundles. The answer is recorded, and its receipt verified
    before anything is shown.

    Exit codes: 0 allow, 1 deny, 2 usage, 3 no decision, 4 pending, 5 no trusted signature or untrusted answer.

    \b
    Example:
      lockgate request fraud-detector 1.4.0 --from staging --to production \\
        --model-dir ./model --bundle model.sig --contributor author:alice
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    keys = connection.need_log_keys()
    key = idempotency_key or str(uuid.uuid4())
    try:
        answer = connection.client.request_promotion(document, key)
        place = check_promotion_answer(answer, keys, asked=_asked(document))
        return finish(answer, place, output, receipt_file)
    except (Exception, KeyboardInterrupt) as exc:
        if not (isinstance(exc, ProblemError) and exc.request_at_fault):
            click.echo(f"lockgate: to ask for the same answer again: --idempotency-key {key}", err=True)
        raise


@click.command()
@request_options
@output_option
@connection_options
def check(connection: Connection, document: dict[str, Any], output: str) -> int:
    """Forecast the answer to a request (dry run).

    Nothing is recorded, nothing is permitted.

    Exit codes as 'lockgate request'.

    \b
    Example:
      lockgate check fraud-detector 1.4.0 --from staging --to production \\
        --digest sha256:... --bundle model.sigstore.json --output markdown
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    decision = connection.client.forecast(document)["decision"]
    check_forecast(decision, asked=_asked(document))
    code = exit_code_of(decision, SystemClock().now_ns())
    if output != Output.TEXT:
        click.echo("lockgate: DRY RUN: nothing is recorded, nothing is permitted", err=True)
    emit_decision(render(Output(output), decision), Output(output), decision["verdict"])
    return code


@click.command()
@click.argument("promotion_id", metavar="ID", callback=parse_promotion_id)
@click.option(
    "--digest",
    metavar="sha256:HEX",
    callback=digest_given,
    help="The artifact that you are about to deploy; another one is refused.",
)
@click.option("--to", metavar="ENVIRONMENT", help="Where you are about to deploy it; another one is refused.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, WAIT_S_MAX),
    default=0,
    metavar="SECONDS",
    help="While it is pending, look again for so long.",
)
@output_option
@receipt_option
@connection_options
def status(
    *,
    connection: Connection,
    promotion_id: str,
    digest: str | None,
    to: str | None,
    wait_s: float,
    output: str,
    receipt_file: Path | None,
) -> int:
    """Show the newest decision of a promotion.

    Exit codes as 'lockgate request': 0 tells that it is allowed now, so that a deploy can depend on this command. Name
    what you deploy with --digest and --to, so that it cannot depend on the allow of something else.

    \b
    Example:
      lockgate status 0199c0de-... --digest sha256:... --to production --wait 3600 && ./deploy.sh
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    asked = {"promotion_id": promotion_id, "digest": digest, "to": to}
    asked = {name: value for name, value in asked.items() if value is not None}
    keys = connection.need_log_keys()
    deadline = time.monotonic() + wait_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            answer = connection.client.read_promotion(promotion_id)
        except (GateUnreachableError, ProblemError) as exc:
            # A gate that restarts must not end an hour's wait; anything it says on purpose does.
            if left_s <= 0 or (isinstance(exc, ProblemError) and not exc.come_back):
                raise
        else:
            place = check_promotion_answer(answer, keys, asked=asked)
            if answer["decision"]["verdict"] != "pending" or left_s <= 0:
                return finish(answer, place, output, receipt_file)
        time.sleep(min(POLL_S, max(left_s, 0)))


@click.command()
@click.argument("promotion_id", metavar="ID", callback=parse_promotion_id)
@click.option("--role", required=True, help="The role of the approval matrix in which you speak.")
@click.option("--reject", is_flag=True, help="Reject instead; a rejection ends the promotion.")
@click.option("--comment", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Do not ask; for when you looked at it elsewhere.")
@output_option
@receipt_option
@connection_options
def approve(
    *,
    connection: Connection,
    promotion_id: str,
    role: str,
    reject: bool,
    comment: str | None,
    yes: bool,
    output: str,
    receipt_file: Path | None,
) -> int:
    """Approve or reject exactly what is shown.

    Fetches the promotion, verifies its receipt, shows what the approval will be bound to (digest, transition,
    evidence, policy revision) and asks. If any of these moves before the approval arrives, it is refused.
    Exit codes as 'lockgate request', for the decision that follows.

    \b
    Example:
      lockgate approve 0199c0de-... --role risk --comment "backtest reviewed"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    keys = connection.need_log_keys()
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("want a terminal to ask on, or --yes")
    answer = connection.client.read_promotion(promotion_id)
    check_promotion_answer(answer, keys, asked={"promotion_id": promotion_id})
    decision, promotion = answer["decision"], answer["promotion"]
    if promotion["state"] != "pending":
        raise PromotionClosedError(f"promotion {promotion_id} is {promotion['state']}, not pending")
    exit_code_of(decision, SystemClock().now_ns())  # refuses what has run out
    _check_role_held(connection.client.read_me(), role)  # before anybody reads a sheet in vain
    verdict = "reject" if reject else "approve"
    revision = promotion["policy_revision"]
    click.echo(render_approval_sheet(decision, promotion, verdict=verdict, role=role), err=True, nl=False)
    if yes and revision != decision["policy"]["revision"]:
        raise PolicyChangedError("the policy changed since the newest decision; look at it on a terminal")
    if not yes and not click.confirm(f"{verdict.capitalize()} exactly this?", err=True):
        raise NotSentError(f"not sent: the answer to '{verdict.capitalize()} exactly this?' was no")
    sent = _approval_request(decision, revision, verdict=verdict, role=role, comment=comment)
    answer = connection.client.approve(promotion_id, sent)
    check_approval_recorded(answer, keys, promotion_id=promotion_id, sent=sent)
    place = check_promotion_answer(answer, keys, asked={"promotion_id": promotion_id, **_asked(decision["subject"])})
    return finish(answer, place, output, receipt_file)


@click.command()
@click.argument("promotion_id", metavar="ID", callback=parse_promotion_id)
@click.option("--reason", help="Why, for the record.")
@connection_options
def withdraw(connection: Connection, promotion_id: str, reason: str | None) -> int:
    """Take a pending request of your own back.

    Exit codes: 0 withdrawn, 2 usage, 3 not withdrawn, 5 untrusted answer.

    \b
    Example:
      lockgate withdraw 0199c0de-... --reason "wrong version"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    keys = connection.need_log_keys()
    document: dict[str, Any] = {"schema_version": 1}
    if reason is not None:
        document["reason"] = reason
    answer = connection.client.withdraw(promotion_id, document)
    check_withdrawal_recorded(answer, keys, promotion_id=promotion_id, reason=reason or "")
    emit(f"WITHDRAWN {promotion_id}\n")
    return ExitCode.ALLOW


def _check_role_held(me: Mapping[str, Any], role: str) -> None:
    if f"approver:{role}" not in me["roles"]:
        held = ", ".join(me["roles"]) or "none"
        raise RoleNotHeldError(f"want the role approver:{role}, got {held} of {me['subject']}; see 'lockgate whoami'")


def _asked(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _SUBJECT_FIELDS}


def _approval_request(
    decision: Mapping[str, Any], policy_revision: str, *, verdict: str, role: str, comment: str | None
) -> dict[str, Any]:
    # Every bound field comes from the decision whose receipt was verified, but for the policy revision: the gate
    # decides anew under the one in force now, and the sheet shows where it is not the one that decided before.
    subject = decision["subject"]
    document = {
        "schema_version": 1,
        "verdict": verdict,
        "role": role,
        "digest": subject["digest"],
        "kind": subject["kind"],
        "from": subject["from"],
        "to": subject["to"],
        "evidence_digest": decision["evidence"]["digest"],
        "policy_revision": policy_revision,
    }
    return document if comment is None else document | {"comment": comment}


def finish(answer: Mapping[str, Any], place: RecordPlace, output: str, receipt_file: Path | None) -> int:
    """Show a verified decision, keep its receipt where that is wanted, and return the exit code."""
    decision = answer["decision"]
    code = exit_code_of(decision, SystemClock().now_ns())
    if receipt_file is not None:
        save_receipt(receipt_file, answer["receipt"])
    emit_decision(render(Output(output), decision, place), Output(output), decision["verdict"])
    return code
