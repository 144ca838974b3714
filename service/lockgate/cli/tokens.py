"""`lockgate token`: who may call the gate. Works on the database, beside the service."""

import re
from typing import Final

import click

from lockgate.administration import Administration
from lockgate.bootstrap import open_log
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import deliver, emit
from lockgate.clock import NS_PER_S, format_timestamp, is_expired
from lockgate.config import Settings
from lockgate.identity import IdentityError, IdentityStore, parse_principal
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

LIFETIME_S_MAX: Final = 366 * 86400  # a token that outlives a year outlives the reason it was made for
_LIFETIME: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def token() -> None:
    """Make, list and revoke bearer tokens."""


def _lifetime_ns(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    match = _LIFETIME.fullmatch(value)
    seconds = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not 0 < seconds <= LIFETIME_S_MAX:
        raise click.BadParameter(f"want a number and s, m, h or d, at most {LIFETIME_S_MAX // 86400}d; as in 30d")
    return seconds * NS_PER_S


@token.command("create")
@click.option("--subject", required=True, help="Whom the token stands for: the name in records and approvals.")
@click.option("--type", "type_", type=click.Choice(["user", "machine"]), help="A person, or a pipeline.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="requester, operator, auditor, admin, approver:<role of the matrix>, recorder:<words of a kind>; "
    "may be given again.",
)
@click.option(
    "--identity",
    "identities",
    multiple=True,
    metavar="IDENTITY",
    help="What the subject signs artifacts as; who signed an artifact cannot approve it. May be given again.",
)
@click.option(
    "--expires-in",
    "lifetime_ns",
    required=True,
    callback=_lifetime_ns,
    metavar="TIME",
    help="How long it lives, as 12h or 30d.",
)
@settings_options
def create(
    *,
    settings: Settings,
    subject: str,
    type_: str | None,
    roles: tuple[str, ...],
    identities: tuple[str, ...],
    lifetime_ns: int,
) -> int:
    """Make a token and print its secret, once, on standard output.

    With --type the subject is created or replaced, with exactly the roles and identities given. Without it the
    subject must exist and stays as it is: so is a token renewed.

    Into a file it goes under 'umask 077', which keeps the file (mode 0600) from others.

    \b
    Example:
      (umask 077; lockgate token create --subject ci@example.org --type machine \\
        --role requester --expires-in 30d > ci.token)
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if type_ is None and (roles or identities):
        raise click.UsageError("want --type with --role and --identity: together they replace what the subject is")
    principal = None
    if type_ is not None:
        try:
            principal = parse_principal(subject=subject, type=type_, roles=roles, identities=identities)
        except IdentityError as exc:
            raise click.UsageError(str(exc)) from exc
    store, administration = _open(settings)
    if principal is not None:
        administration.put_principal(principal)
    made = administration.create_token(subject, lifetime_ns)
    try:
        deliver(f"{made.secret}\n")
    except BaseException:  # a secret that nobody holds, or that lies half-written somewhere
        administration.revoke_token(made.token_id)
        click.echo(f"lockgate: token {made.token_id} could not be shown, and is revoked", err=True)
        raise
    holder = store.authenticate(made.secret)
    if holder is not None and not holder.roles:
        click.echo(f"lockgate: {subject} has no role: with this token the gate permits nothing", err=True)
    click.echo(f"token {made.token_id}, expires {format_timestamp(made.expires_ns)}; not shown again", err=True)
    return ExitCode.ALLOW


@token.command("list")
@settings_options
def list_(settings: Settings) -> int:
    """List every token ever made, without its secret, oldest first.

    \b
    Example:
      lockgate token list
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    now = SystemClock().now_ns()
    for one in _open(settings)[0].list_tokens():
        state = "revoked" if one.revoked_ns is not None else "expired" if is_expired(one.expires_ns, now) else "live"
        emit(f"{one.token_id}  {state:<7}  expires {format_timestamp(one.expires_ns)}  {one.subject}\n")
    return ExitCode.ALLOW


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@settings_options
def revoke(settings: Settings, token_id: str) -> int:
    """End a token now.

    \b
    Example:
      lockgate token revoke 3f0c...
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    _open(settings)[1].revoke_token(token_id)
    click.echo(f"token {token_id} is revoked", err=True)
    return ExitCode.ALLOW


def _open(settings: Settings) -> tuple[IdentityStore, Administration]:
    engine, clock = open_engine(settings.database_url), SystemClock()
    check_schema(engine)
    return IdentityStore(engine, clock), Administration(open_log(settings, clock, engine), clock)
