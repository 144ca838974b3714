"""`lockgate deliver`: what a gate does in the background, beside the service."""

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import structlog

from lockgate.background.build import build_jobs
from lockgate.background.worker import Worker
from lockgate.bootstrap import build_services, check_settings, read_accepted
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.config import Settings
from lockgate.instance import Instance
from lockgate.logs import configure_logs
from lockgate.reloading import accept_files

ALIVE: Final = "deliver.alive"  # in the data folder; touched while no job hangs, for a health check to look at
ALIVE_S: Final = 10.0
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@click.command()
@click.option("--once", is_flag=True, help="Do what is due once, and end with 3 if something of it could not be done.")
@settings_options
def deliver(settings: Settings, *, once: bool) -> int:
    """Do what follows decisions, beside the service, until stopped.

    Tells webhooks of events, and does every other job that the settings ask for. One line of JSON on standard error
    for what went wrong. Two of them at once do no harm. SIGHUP reads the policy anew; SIGTERM ends it, with 0, after
    what is under way.

    \b
    Example:
      lockgate deliver
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    configure_logs(settings.log_level, settings.log_format)
    waiting = contextlib.nullcontext() if once else _signals_waiting()
    with tempfile.TemporaryDirectory(prefix="lockgate-") as folder, waiting:
        # Of this process alone: it follows no reload of those that serve, so it has its own.
        instance = Instance(Path(folder), check_settings(settings))
        services = build_services(settings, instance)
        jobs = build_jobs(settings, services)

        def refresh() -> None:
            services.trust.refresh()
            services.reloader.refresh()

        worker = Worker(jobs, refresh)
        if once:
            return ExitCode.ALLOW if worker.run_once() else ExitCode.UNDECIDED
        structlog.get_logger().info("delivering", jobs=[job.name for job in jobs])
        with worker.running():
            while (caught := _wait(worker, settings.data_dir / ALIVE)) is None or caught == signal.SIGHUP:
                if caught is not None:
                    accept_files(instance, lambda: read_accepted(settings))
        return ExitCode.ALLOW


def _wait(worker: Worker, alive: Path) -> int | None:
    """Say that the jobs move, if they do, and wait for a signal; return its number, or None after a while."""
    if stuck := worker.stuck():
        structlog.get_logger().error("jobs_stuck", jobs=stuck)
    else:
        with contextlib.suppress(OSError):  # then whoever looks at it finds an old one
            alive.touch()
    caught = signal.sigtimedwait(_SIGNALS, ALIVE_S)
    return None if caught is None else caught.si_signo


@contextlib.contextmanager
def _signals_waiting() -> Iterator[None]:
    # Signals wait until they are asked for, instead of breaking into what is under way. Threads inherit that.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
