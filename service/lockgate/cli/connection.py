"""Which gate to speak to, as whom, and under which log key: the options that every client command has."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lockgate.audit import AuditError, VerifierKey, parse_verifier_key
from lockgate.cli.credentials import read_credential
from lockgate.cli.gate_client import GateClient
from lockgate.clock import format_timestamp, is_expired
from lockgate.system_clock import SystemClock

R = TypeVar("R")

TIMEOUT_S_DEFAULT: Final = 30.0  # a decision takes well under a second; the rest is for slow uplinks and big bundles
TIMEOUT_S_MAX: Final = 600.0
TOKEN_BYTES_MAX: Final = 8_000  # the gate reads no longer one; a workload's OIDC token is below 2,500
# An API token of the gate's, or an issuer's: three parts of base64url.
_TOKEN: Final = re.compile(r"lgt_[A-Za-z0-9_-]{16,256}|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+){2}", re.ASCII)


url_option: Final = click.option(
    "--url", envvar="LOCKGATE_URL", required=True, show_envvar=True, help="The gate: https://host."
)
ca_file_option: Final = click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="LOCKGATE_CA_FILE",
    show_envvar=True,
    help="Certificate authorities to trust for the gate instead of the usual ones (PEM).",
)
timeout_option: Final = click.option(
    "--timeout",
    type=click.FloatRange(0, TIMEOUT_S_MAX, min_open=True),
    default=TIMEOUT_S_DEFAULT,
    show_default=True,
    metavar="SECONDS",
    help="For one whole exchange with the gate.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One gate, and the keys that its receipts must verify under."""

    client: GateClient
    log_keys: tuple[VerifierKey, ...]

    def need_log_keys(self) -> tuple[VerifierKey, ...]:
        """Return the keys; a command that believes a receipt calls this before it calls the gate.

        Raises:
            click.UsageError: There is none.
        """
        if not self.log_keys:
            raise click.UsageError(
                "want --log-key (or LOCKGATE_LOG_KEY), the log's public key, to verify the gate's receipt; "
                "'lockgate audit key' on the server prints it"
            )
        return self.log_keys


def connection_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the client options, and hand it a `Connection` as the keyword `connection`."""

    @functools.wraps(command)
    def with_connection(
        *args: Any,  # noqa: ANN401 - whatever click passes on
        url: str,
        token: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        timeout: float,
        log_key: tuple[str, ...],
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> R:
        client = GateClient(url=url, token=_token(url, token, token_file), ca_file=ca_file, timeout_s=timeout)
        connection = Connection(client=client, log_keys=tuple(_log_key(text) for text in log_key))
        return command(*args, connection=connection, **kwargs)

    options = (
        url_option,
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="LOCKGATE_TOKEN_FILE",
            show_envvar=True,
            help="File with the bearer token. Or set LOCKGATE_TOKEN to the token itself, or log in first.",
        ),
        # Hidden, and refused as an argument: other users of a machine can read a process's arguments.
        click.option("--token", envvar="LOCKGATE_TOKEN", hidden=True, callback=_refuse_argument),
        click.option(
            "--log-key",
            multiple=True,
            envvar="LOCKGATE_LOG_KEY",
            show_envvar=True,
            metavar="VKEY",
            help="The audit log's public key (C2SP vkey); again for each key that may have signed.",
        ),
        ca_file_option,
        timeout_option,
    )
    for option in reversed(options):
        with_connection = option(with_connection)
    return with_connection


def _refuse_argument(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("want the token in LOCKGATE_TOKEN or --token-file, not as an argument")
    return value


def _token(url: str, token: str | None, token_file: Path | None) -> str:
    if token_file is not None:
        try:
            with token_file.open("rb") as file:
                token = file.read(TOKEN_BYTES_MAX + 1).decode("ascii", errors="replace").strip()
        except OSError as exc:
            raise click.UsageError(f"cannot read --token-file: {exc.strerror}") from exc
    if not token:
        return _token_of_login(url)
    if len(token) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(token):
        raise click.UsageError(
            "want a token of the form lgt_..., as 'lockgate token create' prints it, or an OIDC token of three parts"
        )
    return token


def _token_of_login(url: str) -> str:
    credential = read_credential(url)
    if credential is None:
        raise click.UsageError(
            "want a bearer token: --token-file, LOCKGATE_TOKEN_FILE or LOCKGATE_TOKEN; or 'lockgate login' first"
        )
    if is_expired(credential.expires, SystemClock().now_ns()):
        ended = format_timestamp(credential.expires)
        raise click.UsageError(f"the login at {credential.url} ended at {ended}; 'lockgate login' logs in again")
    return credential.token


def _log_key(text: str) -> VerifierKey:
    try:
        return parse_verifier_key(text)
    except AuditError as exc:
        raise click.UsageError(f"want --log-key as '<name>+<8 hex digits>+<base64>': {exc}") from exc
