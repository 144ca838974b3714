"""Where a server is to listen: found out before it starts, and told in one line."""

import socket
from typing import ClassVar

import click

from lockgate.config import is_address
from lockgate.errors import LockgateError


class ListenError(LockgateError):
    """The address to serve on cannot be had."""

    code: ClassVar[str] = "serve.address"


def check_address(bind: str) -> None:
    """Make sure that an address can be listened on.

    Gunicorn tries five times and says so in lines of its own.

    Args:
        bind: The value of `--bind`, `host:port`.

    Raises:
        click.BadParameter: It is no address.
        ListenError: It is taken, or not this machine's.
    """
    if not is_address(bind):
        raise click.BadParameter("want HOST:PORT, as 127.0.0.1:8080 or [::1]:8080", param_hint="--bind")
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn will
            trial.bind((host.strip("[]"), int(port)))
    except OSError as exc:
        raise ListenError(f"cannot listen on {bind}: {exc.strerror}") from exc
