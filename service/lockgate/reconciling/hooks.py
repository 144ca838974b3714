"""Webhooks of an MLflow: whose they are, and whether they came before. A hint, never data: nobody reads the body.

    X-MLflow-Delivery-Id: 7f0c…         the same each time that it is sent
    X-MLflow-Timestamp: 1763884800      seconds since the epoch
    X-MLflow-Signature: v1,K5oZ…        HMAC-SHA256 over "<id>.<timestamp>." and the body, in base64

Source: MLflow 3.17.2, as seen on the wire; MLflow's documentation, "Webhooks".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from lockgate.clock import NS_PER_S, Clock
from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.digests import sha256_hex
from lockgate.reconciling import store
from lockgate.reconciling.errors import HookStaleError, HookUnauthenticatedError, HookUnusableError
from lockgate.reconciling.reconciler import hint_source
from lockgate.registry import RegistrySettings
from lockgate.storage import write_transaction

SKEW_S_MAX: Final = 300  # between MLflow's clock and ours; MLflow tries for ten seconds
_ID: Final = re.compile(r"[!-~]{1,200}", re.ASCII)
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class Hints:
    """Takes webhooks. Safe to share between threads."""

    def __init__(self, registries: Iterable[RegistrySettings], *, database: Engine, clock: Clock) -> None:
        self._registries = {registry.name: registry for registry in registries}
        self._database = database
        self._clock = clock

    def take(self, registry: str, body: bytes, *, delivery_id: str, timestamp: str, signature: str) -> bool:
        """Let the next look at a registry come now; tell whether this was not taken before.

        The steps:
          (1) It is signed with one of the registry's secrets; compared in constant time.
          (2) It was signed just now.
          (3) It did not come before. The mark that says so is what the job looks for (`ReconcileJob`).

        Args:
            registry: Its name in the settings, as the path has it.
            body: Exactly as it came; it is signed, and not read.
            delivery_id: The header of this name; "" where there is none, as of the next two.
            timestamp: Likewise.
            signature: Likewise.

        Raises:
            HookUnauthenticatedError: There is no such registry, it has no secret here, or the signature is another.
            HookStaleError: It was signed more than `SKEW_S_MAX` seconds ago, or from now.
            HookUnusableError: The secret's file cannot be read at the moment.
            StorageError: The database failed.
        """
        # (1) The signature.
        if not _is_signed(self._secrets(registry), delivery_id, timestamp, signature, body):
            raise HookUnauthenticatedError("want a registry that sends webhooks, and a signature with its secret")
        # (2) The time.
        now = self._clock.now_ns()
        if not _TIMESTAMP.fullmatch(timestamp) or abs(now // NS_PER_S - int(timestamp)) > SKEW_S_MAX:
            raise HookStaleError(f"want a time within {SKEW_S_MAX} s of ours")
        # (3) The mark. An id that cannot be one is refused above: it is signed, so MLflow itself would have to send it.
        with write_transaction(self._database) as connection:
            return store.add_mark(connection, hint_source(registry), delivery_id, now)

    def _secrets(self, name: str) -> tuple[str, ...]:
        registry = self._registries.get(name)
        if registry is None or registry.webhook_secret_file is None:
            return ()
        files: tuple[Path | None, ...] = (registry.webhook_secret_file, registry.webhook_former_secret_file)
        try:
            return tuple(read_secret(file) for file in files if file is not None)
        except UnusableValueError as exc:
            raise HookUnusableError(f"registry {name}: {exc}") from exc


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a webhook."""
    message = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()


def _is_signed(secrets: Iterable[str], delivery_id: str, timestamp: str, signature: str, body: bytes) -> bool:
    if not _ID.fullmatch(delivery_id) or not timestamp.isascii():
        return False
    shown = sha256_hex(signature.encode())  # digests, so that lengths show in no time either
    matches = [
        hmac.compare_digest(sha256_hex(sign(one, delivery_id, timestamp, body).encode()), shown) for one in secrets
    ]
    return any(matches)
