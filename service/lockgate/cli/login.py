"""`lockgate login`, `logout` and `whoami`: a person's own token, from the issuer that the gate names."""

import json
import webbrowser
from pathlib import Path

import click

from lockgate.cli.connection import Connection, ca_file_option, connection_options, timeout_option, url_option
from lockgate.cli.credentials import credentials_file, forget_credential, keep_credential
from lockgate.cli.errors import AnswerInvalidError
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.gate_client import GateClient
from lockgate.cli.standard_output import emit
from lockgate.clock import parse_timestamp
from lockgate.login.device import DeviceCode, log_in_by_device
from lockgate.login.loopback import log_in_by_browser
from lockgate.login.oauth_messages import Client
from lockgate.login.provider_client import Peer
from lockgate.login.providers import is_safe_url
from lockgate.rendering import plain
from lockgate.system_clock import SystemClock


@click.command()
@click.option("--device", is_flag=True, help="Enter a code in a browser of another machine.")
@click.option("--no-browser", is_flag=True, help="Only print the address; do not open a browser.")
@click.option(
    "--issuer-ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="LOCKGATE_ISSUER_CA_FILE",
    show_envvar=True,
    help="Certificate authorities to trust for the issuer instead of the usual ones (PEM).",
)
@url_option
@ca_file_option
@timeout_option
def login(
    *, device: bool, no_browser: bool, issuer_ca_file: Path | None, url: str, ca_file: Path | None, timeout: float
) -> int:
    """Log in, so that the commands that ask this gate need no token.

    The gate says with whom. The token that they give is kept until it ends, in a file that only you can read.

    \b
    Example:
      export LOCKGATE_URL=https://gate.example.org
      lockgate login
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    offered = GateClient(url=url, token=None, ca_file=ca_file, timeout_s=timeout).read_login()
    issuer = offered["issuer"]
    if not is_safe_url(issuer, issuer):
        raise AnswerInvalidError("want the gate to name an issuer with an https URL")
    peer = Peer(issuer=issuer, ca_file=issuer_ca_file)
    client = Client(client_id=offered["client_id"], secret="", scopes=tuple(offered["scopes"]))
    _say(f"logging in with {issuer}, for {client.client_id}")
    if device:
        tokens = log_in_by_device(peer, client, _show_code, SystemClock())
    else:
        tokens = log_in_by_browser(peer, client, _print_address if no_browser else _open_browser)
    # Asked with it at once: the gate verifies it, and says who that is and until when.
    me = GateClient(url=url, token=tokens.id_token, ca_file=ca_file, timeout_s=timeout).read_me()
    keep_credential(url, tokens.id_token, parse_timestamp(me["expires_at"]), SystemClock().now_ns())
    _say(f"logged in as {me['subject']} ({_roles(me['roles'])}) until {me['expires_at']}")
    return ExitCode.ALLOW


@click.command()
@url_option
def logout(url: str) -> int:
    """Forget the login at this gate.

    The token itself counts until it ends; whoever runs the gate can disable you before.

    \b
    Example:
      lockgate logout
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    there = forget_credential(url)
    _say(f"forgotten, in {credentials_file()}" if there else f"nobody is logged in at {url}")
    return ExitCode.ALLOW


@click.command()
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connection_options
def whoami(connection: Connection, output: str) -> int:
    """Say who you are at this gate, with which roles, and until when.

    \b
    Example:
      lockgate whoami
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    me = connection.client.read_me()
    if output == "json":
        emit(json.dumps(me, indent=2) + "\n")
    else:
        by = f", by the issuer {me['issuer']}" if me["issuer"] else ""
        emit(f"{me['subject']} ({me['type']}{by}): {_roles(me['roles'])}, until {me['expires_at']}\n")
    return ExitCode.ALLOW


def _roles(roles: list[str]) -> str:
    return ", ".join(roles) or "no roles"


def _print_address(address: str) -> None:
    _say(f"to log in, open\n  {address}")


def _open_browser(address: str) -> None:
    _print_address(address)
    webbrowser.open(address)


def _show_code(device: DeviceCode) -> None:
    _say(f"to log in, open\n  {device.address}\nin any browser, and enter\n  {device.user_code}")


def _say(text: str) -> None:
    click.echo("\n".join(plain(line) for line in text.split("\n")), err=True)
