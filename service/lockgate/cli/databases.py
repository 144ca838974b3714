"""`lockgate db`: the tables, the roles, and what the database is."""

import json
from dataclasses import asdict
from typing import Final

import click

from lockgate.cli.confirmation import confirm
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.moving import copy, resume
from lockgate.cli.standard_output import emit
from lockgate.config import Settings
from lockgate.rendering import plain
from lockgate.storage import (
    StorageSchemaError,
    database_exists,
    describe_database,
    downgrade_schema,
    grant_service_role,
    open_engine,
    plan_downgrade,
    read_revisions,
    upgrade_schema,
)

_TLS: Final = {
    "verified": "encrypted, the server verified",
    "unverified": "encrypted, but the server not verified: use sslmode=verify-full",
    "off": "not encrypted",
}
_BYTES_PER_MIB: Final = 1024 * 1024


@click.group()
def db() -> None:
    """Look after the database."""


db.add_command(copy)
db.add_command(resume)


@db.command()
@settings_options
def upgrade(settings: Settings) -> int:
    """Bring the database's tables to this version, in one transaction.

    \b
    Example:
      lockgate db upgrade
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    upgrade_schema(open_engine(settings.database_url))
    click.echo("the tables are those of this version", err=True)
    return ExitCode.ALLOW


@db.command()
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings_options
def downgrade(settings: Settings, revision: str, *, yes: bool) -> int:
    """Take the database's tables back to the REVISION of an older version, in one transaction.

    Only to go back to that version of Lockgate: this one does not run on them. Stop every instance before. What the old
    tables cannot hold is listed, and lost; what must not be lost refuses the command.

    \b
    Example:
      lockgate db downgrade 0002
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    engine = open_engine(settings.database_url)
    if not database_exists(engine):
        raise StorageSchemaError(f"there is no database at {engine.url.database}")
    for lost in plan_downgrade(engine, revision):
        click.echo(f"will be lost: {lost}", err=True)
    confirm(f"Take the tables back to {revision}? This version of Lockgate does not run on them.", yes=yes)
    downgrade_schema(engine, revision)
    click.echo(f"the tables are those of revision {revision}", err=True)
    return ExitCode.ALLOW


@db.command()
@click.option("--role", required=True, metavar="NAME", help="The role that the service connects as.")
@settings_options
def grants(settings: Settings, role: str) -> int:
    """Give a PostgreSQL role the rights of the service, and no more.

    Run it as the owner of the tables, after each 'lockgate db upgrade'. Prints the statements that it ran. The role can
    add audit records, but not change or delete them.

    \b
    Example:
      LOCKGATE_DATABASE_URL=postgresql://owner@db.example/lockgate lockgate db grants --role lockgate_service
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    emit("".join(f"{statement};\n" for statement in grant_service_role(open_engine(settings.database_url), role)))
    return ExitCode.ALLOW


@db.command()
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@settings_options
def status(settings: Settings, output: str) -> int:
    """Say what the database is, which tables it has, and how we are connected to it.

    \b
    Exit codes:
      0  its tables are those of this version
      3  they are not, or it cannot be reached

    \b
    Example:
      lockgate db status --output json
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    engine = open_engine(settings.database_url)
    if not database_exists(engine):  # to connect would make an empty one
        raise StorageSchemaError(f"there is no database at {engine.url.database}; 'lockgate init' makes it")
    have, want = read_revisions(engine)
    found = describe_database(engine)
    if output == "json":
        document = {"schema_version": 1, "revision": have, "revision_wanted": want, **asdict(found)}
        emit(json.dumps(document, sort_keys=True) + "\n")
    else:
        lines = {
            "database": engine.url.set(query={}).render_as_string(),  # without a password
            "server": f"{found.server}{', a standby: read-only' if found.standby else ''}",
            "role": f"{found.role or 'none'}, rights of {found.rights}",
            "connection": f"{'local' if found.local else 'over the network'}, {_TLS[found.tls]}",
            "durable": "yes" if found.durable else "NO: fsync or full_page_writes is off",
            "tables": f"revision {have or 'none'}, want {want}",
            "size": f"{found.size_bytes / _BYTES_PER_MIB:.1f} MiB",
        }
        emit("".join(f"{name:<12}{plain(value)}\n" for name, value in lines.items()))
    return ExitCode.ALLOW if have == want else ExitCode.UNDECIDED
