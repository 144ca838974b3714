"""`lockgate token`: who may call the gate. Works on the database, beside the service."""

import json
import re
from typing import Any, Final

import click

from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.principals import (
    ROLE_HELP,
    identity_option,
    open_identities,
    optional_timestamp,
    read_principal_options,
)
from lockgate.cli.standard_output import deliver, emit
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp, is_expired
from lockgate.config import Settings
from lockgate.identity import IdentityError, TokenInfo, parse_roles
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
@click.option("--role", "roles", multiple=True, metavar="ROLE", help=ROLE_HELP)
@identity_option
@click.option(
    "--scope",
    multiple=True,
    metavar="ROLE",
    help="Let this token carry only this role, of those that the subject holds; may be given again.",
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
    scope: tuple[str, ...],
    lifetime_ns: int,
) -> int:
    """Make a token and print its secret, once, on standard output.

    With --type the subject is created or replaced, with exactly the roles and identities given. Without it the
    subject must exist and stays as it is: so is a token renewed. A token with --scope may do less than its subject.

    Into a file it goes under 'umask 077', which keeps the file (mode 0600) from others.

    \b
    Example:
      (umask 077; lockgate token create --subject ci@example.org --type machine \\
        --role requester --expires-in 30d > ci.token)
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if type_ is None and (roles or identities):
        raise click.UsageError("want --type with --role and --identity: together they replace what the subject is")
    carried = _read_scope(scope)
    principal = None if type_ is None else read_principal_options(subject, type_, roles, identities)
    store, administration = open_identities(settings)
    if principal is not None:
        administration.put_principal(principal)
    made = administration.create_token(subject, lifetime_ns, carried)
    try:
        deliver(f"{made.secret}\n")
    except BaseException:  # a secret that nobody holds, or that lies half-written somewhere
        administration.revoke_token(made.token_id)
        click.echo(f"lockgate: token {made.token_id} could not be shown, and is revoked", err=True)
        raise
    holder = store.find_principal(subject)
    if holder is not None and (holder.disabled_ns is not None or not _common(holder.principal.roles, carried)):
        what = "has no role" if carried is None else "holds no role of this scope"
        what = what if holder.disabled_ns is None else "is disabled"
        click.echo(f"lockgate: {subject} {what}: with this token the gate permits nothing", err=True)
    click.echo(f"token {made.token_id}, expires {format_timestamp(made.expires_ns)}; not shown again", err=True)
    return ExitCode.ALLOW


@token.command("list")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@settings_options
def list_(settings: Settings, output: str) -> int:
    """List every token ever made, without its secret, oldest first, with its scope and when it was last used.

    The last use is known to a quarter of an hour.

    \b
    Example:
      lockgate token list
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    now = SystemClock().now_ns()
    documents = [_document(one, now) for one in open_identities(settings)[0].list_tokens()]
    if output == "json":
        emit(json.dumps({"tokens": documents}, indent=2) + "\n")
    else:
        emit("".join(map(_line, documents)))
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
    open_identities(settings)[1].revoke_token(token_id)
    click.echo(f"token {token_id} is revoked", err=True)
    return ExitCode.ALLOW


def _read_scope(scope: tuple[str, ...]) -> tuple[str, ...] | None:
    try:
        return parse_roles(scope) if scope else None
    except IdentityError as exc:
        raise click.UsageError(f"--scope: {exc}") from exc


def _common(held: tuple[str, ...], scope: tuple[str, ...] | None) -> set[str]:
    return set(held) if scope is None else set(held) & set(scope)


def _document(one: TokenInfo, now: EpochNs) -> dict[str, Any]:
    state = "revoked" if one.revoked_ns is not None else "expired" if is_expired(one.expires_ns, now) else "live"
    return {
        "token_id": one.token_id,
        "state": state,
        "subject": one.subject,
        "scope": None if one.scope is None else list(one.scope),
        "created_at": format_timestamp(one.created_ns),
        "expires_at": format_timestamp(one.expires_ns),
        "revoked_at": optional_timestamp(one.revoked_ns),
        "used_at": optional_timestamp(one.used_ns),
    }


def _line(one: dict[str, Any]) -> str:
    scope = "all roles" if one["scope"] is None else ",".join(one["scope"])
    return (
        f"{one['token_id']}  {one['state']:<7}  expires {one['expires_at']}  used {one['used_at'] or 'never':<27}  "
        f"{one['subject']}  {scope}\n"
    )
