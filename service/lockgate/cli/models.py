"""The client's commands about models: register, change, list, show, retire."""

import base64
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lockgate.cli.connection import Connection, connection_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.model_client import ModelClient
from lockgate.cli.model_options import (
    fields_text,
    key_option,
    output_option,
    reason_option,
    said,
    show_document,
    show_items,
    tag_option,
)
from lockgate.cli.model_versions import add_version, retire_version, versions
from lockgate.registry.documents import BOM_BYTES_MAX

R = TypeVar("R")

_file: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def metadata_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say something of a model."""
    options = (
        click.option("--tier", help="As the team declares it; the gate goes by the policy's."),
        click.option("--purpose", help="What it is for."),
        tag_option,
        click.option("--card", type=_file, help="The model card, a JSON file."),
        click.option("--bom", type=_file, help="The ML-BOM, a CycloneDX 1.5 or 1.6 JSON file."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def model() -> None:
    """Register models and versions, list and retire them; nothing is ever deleted."""


for _command in (add_version, versions, retire_version):
    model.add_command(_command)


@model.command()
@click.argument("name")
@click.option("--owner", required=True, metavar="TEAM", help="The team that answers for it.")
@metadata_options
@click.option("--registry", help="Where its versions live, by the gate's settings; the built-in registry if not said.")
@click.option("--registry-model", metavar="NAME", help="Its name there; the same if not said.")
@key_option
@output_option
@connection_options
def create(
    *,
    connection: Connection,
    name: str,
    owner: str,
    tier: str | None,
    purpose: str | None,
    tags: list[dict[str, str]],
    card: Path | None,
    bom: Path | None,
    registry: str | None,
    registry_model: str | None,
    idempotency_key: str | None,
    output: str,
) -> int:
    """Register a model under the name by which promotions call it. Recorded.

    Exit codes: 0 registered, 2 usage, 3 not registered, or not known to be.

    \b
    Example:
      lockgate model create fraud-detector --owner payments-ml --card card.json --tag domain=payments
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    document = {
        "name": name,
        "registry": registry,
        "registry_model": registry_model,
        "owner": owner,
        "tier": tier,
        "purpose": purpose,
        "tags": tags,
        "card": _handed_in(card),
        "bom": _handed_in(bom),
    }
    answer = ModelClient(gate=connection.client).create_model(said(document), idempotency_key or str(uuid.uuid4()))
    return show_document(answer, output, f"REGISTERED {answer['model']['id']} as {answer['model']['name']}")


@model.command("list")
@click.option("--owner", metavar="TEAM", help="Only of this team.")
@click.option("--tier", help="Only of this tier, as declared.")
@click.option("--registry", help="Only of this registry; also what is there and nobody registered.")
@click.option("--retired/--active", default=None, help="Only those that are retired, or only the others.")
@output_option
@connection_options
def list_(
    *,
    connection: Connection,
    owner: str | None,
    tier: str | None,
    registry: str | None,
    retired: bool | None,
    output: str,
) -> int:
    """List models, one on a line.

    \b
    Example:
      lockgate model list --registry mlflow
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    wanted = {
        "owner": owner,
        "tier": tier,
        "registry": registry,
        "retired": None if retired is None else str(retired).lower(),
    }
    items, more = ModelClient(gate=connection.client).list_models(wanted)
    show_items(items, output, _model_line, more=more)
    return ExitCode.ALLOW


@model.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--pointers", is_flag=True, help="Ask its registry where its aliases point now.")
@output_option
@connection_options
def show(*, connection: Connection, name: str, version: str | None, pointers: bool, output: str) -> int:
    """Show a model; or one version of it, with its promotions and when it was live.

    \b
    Example:
      lockgate model show fraud-detector 1.4.0
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    client = ModelClient(gate=connection.client)
    if version is None:
        found = client.read_model(name, pointers=pointers)
        return show_document(found, output, fields_text(found))
    if pointers:
        raise click.UsageError("want --pointers for a model, not for a version")
    history = client.read_version(name, version)
    stages = [
        f"{stage['created_at']}  {stage['kind']} {stage['from']} to {stage['to']}  {stage['state']}  {stage['id']}"
        for stage in history["promotions"]
    ]
    live = [
        f"{one['from']}  live in {one['environment']} until {one['to'] or 'now'}  {one['promotion_id']}"
        for one in history["live"]
    ]
    return show_document(history, output, "\n".join([fields_text(history["version"]), *stages, *live]))


@model.command()
@click.argument("name")
@click.option("--owner", metavar="TEAM", help="The team that answers for it.")
@metadata_options
@output_option
@connection_options
def update(
    *,
    connection: Connection,
    name: str,
    owner: str | None,
    tier: str | None,
    purpose: str | None,
    tags: list[dict[str, str]],
    card: Path | None,
    bom: Path | None,
    output: str,
) -> int:
    """Say something else of a model; what is not given stays as it is. Recorded.

    With --tag, the tags given are all that it has from then on. If somebody else changes the model at the same moment,
    nothing is changed.

    Exit codes: 0 changed, 2 usage, 3 not changed, or not known to be.

    \b
    Example:
      lockgate model update fraud-detector --owner fraud-ml --bom bom.json
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    client = ModelClient(gate=connection.client)
    before = client.read_model(name)
    document = {
        "owner": before["owner"] if owner is None else owner,
        "tier": before["tier"] if tier is None else tier,
        "purpose": before["purpose"] if purpose is None else purpose,
        "tags": tags or before["tags"],
        "card": _handed_in(card) or _kept(before["card"]),
        "bom": _handed_in(bom) or _kept(before["bom"]),
    }
    answer = client.update_model(name, said(document), before["row_version"])
    after = answer["model"]
    return show_document(answer, output, f"CHANGED {after['name']}, row version {after['row_version']}")


@model.command()
@click.argument("name")
@reason_option
@key_option
@output_option
@connection_options
def retire(*, connection: Connection, name: str, reason: str | None, idempotency_key: str | None, output: str) -> int:
    """Retire a model for good: it is shown, but not changed any more, and has no new versions. Recorded.

    Exit codes: 0 retired, 2 usage, 3 not retired, or not known to be.

    \b
    Example:
      lockgate model retire fraud-detector --reason "replaced by fraud-2"
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    key = idempotency_key or str(uuid.uuid4())
    answer = ModelClient(gate=connection.client).retire_model(name, said({"reason": reason}), key)
    return show_document(answer, output, f"RETIRED {answer['model']['name']}")


def _handed_in(file: Path | None) -> dict[str, str] | None:
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            document = stream.read(BOM_BYTES_MAX + 1)
    except OSError as exc:
        raise click.UsageError(f"cannot read {file}: {exc.strerror}") from exc
    if len(document) > BOM_BYTES_MAX:
        raise click.UsageError(f"want at most {BOM_BYTES_MAX} bytes in {file}")
    return {"document": base64.b64encode(document).decode()}


def _kept(digest: str) -> dict[str, str] | None:
    return {"digest": digest} if digest else None


def _model_line(item: Mapping[str, Any]) -> str:
    name = item["name"] or "(not registered)"
    return f"{name}  {item['id']}  {item['owner']}  {item['tier']}" + ("  retired" if item["retired_at"] else "")
