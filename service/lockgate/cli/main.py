"""The entry point: every command, and the one place where an error becomes an exit code."""

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

import click

from lockgate.cli.errors import ClientError, ProblemError, ReceiptInvalidError
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.lazy_group import LazyGroup
from lockgate.cli.standard_output import silence
from lockgate.errors import ConfigError, LockgateError
from lockgate.rendering import plain

_COMMANDS: Final = {
    "approve": "promotions:approve",
    "audit": "audit:audit",
    "check": "promotions:check",
    "config": "configuration:config",
    "db": "databases:db",
    "deliver": "deliver:deliver",
    "delivery": "events:delivery",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "events": "events:events",
    "finding": "findings:finding",
    "hold": "rollouts:hold",
    "init": "operations:init",
    "lineage": "lineage:lineage",
    "live": "rollouts:live",
    "login": "login:login",
    "logout": "login:logout",
    "model": "models:model",
    "policy": "policy:policy",
    "principal": "principals:principal",
    "request": "promotions:request",
    "rollback": "rollouts:rollback",
    "rollout": "rollouts:rollout",
    "serve": "operations:serve",
    "status": "promotions:status",
    "token": "tokens:token",
    "usage": "usage:usage",
    "whoami": "login:whoami",
    "withdraw": "promotions:withdraw",
    "witness": "witness:witness",
}
"""Which file of this room holds which command."""


@click.group(
    cls=LazyGroup,
    commands_of=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
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
        with _termination_as_interrupt():
            return _run(arguments)
    except OSError:  # standard error cannot be written either: the exit code is all that is left
        silence(sys.stderr)
        return ExitCode.UNDECIDED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = lockgate.main(args=arguments, prog_name="lockgate", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as exc:  # noqa: BLE001 - see Returns of `main`
        return _explain(exc)
    return result if isinstance(result, int) else ExitCode.ALLOW


def _explain(error: BaseException) -> ExitCode:
    code = ExitCode.UNDECIDED
    match error:
        case click.Abort() | KeyboardInterrupt():
            _complain("stopped")
        case click.ClickException():  # usage errors, and files that cannot be opened
            error.show(sys.stderr)
            code = ExitCode.USAGE
        case LockgateError():
            _complain(f"{_readable(error)} [{error.code}]")
            code = _exit_code_for(error)
        case OSError():  # of the machine: a full disk below a help text, say. It says itself what is wrong.
            silence(sys.stdout)
            _complain(plain(str(error)))
        case SystemExit():  # click and rich end so, with 1, when nobody reads their text any more
            silence(sys.stdout)
        case _:  # a defect of ours
            traceback.print_exception(error)
    return code


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    # A pipeline that is cancelled sends SIGTERM; it must say as much as Ctrl-C does. 'serve' hands the signal on to
    # gunicorn, which sets handlers of its own.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _readable(error: LockgateError) -> str:
    # What came over the network stays on one line, lest a peer write lines of its own. What a tool of this machine
    # said keeps its lines, each made harmless.
    if isinstance(error, ClientError):
        return plain(str(error))
    return "\n".join(plain(line) for line in str(error).split("\n"))


def _exit_code_for(error: LockgateError) -> ExitCode:
    if isinstance(error, ReceiptInvalidError):
        return ExitCode.UNTRUSTED
    if isinstance(error, ConfigError) or (isinstance(error, ProblemError) and error.request_at_fault):
        return ExitCode.USAGE
    return ExitCode.UNDECIDED


def _complain(message: str) -> None:
    click.echo(f"lockgate: {message}", err=True)
