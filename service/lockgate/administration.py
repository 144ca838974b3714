"""Who may call, changed and recorded: a principal or token never changes without a record in the audit log."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from lockgate.audit import Actor, AuditLog, Event, Outcome
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock, format_timestamp
from lockgate.identity import NewToken, Principal
from lockgate.identity.store import end_token, write_principal, write_token

PRINCIPAL: Final = "identity.principal"
TOKEN: Final = "identity.token"  # noqa: S105 - a kind of record
IDENTITY_KINDS: Final[Mapping[str, str]] = {PRINCIPAL: "v1/api/principal_change", TOKEN: "v1/api/token_change"}

# Whoever can run commands on the gate's machine: the operating system knows them, the gate does not.
_OPERATOR: Final = Actor(type="system", id="command-line")


class Administration:
    """Changes principals and tokens; the change and its record are one transaction."""

    def __init__(self, log: AuditLog, clock: Clock, draw: Draw = secrets.token_bytes) -> None:
        self._log = log
        self._clock = clock
        self._draw = draw

    def put_principal(self, principal: Principal) -> None:
        """Create a principal, or replace the roles and identities of an existing one.

        The record only commits to the identities, a person's addresses: they lie in attachments, which can be erased.

        Raises:
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()
        identities = [commit("identity", identity, self._draw) for identity in principal.identities]

        def work(connection: Connection) -> Outcome[None]:
            write_principal(connection, principal, now)
            document = {
                "schema_version": 1,
                "subject": principal.subject,
                "type": principal.type,
                "roles": list(principal.roles),
                "identities": sorted(identity.commitment for identity in identities),
                "changed_at": format_timestamp(now),
            }
            event = _event(PRINCIPAL, document, *(identity.document for identity in identities))
            return Outcome(value=None, events=(event,))

        self._log.transact(work)

    def create_token(self, subject: str, lifetime_ns: int) -> NewToken:
        """Make a token that stands for a principal until it expires; its secret is in the answer and nowhere else.

        Args:
            subject: An existing principal's.
            lifetime_ns: How long it lives, in nanoseconds.

        Raises:
            PrincipalUnknownError: There is no such principal.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[NewToken]:
            made = write_token(connection, subject, lifetime_ns, now)
            document = {
                "schema_version": 1,
                "change": "created",
                "token_id": made.token_id,
                "subject": subject,
                "expires_at": format_timestamp(made.expires_ns),
                "changed_at": format_timestamp(now),
            }
            return Outcome(value=made, events=(_event(TOKEN, document),))

        return self._log.transact(work).value

    def revoke_token(self, token_id: str) -> None:
        """End a token now; ending an ended one is recorded again and changes nothing.

        Raises:
            TokenUnknownError: There is no such token.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[None]:
            subject = end_token(connection, token_id, now)
            document = {
                "schema_version": 1,
                "change": "revoked",
                "token_id": token_id,
                "subject": subject,
                "changed_at": format_timestamp(now),
            }
            return Outcome(value=None, events=(_event(TOKEN, document),))

        self._log.transact(work)


def _event(kind: str, body: dict[str, Any], *attachments: bytes) -> Event:
    subject = f"principal:{body['subject']}"
    return Event(id=str(uuid.uuid4()), kind=kind, actor=_OPERATOR, body=body, subject=subject, attachments=attachments)
