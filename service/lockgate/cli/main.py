"""The entry point: every command, and the one place where an error becomes an exit code."""

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from lockgate.cli.errors import ProblemError, ReceiptInvalidError
from lockgate.cli.exit_codes import ExitCode
from lockgate.errors import ConfigError, LockgateError
from lockgate.rendering import plain

_MODULES: Final = {
    "approve": "promotions",
    "audit": "audit",
    "check": "promotions",
    "db": "operations",
    "demo": "demo",
    "doctor": "doctor",
    "init": "operations",
    "policy": "policy",
    "request": "promotions",
    "serve": "operations",
    "status": "promotions",
    "token": "tokens",
    "withdraw": "promotions",
}
"""Which file of this room holds which command."""


class _Commands(click.Group):
    """Imports a command's file when the command is asked for.

    The service's rooms take more than a second to load, and a pipeline that asks for a decision needs none of them. A
    file that cannot be imported is so also met inside `main`, which keeps it from ending with Python's 1.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, sorted."""
        del ctx
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None if there is none of this name."""
        del ctx
        if cmd_name not in _MODULES:
            return None
        command = getattr(importlib.import_module(f"lockgate.cli.{_MODULES[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lockgate", prog_name="lockgate")
def lockgate() -> None:
    """Decide whether a model may be promoted: signed, reviewed, recorded.

    \b
    Exit codes of every command that shows a decision:
      0  allow
      1  deny
      2  usage: the command, a setting or the request itself is wrong
      3  no decision: unreachable, failed, expired, or not understandable
      4  pending: nothing but approvals is missing
      5  no trusted signature, or an answer that cannot be trusted

    \b
    Example:
      lockgate request fraud-detector 1.4.0 --from staging --to production \\
        --model-dir ./model --bundle model.sig
    """  # noqa: D301 - \b is click's mark for lines to leave as they are


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; the process's own when None.

    Returns:
        The exit code. Python ends with 1 on an uncaught exception, and 1 means deny here: so nothing is let through.
    """
    try:
        result = lockgate.main(args=arguments, prog_name="lockgate", standalone_mode=False)
    except click.Abort:
        _complain("stopped")
        return ExitCode.UNDECIDED
    except click.ClickException as exc:  # usage errors, and files that cannot be opened
        exc.show(sys.stderr)
        return ExitCode.USAGE
    except LockgateError as exc:
        _complain(f"{plain(str(exc))} [{exc.code}]")
        return _exit_code_for(exc)
    except Exception:  # noqa: BLE001 - a defect of ours; see Returns
        traceback.print_exc()
        return ExitCode.UNDECIDED
    return result if isinstance(result, int) else ExitCode.ALLOW


def _exit_code_for(error: LockgateError) -> ExitCode:
    if isinstance(error, ReceiptInvalidError):
        return ExitCode.UNTRUSTED
    if isinstance(error, ConfigError) or (isinstance(error, ProblemError) and error.request_at_fault):
        return ExitCode.USAGE
    return ExitCode.UNDECIDED


def _complain(message: str) -> None:
    click.echo(f"lockgate: {message}", err=True)
