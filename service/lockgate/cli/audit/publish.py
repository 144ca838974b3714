"""`lockgate audit publish`: the log as files that any web server or object store can serve."""

from pathlib import Path

import click

from lockgate.audit.reading.publishing import publish_log
from lockgate.cli.audit.settings import configured_log, log_settings_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.config import Settings
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder; made if it is not there.")
@log_settings_options
def publish(settings: Settings, out: Path) -> int:
    """Add to a folder what the log has become since: tiles (C2SP tlog-tiles), and the checkpoint last.

    Any web server or object store can serve the folder. Run it as often as you like, each minute for example; a tile
    that is there is never written again. Needs the log's public key alone, and is not recorded. The tiles hold the
    records: who may read them is yours to say.

    \b
    Example:
      lockgate audit publish --out /srv/audit/production --log production
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    url, key = configured_log(settings)
    engine = open_engine(url)
    check_schema(engine)
    done = publish_log(engine, key, out)
    click.echo(f"published {done.size} records of {plain(key.name)}: {done.tiles} new tiles", err=True)
    return ExitCode.ALLOW
