"""Who is told of events: the `[[webhook]]` tables of the settings, and the secrets that sign what is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import read_tables
from lockgate.delivery.errors import SecretInvalidError, WebhookInvalidError
from lockgate.delivery.events import EVENT_TYPES
from lockgate.delivery.standard_webhooks import parse_secret
from lockgate.outbound_urls import find_url_fault

Format: TypeAlias = Literal["cloudevents", "cdevents"]

WEBHOOKS_MAX: Final = 32  # each has a thread of its own, so that none waits for another


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody who is told of events.

    Attributes:
        name: What deliveries call it; it belongs to them for good.
        url: Where events are posted.
        secret_file: Holds the secret that signs them; see `read_secrets`.
        former_secret_file: The secret of before, which signs too while the receiver changes over.
        ca_file: Certificate authorities to trust instead of the usual ones.
        events: The types that it is told of; empty for all.
        format: How they are written.
        public_only: Whether its address must be one of the public internet.
    """

    name: str
    url: str
    secret_file: Path
    former_secret_file: Path | None
    ca_file: Path | None
    events: frozenset[str]
    format: Format
    public_only: bool
    disabled: bool

    def read_secrets(self) -> tuple[bytes, ...]:
        """Return the secrets as their files hold them now, the current one first.

        Raises:
            SecretInvalidError: One of them cannot be used.
        """
        files = [file for file in (self.secret_file, self.former_secret_file) if file is not None]
        try:
            return tuple(parse_secret(read_secret(file)) for file in files)
        except (UnusableValueError, SecretInvalidError) as exc:
            raise SecretInvalidError(f"webhook {self.name}: {exc}") from exc


def parse_webhooks(
    tables: Sequence[Mapping[str, Any]], folder: Path = Path(), *, secrets: bool = True
) -> tuple[Webhook, ...]:
    """Read the `[[webhook]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.
        secrets: Whether to see that the secrets can be used; a process that sends nothing need not be able to.

    Raises:
        WebhookInvalidError: One of them cannot be used; it says which part and why.
    """
    webhooks = read_tables(
        tables,
        "webhook",
        at_most=WEBHOOKS_MAX,
        error=WebhookInvalidError,
        read=lambda table, path: _read_webhook(table, path, folder),
    )
    if secrets:
        for index, webhook in enumerate(webhooks):
            _check_secrets(webhook, f"webhook[{index}]")
    return webhooks


def _read_webhook(table: Mapping[str, Any], path: str, folder: Path) -> Webhook:
    if fault := find_url_fault(table["url"]):
        raise WebhookInvalidError(fault, f"{path}.url")
    public_only: bool = table.get("public_only", True)
    if urlsplit(table["url"]).scheme == "http" and public_only:
        raise WebhookInvalidError("want false for a url of this machine: it is not public", f"{path}.public_only")
    for number, name in enumerate(table.get("events", ())):
        if name not in EVENT_TYPES:
            raise WebhookInvalidError("want a type of event of docs/formats/events.md", f"{path}.events[{number}]")
    return Webhook(
        name=table["name"],
        url=table["url"],
        secret_file=folder / table["secret_file"],
        former_secret_file=folder / table["former_secret_file"] if "former_secret_file" in table else None,
        ca_file=folder / table["ca_file"] if "ca_file" in table else None,
        events=frozenset(table.get("events", ())),
        format=table.get("format", "cloudevents"),
        public_only=public_only,
        disabled=table.get("disabled", False),
    )


def _check_secrets(webhook: Webhook, path: str) -> None:
    try:
        webhook.read_secrets()
    except SecretInvalidError as exc:
        raise WebhookInvalidError(str(exc), f"{path}.secret_file") from exc
