"""`lockgate principal`: who there is, and what they may do. Works on the database, beside the service."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from lockgate.administration import Administration
from lockgate.bootstrap import open_log
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.clock import EpochNs, format_timestamp
from lockgate.config import Settings
from lockgate.identity import (
    IdentityError,
    IdentityStore,
    Principal,
    PrincipalInfo,
    PrincipalUnknownError,
    parse_issuers,
    parse_principal,
)
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

R = TypeVar("R")

ROLE_HELP: Final = (
    "requester, operator, deployer, auditor, policy-author, admin, approver:<role of the matrix>, "
    "recorder:<words of a kind>; may be given again."
)


def identity_option(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--identity`."""
    return click.option(
        "--identity",
        "identities",
        multiple=True,
        metavar="IDENTITY",
        help="What the subject signs artifacts as; who signed an artifact cannot approve it. May be given again.",
    )(command)


def open_identities(settings: Settings) -> tuple[IdentityStore, Administration]:
    """Open what principals and tokens are read from, and what changes and records them.

    Raises:
        LockgateError: The database or the log's key is unusable.
    """
    engine, clock = open_engine(settings.database_url), SystemClock()
    check_schema(engine)
    return IdentityStore(engine, clock), Administration(open_log(settings, clock, engine), clock)


def read_principal_options(subject: str, type_: str, roles: tuple[str, ...], identities: tuple[str, ...]) -> Principal:
    """Make a principal of what the command line says.

    Raises:
        click.UsageError: One of them has a form that no record could carry.
    """
    try:
        return parse_principal(subject=subject, type=type_, roles=roles, identities=identities)
    except IdentityError as exc:
        raise click.UsageError(str(exc)) from exc


@click.group()
def principal() -> None:
    """Make, list, disable and enable principals: people and machines."""


@principal.command("put")
@click.argument("subject")
@click.option("--type", "type_", type=click.Choice(["user", "machine"]), required=True, help="A person, or a pipeline.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help=ROLE_HELP)
@identity_option
@click.option(
    "--issuer",
    metavar="NAME",
    help="The issuer of the settings whose tokens say from now on who this is; '' for none. Without it, a principal "
    "that is an issuer's is not touched. Where that changes, its API tokens and sessions end.",
)
@settings_options
def put(
    *,
    settings: Settings,
    subject: str,
    type_: str,
    roles: tuple[str, ...],
    identities: tuple[str, ...],
    issuer: str | None,
) -> int:
    """Create SUBJECT, or replace what it is: it has exactly the roles and identities given.

    What is pending is decided by the roles of then: nothing is allowed to somebody who may no longer request.

    \b
    Example:
      lockgate principal put ann@example.org --type user --role approver:risk --identity ann@example.org
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if issuer:
        names = [one.name for one in parse_issuers(settings.tables["issuer"])]
        if issuer not in names:
            raise click.UsageError(f"--issuer: want one of {', '.join(names) or 'none, there are none'}")
    made = read_principal_options(subject, type_, roles, identities)
    open_identities(settings)[1].put_principal(made, issuer)
    click.echo(f"principal {subject} has {len(made.roles)} roles and {len(made.identities)} identities", err=True)
    return ExitCode.ALLOW


@principal.command("list")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@settings_options
def list_(settings: Settings, output: str) -> int:
    """List every principal, by subject, with its roles.

    \b
    Example:
      lockgate principal list
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    infos = open_identities(settings)[0].list_principals()
    if output == "json":
        emit(json.dumps({"principals": [_document(info) for info in infos]}, indent=2) + "\n")
    else:
        emit("".join(map(_line, infos)))
    return ExitCode.ALLOW


@principal.command("show")
@click.argument("subject")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@settings_options
def show(settings: Settings, subject: str, output: str) -> int:
    """Show SUBJECT: its roles, what it signs as, and whose tokens say so.

    \b
    Example:
      lockgate principal show ann@example.org
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    info = open_identities(settings)[0].find_principal(subject)
    if info is None:
        raise PrincipalUnknownError(f"want an existing principal, got {subject[:80]!r}")
    document = _document(info)
    if output == "json":
        emit(json.dumps(document, indent=2) + "\n")
        return ExitCode.ALLOW
    shown = {name: " ".join(value) if isinstance(value, list) else value for name, value in document.items()}
    emit("".join(f"{name + ':':<15}{plain(str(value or '-'))}\n" for name, value in shown.items()))
    return ExitCode.ALLOW


@principal.command("disable")
@click.argument("subject")
@settings_options
def disable(settings: Settings, subject: str) -> int:
    """Let SUBJECT do nothing from now on, whatever tokens say; what it approved counts no longer.

    Its next call is refused already. Nothing is allowed any more by what it has pending.

    \b
    Example:
      lockgate principal disable ann@example.org
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    open_identities(settings)[1].disable_principal(subject)
    click.echo(f"principal {plain(subject)} is disabled", err=True)
    return ExitCode.ALLOW


@principal.command("enable")
@click.argument("subject")
@settings_options
def enable(settings: Settings, subject: str) -> int:
    """Let SUBJECT act again, with the roles that it has.

    \b
    Example:
      lockgate principal enable ann@example.org
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    open_identities(settings)[1].enable_principal(subject)
    click.echo(f"principal {plain(subject)} is enabled", err=True)
    return ExitCode.ALLOW


def _document(info: PrincipalInfo) -> dict[str, Any]:
    one = info.principal
    return {
        "subject": one.subject,
        "type": one.type,
        "roles": list(one.roles),
        "identities": list(one.identities),
        "issuer": info.issuer,
        "created_at": format_timestamp(info.created_ns),
        "issued_at": optional_timestamp(info.issued_ns),
        "disabled_at": optional_timestamp(info.disabled_ns),
    }


def _line(info: PrincipalInfo) -> str:
    state = "live" if info.disabled_ns is None else "disabled"
    words = (
        plain(info.principal.subject),
        f"by {info.issuer or 'command-line'}",
        ",".join(info.principal.roles) or "-",
    )
    return f"{state:<8}  {info.principal.type:<7}  {'  '.join(words)}\n"


def optional_timestamp(when: EpochNs | None) -> str | None:
    """Write a time, where there is one."""
    return None if when is None else format_timestamp(when)
