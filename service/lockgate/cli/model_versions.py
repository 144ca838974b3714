"""The client's commands about versions of models; `models.py` puts them under `lockgate model`."""

import uuid
from pathlib import Path
from typing import Any, Final

import click

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.cli.artifact import artifact_digest, digest_given
from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.model_client import ModelClient
from lockgate.cli.model_options import (
    key_option,
    output_option,
    reason_option,
    said,
    show_document,
    show_items,
    tag_option,
)

RUN_BYTES_MAX: Final = 256 * 1024  # what the gate takes


@click.command("add-version")
@click.argument("name")
@click.argument("version")
@click.option("--digest", metavar="sha256:HEX", callback=digest_given, help="The artifact's digest.")
@click.option("--artifact", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The artifact, a file.")
@click.option(
    "--model-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The artifact, a folder."
)
@click.option("--ignore", "ignored", multiple=True, metavar="NAME", help="No part of the model, inside --model-dir.")
@click.option("--source", metavar="URI", help="Where its files are.")
@click.option(
    "--run",
    "run_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What made it, a JSON file: id, code_commit, params, metrics, datasets.",
)
@tag_option
@key_option
@output_option
@connection_options
def add_version(
    *,
    connection: Connection,
    name: str,
    version: str,
    digest: str | None,
    artifact: Path | None,
    model_dir: Path | None,
    ignored: tuple[str, ...],
    source: str | None,
    run_file: Path | None,
    tags: list[dict[str, str]],
    idempotency_key: str | None,
    output: str,
) -> int:
    """Register a version of a model. What is said of it never changes. Recorded.

    Exit codes: 0 registered, 2 usage, 3 not registered, or not known to be.

    \b
    Example:
      lockgate model add-version fraud-detector 1.4.0 --model-dir ./model --run run.json
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    document = {
        "version": version,
        "digest": artifact_digest(digest, artifact, model_dir, bundles=(), ignored=ignored),
        "source": source,
        "run": None if run_file is None else _read_run(run_file),
        "tags": tags,
    }
    key = idempotency_key or str(uuid.uuid4())
    answer = ModelClient(gate=connection.client).create_version(name, said(document), key)
    made = answer["version"]
    return show_document(answer, output, f"REGISTERED {made['id']} {made['digest']}")


@click.command()
@click.argument("name")
@output_option
@connection_options
def versions(*, connection: Connection, name: str, output: str) -> int:
    """List a model's versions, newest first.

    \b
    Example:
      lockgate model versions fraud-detector
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    items, more = ModelClient(gate=connection.client).list_versions(name)
    show_items(
        items,
        output,
        lambda item: (
            f"{item['version']}  {item['digest']}  {item['created_at']}" + ("  retired" if item["retired_at"] else "")
        ),
        more=more,
    )
    return ExitCode.ALLOW


@click.command("retire-version")
@click.argument("name")
@click.argument("version")
@reason_option
@key_option
@output_option
@connection_options
def retire_version(
    *, connection: Connection, name: str, version: str, reason: str | None, idempotency_key: str | None, output: str
) -> int:
    """Retire a version for good: it is shown, as retired. Recorded.

    Exit codes: 0 retired, 2 usage, 3 not retired, or not known to be.

    \b
    Example:
      lockgate model retire-version fraud-detector 1.4.0 --reason "leaks data"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    key = idempotency_key or str(uuid.uuid4())
    answer = ModelClient(gate=connection.client).retire_version(name, version, said({"reason": reason}), key)
    return show_document(answer, output, f"RETIRED {answer['version']['id']}")


def _read_run(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            run: dict[str, Any] = parse_json(stream.read(RUN_BYTES_MAX + 1), bytes_max=RUN_BYTES_MAX)
    except (OSError, MalformedJSONError) as exc:
        raise click.BadParameter(f"want a JSON file that can be read: {exc}", param_hint="--run") from exc
    return run
