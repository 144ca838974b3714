"""What an operator runs beside the service: init, serve."""

import re
from dataclasses import replace
from typing import Final

import click
from sqlalchemy import inspect

from lockgate.audit import VerifierKey, create_key_file, load_public_key, store
from lockgate.bootstrap import prepare_database
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.listening import check_address
from lockgate.cli.local_settings import settings_options
from lockgate.cli.standard_output import emit
from lockgate.config import MAIN_LOG, WORKERS_MAX, Settings, is_main_origin, log_names, origin_of_log, settings_of_log
from lockgate.errors import ConfigError
from lockgate.permits import create_permit_key, find_permit_key
from lockgate.storage import database_exists, open_engine, read_transaction
from lockgate.storage.tables import audit_head
from lockgate.web.server import Server

DIRECTORY_MODE: Final = 0o700  # the log's key lies in it
_OF_A_WITNESS: Final = "witness.key"  # in the folder of 'lockgate witness', which shares nothing with a gate


def _origin(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    # The name stands in every signature of the log for ever: what is wrong with it is said by name.
    for wrong, name in ((r"://", "scheme"), (r"\s", "white space"), (r"\+", "'+'")):
        if re.search(wrong, value):
            raise click.BadParameter(f"want a name without {name}, as gate.example.org/audit, got {value[:80]!r}")
    if not is_main_origin(value):
        raise click.BadParameter(f"want HOST/NAME, as gate.example.org/audit, got {value[:80]!r}")
    return value


@click.command()
@click.option(
    "--origin",
    required=True,
    callback=_origin,
    metavar="NAME",
    help="The audit log's name for ever, a URL without scheme, as in gate.example.org/audit.",
)
@settings_options
def init(settings: Settings, origin: str) -> int:
    """Make the data folder, the audit logs, their keys, and the key for permits.

    Also the tables and each log's first record. Running it again adds what is missing and changes nothing else. Prints
    the logs' public keys, one a line and the main log's first, which clients and auditors need (LOCKGATE_LOG_KEY).

    The folder is made with mode 0700 and each key with 0600, whatever the umask; run it as the user that serves. Tokens
    that you write to files beside it are yours to protect: 'umask 077' first.

    \b
    Example:
      LOCKGATE_DATA_DIR=/var/lib/lockgate lockgate init --origin gate.example.org/audit
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    if (settings.data_dir / _OF_A_WITNESS).exists():
        raise ConfigError(
            f"LOCKGATE_DATA_DIR: want a folder of the gate's own, got a witness's: it holds {_OF_A_WITNESS}"
        )
    origins = {name: origin_of_log(origin, name) for name in log_names(settings)}
    of_logs = {name: settings_of_log(settings, name) for name in origins}
    for name, its_own in of_logs.items():
        if not its_own.log_key_file.exists():
            _refuse_orphaned_log(its_own, origins[name], is_main=name == MAIN_LOG)
    try:
        settings.data_dir.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"LOCKGATE_DATA_DIR: cannot make the folder: {exc.strerror}") from exc
    keys = [_find_key(of_logs[name], its_origin) for name, its_origin in origins.items()]
    if find_permit_key(settings.permit_key_file) is None:
        create_permit_key(settings.permit_key_file)
    prepare_database(settings)
    emit("".join(f"{key}\n" for key in keys))
    return ExitCode.ALLOW


def _find_key(settings: Settings, origin: str) -> VerifierKey:
    if not settings.log_key_file.exists():
        if settings.log_signer_command:
            raise ConfigError(
                f"want the public key of {origin} in {settings.log_key_file}: a program keeps the private one"
            )
        return create_key_file(settings.log_key_file, origin).verifier_key
    key = load_public_key(settings.log_key_file)
    if key.name != origin:
        raise ConfigError(f"want --origin {key.name}, which the key in {settings.log_key_file} is for")
    return key


def _refuse_orphaned_log(settings: Settings, origin: str, *, is_main: bool) -> None:
    engine = open_engine(settings.database_url)
    if not database_exists(engine):
        return
    with read_transaction(engine) as connection:
        logs = store.read_logs(connection) if inspect(connection).has_table(audit_head.name) else []
    there = logs if is_main else [log for log in logs if log == origin]
    if there:
        raise ConfigError(
            f"the database holds the log {there[0]!r}, but its key {settings.log_key_file} is missing: "
            "put the key back from the backup; a new key cannot continue the log"
        )


@click.command()
@click.option("--bind", metavar="HOST:PORT", help="Where to listen. Default: the setting bind.")
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), help="Processes. Default: the setting workers.")
@settings_options
def serve(settings: Settings, bind: str | None, workers: int | None) -> int:
    """Serve the gate over HTTP until stopped. Put TLS in front of it.

    \b
    Example:
      lockgate serve --bind 127.0.0.1:8080
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    settings = replace(settings, bind=bind or settings.bind, workers=workers or settings.workers)
    check_address(settings.bind)
    try:
        Server(settings, bind=settings.bind, workers=settings.workers).run()
    except SystemExit as exc:  # gunicorn ends so, always; its own codes mean other things than ours
        if exc.code:
            return ExitCode.UNDECIDED
    return ExitCode.ALLOW
