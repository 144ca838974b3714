"""The WSGI entry for a server of your choice: `gunicorn 'lockgate.wsgi:application()'`.

`lockgate serve` is the usual way; it starts gunicorn with the settings that were tested.
"""

import atexit
import tempfile
from pathlib import Path

from flask import Flask

from lockgate.bootstrap import build_services, check_settings
from lockgate.config import load_settings
from lockgate.instance import Instance
from lockgate.logs import configure_logs
from lockgate.web.app import create_app
from lockgate.web.limits import limits_of
from lockgate.web.tracing import open_tracing


def application() -> Flask:
    """Make the application from the process's settings.

    Raises:
        LockgateError: A setting, the policy, a trusted root, the database or the log's key is unusable.
    """
    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    # Of this process alone: that server forks as it likes, and its processes follow no reload of each other's.
    folder = tempfile.TemporaryDirectory(prefix="lockgate-")
    atexit.register(folder.cleanup)
    services = build_services(settings, Instance(Path(folder.name), check_settings(settings)))
    services.reloader.begin()
    return create_app(
        services,
        tracing=open_tracing(settings.traces, settings.instance),
        limits=limits_of(settings, workers=1),  # how many processes that server runs is not known here
        https=settings.public_url.startswith("https://"),
    )
