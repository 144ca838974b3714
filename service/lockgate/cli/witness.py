"""`lockgate witness`: watch the logs of others. A program of its own: it needs no gate and shares nothing with one."""

from pathlib import Path
from typing import Final

import click
from flask import Flask

from lockgate.audit import Signer, create_key_file, load_key_file
from lockgate.audit.formats.cosignatures import witness_key_of
from lockgate.audit.formats.log_policy import POLICY_CHARS_MAX, LogPolicy, parse_log_policy
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.listening import check_address
from lockgate.cli.standard_output import emit
from lockgate.errors import ConfigError
from lockgate.system_clock import SystemClock
from lockgate.witness import Witness
from lockgate.witness.app import create_witness_app
from lockgate.witness.server import WitnessServer
from lockgate.witness.store import create_state, open_state

DIRECTORY_MODE: Final = 0o700  # the witness's key lies in it
_KEY: Final = "witness.key"
_STATE: Final = "witness.db"
_LOGS: Final = "logs.policy"
_OF_A_GATE: Final = ("log.key", "lockgate.db", "checkpoints.txt")  # in its data folder

_data_dir = click.option(
    "--data-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The witness's own folder: its key, its state, and the file of the logs that it follows.",
)


@click.group()
def witness() -> None:
    """Watch other people's logs, and vouch that each of them only grows."""


@witness.command()
@click.option(
    "--name", required=True, help="The witness's name for ever, a URL without scheme, as in witness.example.org/w1."
)
@_data_dir
def init(data_dir: Path, name: str) -> int:
    """Make the folder, the witness's key and its state.

    Prints the public key, which goes into the policy files of those who rely on this witness. Running it again changes
    nothing. A witness that lost its state cannot go on with its key: it could contradict itself. Then make a new one.

    \b
    Example:
      lockgate witness init --name witness.example.org/w1 --data-dir /var/lib/lockgate-witness
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    for name_there in _OF_A_GATE:
        if (data_dir / name_there).exists():
            raise ConfigError(f"--data-dir: want a folder of the witness's own, got a gate's: it holds {name_there}")
    try:
        data_dir.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"--data-dir: cannot make the folder: {exc.strerror}") from exc
    key_file, state = data_dir / _KEY, data_dir / _STATE
    if not key_file.exists() and not state.exists():
        create_state(state, witness_key_of(create_key_file(key_file, name)))
    signer = _load_signer(data_dir)
    if signer.verifier_key.name != name:
        raise ConfigError(f"want --name {signer.verifier_key.name}, which the key in the folder is for")
    open_state(state, witness_key_of(signer)).dispose()
    emit(f"{witness_key_of(signer)}\n")
    return ExitCode.ALLOW


@witness.command()
@_data_dir
def key(data_dir: Path) -> int:
    """Print the witness's public key.

    \b
    Example:
      lockgate witness key --data-dir /var/lib/lockgate-witness
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    emit(f"{witness_key_of(_load_signer(data_dir))}\n")
    return ExitCode.ALLOW


@witness.command()
@_data_dir
@click.option(
    "--logs",
    "logs_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The policy file whose 'log' lines name the logs to follow. Default: {_LOGS} in the folder.",
)
@click.option("--bind", default="127.0.0.1:8081", show_default=True, metavar="HOST:PORT", help="Where to listen.")
def serve(data_dir: Path, logs_file: Path | None, bind: str) -> int:
    """Serve the witness over HTTP until stopped. Put TLS in front of it.

    \b
    Example:
      lockgate witness serve --data-dir /var/lib/lockgate-witness --bind 127.0.0.1:8081
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    signer = _load_signer(data_dir)
    policy = _load_logs(logs_file or data_dir / _LOGS)
    open_state(data_dir / _STATE, witness_key_of(signer)).dispose()
    check_address(bind)

    def make_app() -> Flask:
        engine = open_state(data_dir / _STATE, witness_key_of(signer))
        return create_witness_app(Witness(engine=engine, signer=signer, policy=policy, clock=SystemClock()))

    try:
        WitnessServer(make_app, bind=bind).run()
    except SystemExit as exc:  # gunicorn ends so, always; its own codes mean other things than ours
        if exc.code:
            return ExitCode.UNDECIDED
    return ExitCode.ALLOW


def _load_signer(data_dir: Path) -> Signer:
    return load_key_file(data_dir / _KEY)


def _load_logs(path: Path) -> LogPolicy:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            policy = parse_log_policy(file.read(POLICY_CHARS_MAX + 1))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the policy file {path}: {exc}") from exc
    if not policy.logs:
        raise ConfigError(f"want at least one 'log' line in {path}; a witness that follows nothing is of no use")
    return policy
