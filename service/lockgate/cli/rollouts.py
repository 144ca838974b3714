"""The client's commands after an allow: rollout, rollback, live, hold."""

import json
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from lockgate.cli.answers import check_promotion_answer
from lockgate.cli.artifact import digest_given
from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.errors import ProblemError
from lockgate.cli.exit_codes import ExitCode, exit_code_of
from lockgate.cli.promotions import finish, output_option, parse_promotion_id
from lockgate.cli.standard_output import emit
from lockgate.rendering import plain
from lockgate.system_clock import SystemClock

_ROLLOUT: Final[Mapping[int, str]] = {HTTPStatus.CREATED: "rollout_answer"}
_OBSERVATION: Final[Mapping[int, str]] = {
    HTTPStatus.OK: "observation_answer",
    HTTPStatus.CREATED: "observation_answer",
}
_PROMOTION: Final[Mapping[int, str]] = {
    HTTPStatus.CREATED: "promotion_answer",
    HTTPStatus.ACCEPTED: "promotion_answer",
}
_environment_option: Final = click.option("--env", "environment", required=True, metavar="ENVIRONMENT", help="Where.")
_form_option: Final = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
def rollout() -> None:
    """Carry an allowed promotion out: permit, report, observe."""


@rollout.command()
@click.argument("promotion_id", metavar="ID", callback=parse_promotion_id)
@connection_options
def permit(connection: Connection, promotion_id: str) -> int:
    """Get a permit: decided anew, for one use, for a minute.

    The permit is all that standard output gets; it is a secret until it ends. Its id, which 'lockgate rollout report'
    wants, is shown on standard error.

    Exit codes: 0 permitted, 1 deny, 2 usage, 3 not permitted, 4 pending, 5 untrusted answer.

    \b
    Example:
      lockgate rollout permit 0199c0de-... > permit.jwt
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    keys = connection.need_log_keys()
    path = f"/v1/promotions/{promotion_id}/permit"
    answer = connection.client.call("POST", path, None, answers=_ROLLOUT)
    check_promotion_answer(answer, keys, asked={"promotion_id": promotion_id})
    code = exit_code_of(answer["decision"], SystemClock().now_ns())
    if code is ExitCode.ALLOW:
        click.echo(f"lockgate: permit {answer['rollout']['permit_id']} ends within a minute", err=True)
        emit(f"{answer['permit']}\n")
    else:
        click.echo(f"lockgate: {answer['decision']['verdict']}: see 'lockgate status {promotion_id}'", err=True)
    return code


@rollout.command()
@click.argument("promotion_id", metavar="ID", callback=parse_promotion_id)
@click.option("--permit", "permit_id", metavar="PERMIT-ID", help="It was used: the pointer was moved.")
@click.option("--former", metavar="VERSION", default="", help="Where the pointer stood before; with --permit.")
@click.option("--percent", type=click.IntRange(1, 100), default=100, show_default=True, help="Of traffic.")
@click.option("--step", is_flag=True, help="Ask whether the version may get --percent of traffic now.")
@click.option("--failed", "code", metavar="CODE", help="It cannot be carried out, for example kserve.unready.")
@click.option("--detail", default="", help="What went wrong, for people; with --failed.")
@connection_options
def report(
    *,
    connection: Connection,
    promotion_id: str,
    permit_id: str | None,
    former: str,
    percent: int,
    step: bool,
    code: str | None,
    detail: str,
) -> int:
    """Say what became of a permit: it was used, the next step is wanted, or it failed.

    Exit codes: 0 taken down, or the step is allowed; 1 deny, 2 usage, 3 not taken down, 4 pending, 5 untrusted answer.

    \b
    Example:
      lockgate rollout report 0199c0de-... --permit 0199c0df-... --former 1.3.0 --percent 5
      lockgate rollout report 0199c0de-... --step --percent 50
      lockgate rollout report 0199c0de-... --failed kserve.unready
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if [permit_id is not None, step, code is not None].count(True) != 1:
        raise click.UsageError("want one of --permit, --step and --failed")
    keys = connection.need_log_keys()
    document: dict[str, Any] = {"schema_version": 1, "status": "failed", "code": code, "detail": detail}
    if permit_id is not None:
        said = {"status": "executing", "permit_id": permit_id, "percent": percent, "former_version": former}
        document = {"schema_version": 1, **said}
    elif step:
        document = {"schema_version": 1, "status": "step", "percent": percent}
    path = f"/v1/promotions/{promotion_id}/reports"
    answer = connection.client.call("POST", path, document, answers=_ROLLOUT)
    if code is None:
        check_promotion_answer(answer, keys, asked={"promotion_id": promotion_id})
    emit(f"{answer['promotion']['state'].upper()} {promotion_id}  {answer['rollout']['percent']} %\n")
    return exit_code_of(answer["decision"], SystemClock().now_ns()) if step else ExitCode.ALLOW


@rollout.command()
@click.argument("model")
@_environment_option
@click.option("--digest", required=True, metavar="sha256:HEX", callback=digest_given, help="Of what runs there.")
@click.option("--version", help="Its version, if known.")
@connection_options
def observe(connection: Connection, *, model: str, environment: str, digest: str, version: str | None) -> int:
    """Say what is seen to run. It confirms a promotion, is no news, or nobody promoted it.

    Exit codes: 0 confirmed or unchanged, 1 out of band, 2 usage, 3 not taken down.

    \b
    Example:
      lockgate rollout observe fraud-detector --env production --digest sha256:...
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    document = {"schema_version": 1, "digest": digest, **({} if version is None else {"version": version})}
    path = f"{_live_path(model, environment)}/observations"
    answer = connection.client.call("POST", path, document, answers=_OBSERVATION)
    words = answer["result"].upper().replace("_", " ")
    emit(f"{words} {answer['model']} {answer['environment']} {answer['promotion_id']}".rstrip() + "\n")
    return ExitCode.DENY if answer["result"] == "out_of_band" else ExitCode.ALLOW


@click.command()
@click.argument("model")
@_environment_option
@click.option("--to", "version", metavar="VERSION", help="An earlier version; without it the last good one.")
@click.option("--reason", help="Why, for the approvers.")
@click.option("--idempotency-key", metavar="KEY", help="Name this request, so that sending it again makes no second.")
@output_option
@connection_options
def rollback(
    *,
    connection: Connection,
    model: str,
    environment: str,
    version: str | None,
    reason: str | None,
    idempotency_key: str | None,
    output: str,
) -> int:
    """Ask for the last good version back.

    The gate finds it: the newest one before that was confirmed there by a promotion, and was not rolled back itself.
    Its evidence is verified again, and the approvals of a rollback are wanted. When it gets its permit, a hold keeps
    the model from being promoted until a person lifts it ('lockgate hold lift').

    Exit codes as 'lockgate request'.

    \b
    Example:
      lockgate rollback fraud-detector --env production --reason "error rate"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    keys = connection.need_log_keys()
    key = idempotency_key or str(uuid.uuid4())
    given = {"version": version, "reason": reason}
    document = {"schema_version": 1, "model": model, "environment": environment}
    document |= {name: value for name, value in given.items() if value is not None}
    asked = {"model": model, "kind": "rollback", "from": environment, "to": environment}
    asked |= {} if version is None else {"version": version}
    try:
        headers = {"Idempotency-Key": key}
        answer = connection.client.call("POST", "/v1/rollbacks", document, answers=_PROMOTION, headers=headers)
        place = check_promotion_answer(answer, keys, asked=asked)
        return finish(answer, place, output, None)
    except (Exception, KeyboardInterrupt) as exc:
        if not (isinstance(exc, ProblemError) and exc.request_at_fault):
            click.echo(f"lockgate: to ask for the same answer again: --idempotency-key {key}", err=True)
        raise


@click.command()
@click.argument("model")
@click.argument("environment")
@click.option("--at", "at", metavar="TIME", help="What was live at this instant, for example 2026-11-23T09:00:00Z.")
@_form_option
@connection_options
def live(connection: Connection, *, model: str, environment: str, at: str | None, output: str) -> int:
    """Show what is or was live, and who let it in.

    Exit codes: 0 shown, 2 usage, 3 the gate did not say.

    \b
    Example:
      lockgate live fraud-detector production --at 2026-11-23T09:00:00Z
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    query = "" if at is None else "?" + urlencode({"at": at})
    path = _live_path(model, environment) + query
    answer = connection.client.call("GET", path, None, answers={HTTPStatus.OK: "live"})
    _emit(answer, _live_lines(answer), output)
    return ExitCode.ALLOW


@click.group()
def hold() -> None:
    """Look at what must not be promoted again after a rollback, and lift it."""


@hold.command("list")
@_form_option
@connection_options
def list_holds(connection: Connection, output: str) -> int:
    """List the holds in force.

    Exit codes: 0 listed, 2 usage, 3 the gate did not say.

    \b
    Example:
      lockgate hold list
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    answer = connection.client.call("GET", "/v1/holds", None, answers={HTTPStatus.OK: "hold_list"})
    lines = (
        f"{one['environment']}  {one['model']}  since {one['placed_at']}  by {one['promotion_id'] or 'a finding'}"
        for one in answer["items"]
    )
    _emit(answer, lines, output)
    return ExitCode.ALLOW


@hold.command()
@click.argument("model")
@_environment_option
@click.option("--reason", help="Why, for the record.")
@connection_options
def lift(connection: Connection, *, model: str, environment: str, reason: str | None) -> int:
    """Let a model be promoted again. For people who approve.

    Exit codes: 0 lifted, 2 usage, 3 not lifted.

    \b
    Example:
      lockgate hold lift fraud-detector --env production --reason "fixed in 1.5.0"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    document = {"schema_version": 1, **({} if reason is None else {"reason": reason})}
    path = f"/v1/holds/{quote(model, safe='')}/{quote(environment, safe='')}:lift"
    answer = connection.client.call("POST", path, document, answers={HTTPStatus.OK: "hold_answer"})
    emit(f"LIFTED {answer['hold']['model']} {answer['hold']['environment']}\n")
    return ExitCode.ALLOW


def _live_path(model: str, environment: str) -> str:
    return f"/v1/live/{quote(model, safe='')}/{quote(environment, safe='')}"


def _emit(answer: Mapping[str, Any], lines: Iterator[str], output: str) -> None:
    if output == "json":
        emit(json.dumps(answer, indent=2) + "\n")
    else:
        emit("".join(f"{plain(line)}\n" for line in lines))


def _live_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    interval, let_in, desired = answer["live"], answer["let_in"], answer["desired"]
    subject = f"{answer['model']} {answer['environment']}"
    if interval is None:
        yield f"NOTHING SEEN {subject} at {answer['at']}"
    else:
        yield f"LIVE {subject}  {interval['version'] or 'version unknown'}  {interval['digest']}"
        yield f"  from      {interval['from']}" + (f" to {interval['to']}" if interval["to"] else "")
        yield f"  by        {interval['promotion_id'] or 'nobody: out of band'}"
    if let_in is not None:
        approvers = ", ".join(f"{one['approver']} ({one['role']})" for one in let_in["approvals"])
        yield f"  asked     {let_in['requester']} at {let_in['requested_at']} ({let_in['kind']})"
        yield f"  approved  {approvers or 'nobody'}"
        yield f"  policy    {let_in['policy_revision'] or 'pruned'}"
        yield f"  evidence  {let_in['evidence_digest']}"
        records = ", ".join(f"{one['kind']} {one['seq']}" for one in let_in["records"])
        yield f"  records   {records or 'pruned'}"
    if desired is not None:
        yield f"  desired   {desired['version']}  {desired['digest']}  {desired['state']} {desired['promotion_id']}"
    if answer["held"]:
        yield "  held now, until a person lifts it"
