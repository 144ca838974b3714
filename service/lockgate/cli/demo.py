"""`lockgate demo`: the whole way through, on a throw-away gate."""

import tempfile
from pathlib import Path

import click
from rich.console import Console

from lockgate.cli.exit_codes import ExitCode
from lockgate.demo.walkthrough import run_demo
from lockgate.system_clock import SystemClock


@click.command()
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep everything in this new folder, to look around in afterwards.",
)
def demo(keep: Path | None) -> int:
    """Show one promotion from refused to allowed and audited, on a throw-away gate.

    Needs no server, no account and no network; ends by itself.

    \b
    Example:
      lockgate demo --keep ./demo
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    console = Console(highlight=False)
    clock = SystemClock()
    if keep is not None:
        try:
            keep.mkdir(parents=True)
        except FileExistsError as exc:
            raise click.UsageError(f"want a new folder for --keep, got {keep}, which is there already") from exc
        run_demo(console, keep.absolute(), clock)
        return ExitCode.ALLOW
    with tempfile.TemporaryDirectory(prefix="lockgate-demo-") as folder:
        run_demo(console, Path(folder), clock)
    return ExitCode.ALLOW
