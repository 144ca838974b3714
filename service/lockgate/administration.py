"""Who may call, changed and recorded: a principal or token never changes without a record in the audit log."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from lockgate.audit import Actor, AuditLog, Event, Outcome
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock, EpochNs, format_timestamp
from lockgate.identity import NewToken, Principal, PrincipalInfo, PrincipalTakenError
from lockgate.identity.store import (
    disable_principal,
    end_token,
    end_tokens,
    read_principal_info,
    write_principal,
    write_token,
)

PRINCIPAL: Final = "identity.principal"
TOKEN: Final = "identity.token"  # noqa: S105 - a kind of record
IDENTITY_KINDS: Final[Mapping[str, str]] = {PRINCIPAL: "v1/api/principal_change", TOKEN: "v1/api/token_change"}

# Whoever can run commands on the gate's machine: the operating system knows them, the gate does not.
COMMAND_LINE: Final = "command-line"
_OPERATOR: Final = Actor(type="system", id=COMMAND_LINE)


class _UnchangedError(Exception):
    """A principal is as it should be, or not this issuer's to change: there is nothing to write."""

    def __init__(self, info: PrincipalInfo) -> None:
        super().__init__()
        self.info = info


class Administration:
    """Changes principals and tokens; the change and its record are one transaction."""

    def __init__(self, log: AuditLog, clock: Clock, draw: Draw = secrets.token_bytes) -> None:
        self._log = log
        self._clock = clock
        self._draw = draw

    def put_principal(self, principal: Principal, issuer: str | None = None) -> None:
        """Create a principal, or replace the roles and identities of an existing one.

        The record only commits to the identities, a person's addresses: they lie in attachments, which can be erased.
        Where the issuer changes, all tokens of the principal end: whoever holds them may be somebody else than whom the
        other issuer means.

        Args:
            principal: As it shall be.
            issuer: Whose tokens say who it is from now on, "" for nobody's; None leaves that as it is, which an
                issuer's principal does not allow.

        Raises:
            PrincipalTakenError: It is an issuer's, and nobody said that it shall not be.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[None]:
            before = read_principal_info(connection, principal.subject)
            if issuer is None and before is not None and before.issuer:
                raise PrincipalTakenError(
                    f"the tokens of the issuer {before.issuer} say who {principal.subject} is; disable it, or take it "
                    "over with 'lockgate principal put --issuer'"
                )
            write_principal(connection, principal, now, issuer=issuer or "")
            handed_over = before is not None and before.issuer != (issuer or "")
            ended = end_tokens(connection, principal.subject, now) if handed_over else 0
            return Outcome(value=None, events=(self._put_event(principal, issuer or "", _OPERATOR, now, ended=ended),))

        self._log.transact(work)

    def admit_principal(self, principal: Principal, issuer: str, issued: EpochNs) -> PrincipalInfo:
        """Take over what a verified token says of its principal, where that is new, and record it.

        Nothing is changed where the principal is another's, is disabled, or was put from a token that is newer.

        Args:
            principal: As the issuer's rules make it of the token's claims.
            issuer: The issuer's name.
            issued: When the token was issued.

        Returns:
            The principal as it is then.

        Raises:
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[PrincipalInfo]:
            before = read_principal_info(connection, principal.subject)
            if before is not None and not is_news(before, principal, issuer, issued):
                raise _UnchangedError(before)
            write_principal(connection, principal, now, issuer=issuer, issued=issued)
            after = read_principal_info(connection, principal.subject)
            if after is None:
                raise AssertionError("a row that was just written is there")
            actor = Actor(type="system", id=f"issuer:{issuer}")
            return Outcome(value=after, events=(self._put_event(principal, issuer, actor, now),))

        try:
            return self._log.transact(work).value
        except _UnchangedError as exc:
            return exc.info

    def disable_principal(self, subject: str) -> None:
        """Let a principal do nothing from now on, whatever tokens say; what it approved counts no longer.

        Raises:
            PrincipalUnknownError: There is no such principal.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        self._change_state(subject, "disabled")

    def enable_principal(self, subject: str) -> None:
        """Let a principal act again, with the roles that it had.

        Raises:
            PrincipalUnknownError: There is no such principal.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        self._change_state(subject, "enabled")

    def create_token(
        self, subject: str, lifetime_ns: int, scope: Sequence[str] | None = None, actor: Actor = _OPERATOR
    ) -> NewToken:
        """Make a token that stands for a principal until it expires; its secret is in the answer and nowhere else.

        Args:
            subject: An existing principal's.
            lifetime_ns: How long it lives, in nanoseconds.
            scope: The roles that it carries, as far as its principal holds them; None: all of them.
            actor: Who makes it; whoever runs commands on the gate's machine if not told otherwise.

        Raises:
            PrincipalUnknownError: There is no such principal.
            IdentityError: The scope names something that is no role.
            AuditError: The change could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[NewToken]:
            made = write_token(connection, subject, lifetime_ns, now, scope=scope)
            document = {
                "schema_version": 1,
                "change": "created",
                "token_id": made.token_id,
                "subject": subject,
                "scope": None if scope is None else sorted(set(scope)),
                "expires_at": format_timestamp(made.expires_ns),
                "changed_at": format_timestamp(now),
            }
            return Outcome(value=made, events=(_event(TOKEN, document, actor),))

        return self._log.transact(work).value

    def revoke_token(self, token_id: str, actor: Actor = _OPERATOR) -> None:
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
            return Outcome(value=None, events=(_event(TOKEN, document, actor),))

        self._log.transact(work)

    def _change_state(self, subject: str, change: str) -> None:
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[None]:
            info = disable_principal(connection, subject, now if change == "disabled" else None)
            document = {
                "schema_version": 1,
                "change": change,
                "subject": subject,
                "issuer": info.issuer,
                "changed_at": format_timestamp(now),
            }
            return Outcome(value=None, events=(_event(PRINCIPAL, document, _OPERATOR),))

        self._log.transact(work)

    def _put_event(self, principal: Principal, issuer: str, actor: Actor, now: EpochNs, *, ended: int = 0) -> Event:
        identities = [commit("identity", identity, self._draw) for identity in principal.identities]
        document = {
            "schema_version": 1,
            "change": "put",
            "subject": principal.subject,
            "issuer": issuer,
            "type": principal.type,
            "roles": list(principal.roles),
            "identities": sorted(identity.commitment for identity in identities),
            "tokens_ended": ended,
            "changed_at": format_timestamp(now),
        }
        return _event(PRINCIPAL, document, actor, *(identity.document for identity in identities))


def is_news(before: PrincipalInfo, principal: Principal, issuer: str, issued: EpochNs) -> bool:
    """Tell whether a token says of its principal what is not known yet, and may say so.

    Args:
        before: The principal as it is.
        principal: As the token makes it.
        issuer: Of the token.
        issued: When the token was issued. An older one brings no roles back that a newer one no longer has.
    """
    if before.issuer != issuer or before.disabled_ns is not None or before.principal == principal:
        return False
    if before.issued_ns == issued:
        # Nobody knows which of them came later. One of them stays, or two tokens at work would write at every call.
        return _precedence(principal) < _precedence(before.principal)
    return before.issued_ns is None or before.issued_ns < issued


def _precedence(principal: Principal) -> tuple[int, int, tuple[str, ...], tuple[str, ...], str]:
    # What permits less goes first: fewer roles, then more identities, whose owner does not approve their artifacts.
    roles, identities = principal.roles, principal.identities
    return len(roles), -len(identities), roles, identities, principal.type


def is_confirmed(before: PrincipalInfo, principal: Principal, issuer: str, issued: EpochNs) -> bool:
    """Tell whether a token says of its principal what is known already, but later than it was known; as `is_news`."""
    same = before.issuer == issuer and before.disabled_ns is None and before.principal == principal
    return same and (before.issued_ns is None or before.issued_ns < issued)


def _event(kind: str, body: dict[str, Any], actor: Actor, *attachments: bytes) -> Event:
    subject = f"principal:{body['subject']}"
    return Event(id=str(uuid.uuid4()), kind=kind, actor=actor, body=body, subject=subject, attachments=attachments)
