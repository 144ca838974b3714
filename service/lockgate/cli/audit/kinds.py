"""`lockgate audit kind`: the kinds of record that other modules write into the gate's log."""

from pathlib import Path
from typing import Final

import click

from lockgate.audit import Actor
from lockgate.audit.errors import KindInvalidError
from lockgate.audit.kind_schemas import KIND_SCHEMA_BYTES_MAX
from lockgate.audit.writing.log_kinds import read_registrations
from lockgate.bootstrap import open_log
from lockgate.cli.audit.settings import configured_log
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.config import Settings
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine, read_transaction
from lockgate.system_clock import SystemClock

# Whoever can run commands on the gate's machine: the operating system knows them, the gate does not.
_OPERATOR: Final = Actor(type="system", id="command-line")


@click.group("kind")
def kind_group() -> None:
    """Register and list the kinds of record that other modules write."""


@kind_group.command("add")
@click.argument("name")
@click.argument("schema", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@settings_options
def add(*, settings: Settings, name: str, schema: Path) -> int:
    """Let records of the kind NAME be written; SCHEMA is the JSON Schema file of their bodies.

    The log keeps the file, and the registration is a record. Registering a kind again with another schema is another
    record: from then on the newer one counts, in every process. With the same schema it changes nothing.

    \b
    Example:
      lockgate audit kind add access.review access_review.schema.json
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    with schema.open("rb") as file:
        data = file.read(KIND_SCHEMA_BYTES_MAX + 1)
    engine = open_engine(settings.database_url)
    check_schema(engine)
    try:
        receipt = open_log(settings, SystemClock(), engine).register_kind(name, data, _OPERATOR)
    except KindInvalidError as exc:
        raise click.UsageError(plain(str(exc))) from exc
    said = "has this schema already" if receipt is None else f"is registered by record {receipt.seq}"
    click.echo(f"{name} {said}", err=True)
    return ExitCode.ALLOW


@kind_group.command("list")
@settings_options
def list_(*, settings: Settings) -> int:
    """List the registered kinds: the record that registered each last, its schema's SHA-256, its name.

    \b
    Example:
      lockgate audit kind list
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    url, log = configured_log(settings)
    with read_transaction(open_engine(url)) as connection:
        newest = {made.kind: made for made in read_registrations(connection, log.name)}
    emit("".join(f"{made.seq}  {made.schema_sha256}  {plain(kind)}\n" for kind, made in sorted(newest.items())))
    return ExitCode.ALLOW
