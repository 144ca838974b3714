"""Principals and tokens in the database."""

import hashlib
import secrets
import uuid
from typing import Final

from sqlalchemy import Connection, Engine, select

from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import Clock, EpochNs, is_expired
from lockgate.identity.errors import PrincipalUnknownError, TokenUnknownError
from lockgate.identity.types import NewToken, Principal, TokenInfo
from lockgate.storage import read_transaction, upsert, write_transaction
from lockgate.storage.tables import principal as principal_table
from lockgate.storage.tables import token as token_table

TOKEN_PREFIX: Final = "lgt_"  # noqa: S105 - what secret scanners look for, not a secret
_SECRET_BYTES: Final = 32  # 256 bits of the system's randomness: a plain hash of it cannot be guessed backwards


class IdentityStore:
    """Keeps who may call, and turns a bearer token into a principal."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def put_principal(self, principal: Principal) -> None:
        """Create a principal, or replace the roles and identities of an existing one.

        Raises:
            StorageError: The database failed.
        """
        with write_transaction(self._engine) as connection:
            write_principal(connection, principal, self._clock.now_ns())

    def create_token(self, subject: str, lifetime_ns: int) -> NewToken:
        """Make a token that stands for a principal until it expires.

        Args:
            subject: An existing principal's.
            lifetime_ns: How long it lives, in nanoseconds.

        Returns:
            The token with its secret, which is not kept.

        Raises:
            PrincipalUnknownError: There is no such principal.
            StorageError: The database failed.
        """
        with write_transaction(self._engine) as connection:
            return write_token(connection, subject, lifetime_ns, self._clock.now_ns())

    def revoke_token(self, token_id: str) -> None:
        """End a token now; ending an ended one changes nothing.

        Raises:
            TokenUnknownError: There is no such token.
            StorageError: The database failed.
        """
        with write_transaction(self._engine) as connection:
            end_token(connection, token_id, self._clock.now_ns())

    def list_tokens(self) -> tuple[TokenInfo, ...]:
        """Return every token ever made, oldest first.

        Raises:
            StorageError: The database failed.
        """
        columns = token_table.c
        statement = select(columns.id, columns.subject, columns.created_ns, columns.expires_ns, columns.revoked_ns)
        with read_transaction(self._engine) as connection:
            rows = connection.execute(statement.order_by(columns.created_ns, columns.id)).all()
        return tuple(
            TokenInfo(
                token_id=row.id,
                subject=row.subject,
                created_ns=row.created_ns,
                expires_ns=row.expires_ns,
                revoked_ns=row.revoked_ns,
            )
            for row in rows
        )

    def authenticate(self, secret: str) -> Principal | None:
        """Return whom a bearer token stands for now, or None.

        The look-up is by the hash of a 256-bit secret, so that its timing tells nothing of use.

        Raises:
            StorageError: The database failed; the caller must not take that for "nobody".
        """
        statement = select(token_table).where(token_table.c.secret_sha256 == _hash(secret))
        with read_transaction(self._engine) as connection:
            row = connection.execute(statement).first()
            if row is None or row.revoked_ns is not None or is_expired(row.expires_ns, self._clock.now_ns()):
                return None
            return read_principal(connection, row.subject)


def write_principal(connection: Connection, principal: Principal, now: EpochNs) -> None:
    """Create or replace a principal inside the caller's transaction."""
    row = {
        "type": principal.type,
        "roles": canonicalize(list(principal.roles)).decode(),
        "identities": canonicalize(list(principal.identities)).decode(),
    }
    upsert(connection, principal_table, {"subject": principal.subject, "created_ns": now, **row}, row)


def write_token(connection: Connection, subject: str, lifetime_ns: int, now: EpochNs) -> NewToken:
    """Make a token inside the caller's transaction.

    Raises:
        PrincipalUnknownError: There is no such principal.
    """
    if read_principal(connection, subject) is None:
        raise PrincipalUnknownError(f"want an existing principal, got {subject[:80]!r}")
    made = NewToken(
        token_id=str(uuid.uuid4()),
        secret=TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES),
        expires_ns=EpochNs(now + lifetime_ns),
    )
    connection.execute(
        token_table.insert().values(
            id=made.token_id,
            secret_sha256=_hash(made.secret),
            subject=subject,
            created_ns=now,
            expires_ns=made.expires_ns,
        )
    )
    return made


def end_token(connection: Connection, token_id: str, now: EpochNs) -> str:
    """End a token inside the caller's transaction; return whose it was.

    Raises:
        TokenUnknownError: There is no such token.
    """
    row = connection.execute(select(token_table.c.subject).where(token_table.c.id == token_id)).first()
    if row is None:
        raise TokenUnknownError(f"want an existing token id, got {token_id[:40]!r}")
    statement = token_table.update().where(token_table.c.id == token_id, token_table.c.revoked_ns.is_(None))
    connection.execute(statement.values(revoked_ns=now))
    subject: str = row.subject
    return subject


def read_principal(connection: Connection, subject: str) -> Principal | None:
    """Return a principal as it is now, or None.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: Inside the caller's transaction, which names it.
    """
    row = connection.execute(select(principal_table).where(principal_table.c.subject == subject)).first()
    if row is None:
        return None
    return Principal(
        subject=row.subject,
        type=row.type,
        roles=tuple(parse_canonical(row.roles.encode())),
        identities=tuple(parse_canonical(row.identities.encode())),
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
