"""Principals and tokens in the database."""

import contextlib
import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, or_, select

from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import NS_PER_S, Clock, EpochNs, is_expired
from lockgate.identity.errors import PrincipalUnknownError, TokenUnknownError
from lockgate.identity.types import NewToken, Principal, PrincipalInfo, TokenInfo, parse_roles
from lockgate.identity.vouching import carrying
from lockgate.storage import StorageError, read_transaction, upsert, write_transaction
from lockgate.storage.tables import principal as principal_table
from lockgate.storage.tables import token as token_table

TOKEN_PREFIX: Final = "lgt_"  # noqa: S105 - what secret scanners look for, not a secret
USE_NOTED_NS: Final = 900 * NS_PER_S  # one write for a token in so long, however often it is used
NOTED_MAX: Final = 4096  # tokens whose use is remembered, half a MiB
_SECRET_BYTES: Final = 32  # 256 bits of the system's randomness: a plain hash of it cannot be guessed backwards


class IdentityStore:
    """Reads who may call, and turns an API token into a principal. Who that is, is changed by `administration`."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._noted: dict[str, EpochNs] = {}  # by token, when its use was last to be noted

    def find_principal(self, subject: str) -> PrincipalInfo | None:
        """Return a principal and where it comes from, or None.

        Raises:
            StorageError: The database failed.
        """
        with read_transaction(self._engine) as connection:
            return read_principal_info(connection, subject)

    def list_principals(self) -> tuple[PrincipalInfo, ...]:
        """Return every principal, by subject.

        Raises:
            StorageError: The database failed.
        """
        with read_transaction(self._engine) as connection:
            rows = connection.execute(select(principal_table)).all()
        # Sorted here: databases collate in their own ways.
        return tuple(sorted(map(_principal_info, rows), key=lambda info: info.principal.subject))

    def note_issued(self, principal: Principal, issuer: str, issued: EpochNs) -> None:
        """Note that a token issued then says what is known of its principal, so that no older one changes that.

        Nothing is noted where the principal is known otherwise by now, or from a newer token.

        Raises:
            StorageError: The database failed.
        """
        columns = principal_table.c
        known = [columns[name] == value for name, value in _principal_row(principal, issuer).items()]
        older = or_(columns.issued_ns.is_(None), columns.issued_ns < issued)
        statement = principal_table.update().where(columns.subject == principal.subject, *known, older)
        with write_transaction(self._engine) as connection:
            connection.execute(statement.values(issued_ns=issued))

    def list_tokens(self) -> tuple[TokenInfo, ...]:
        """Return every token ever made, oldest first.

        Raises:
            StorageError: The database failed.
        """
        columns = token_table.c
        with read_transaction(self._engine) as connection:
            rows = connection.execute(select(token_table).order_by(columns.created_ns, columns.id)).all()
        return tuple(map(_token_info, rows))

    def find_token(self, secret: str) -> TokenInfo | None:
        """Return what is known of the token with this secret, also of one that has ended; None if there is none.

        Raises:
            StorageError: The database failed.
        """
        with read_transaction(self._engine) as connection:
            row = connection.execute(select(token_table).where(token_table.c.secret_sha256 == _hash(secret))).first()
        return None if row is None else _token_info(row)

    def authenticate(self, secret: str) -> PrincipalInfo | None:
        """Return whom an API token stands for now, with the roles that it carries, or None.

        Whether the principal's issuer is still believed is for the caller to say.

        The look-up is by the hash of a 256-bit secret, so that its timing tells nothing of use.

        Raises:
            StorageError: The database failed; the caller must not take that for "nobody".
        """
        now = self._clock.now_ns()
        with read_transaction(self._engine) as connection:
            row = connection.execute(select(token_table).where(token_table.c.secret_sha256 == _hash(secret))).first()
            if row is None or row.revoked_ns is not None or is_expired(row.expires_ns, now):
                return None
            info = read_principal_info(connection, row.subject)
        if info is None or info.disabled_ns is not None:
            return None
        self._note_use(row, now)
        scope = _scope(row)
        return info if scope is None else replace(info, principal=carrying(info.principal, scope))

    def _note_use(self, row: Row[Any], now: EpochNs) -> None:
        newest = max(row.used_ns or 0, self._noted.get(row.id, 0))
        if not is_expired(EpochNs(newest + USE_NOTED_NS), now):
            return
        if len(self._noted) >= NOTED_MAX:
            self._noted.clear()  # the database remembers too; only what it could not take is tried once more
        self._noted[row.id] = now
        # A database that can only be read must still answer who may read it.
        with contextlib.suppress(StorageError), write_transaction(self._engine) as connection:
            connection.execute(token_table.update().where(token_table.c.id == row.id).values(used_ns=now))


def write_principal(
    connection: Connection, principal: Principal, now: EpochNs, *, issuer: str = "", issued: EpochNs | None = None
) -> None:
    """Create or replace a principal inside the caller's transaction; one that is disabled stays so.

    Args:
        connection: Of the transaction.
        principal: As it shall be.
        now: The time.
        issuer: Whose tokens say who it is; "" for the command line.
        issued: When the token was issued that says so; None for the command line.
    """
    row = {**_principal_row(principal, issuer), "issued_ns": issued}
    upsert(connection, principal_table, {"subject": principal.subject, "created_ns": now, **row}, row)


def disable_principal(connection: Connection, subject: str, since: EpochNs | None) -> PrincipalInfo:
    """Disable a principal inside the caller's transaction, or enable it again where `since` is None; return it.

    One that is disabled already keeps the time since when.

    Raises:
        PrincipalUnknownError: There is no such principal.
    """
    statement = principal_table.update().where(principal_table.c.subject == subject)
    if since is not None:
        statement = statement.where(principal_table.c.disabled_ns.is_(None))
    connection.execute(statement.values(disabled_ns=since))
    info = read_principal_info(connection, subject)
    if info is None:
        raise PrincipalUnknownError(f"want an existing principal, got {subject[:80]!r}")
    return info


def write_token(
    connection: Connection, subject: str, lifetime_ns: int, now: EpochNs, *, scope: Sequence[str] | None
) -> NewToken:
    """Make a token inside the caller's transaction.

    Raises:
        PrincipalUnknownError: There is no such principal.
        IdentityError: The scope names something that is no role.
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
            scope=None if scope is None else canonicalize(list(parse_roles(scope))).decode(),
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


def end_tokens(connection: Connection, subject: str, now: EpochNs) -> int:
    """End every token of a principal inside the caller's transaction; return how many were live."""
    columns = token_table.c
    statement = token_table.update().where(
        columns.subject == subject, columns.revoked_ns.is_(None), columns.expires_ns > now
    )
    return connection.execute(statement.values(revoked_ns=now)).rowcount


def read_principal(connection: Connection, subject: str) -> Principal | None:
    """Return a principal as it counts now, or None; one that is disabled has no roles.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: Inside the caller's transaction, which names it.
    """
    info = read_principal_info(connection, subject)
    if info is None:
        return None
    return info.principal if info.disabled_ns is None else replace(info.principal, roles=())


def read_principal_info(connection: Connection, subject: str) -> PrincipalInfo | None:
    """Return a principal as it was put, and where it comes from, or None.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: As `read_principal`.
    """
    row = connection.execute(select(principal_table).where(principal_table.c.subject == subject)).first()
    return None if row is None else _principal_info(row)


def _principal_row(principal: Principal, issuer: str) -> dict[str, str]:
    return {
        "type": principal.type,
        "roles": canonicalize(list(principal.roles)).decode(),
        "identities": canonicalize(list(principal.identities)).decode(),
        "issuer": issuer,
    }


def _principal_info(row: Row[Any]) -> PrincipalInfo:
    principal = Principal(
        subject=row.subject,
        type=row.type,
        roles=tuple(parse_canonical(row.roles.encode())),
        identities=tuple(parse_canonical(row.identities.encode())),
    )
    return PrincipalInfo(
        principal=principal,
        created_ns=row.created_ns,
        issuer=row.issuer,
        issued_ns=row.issued_ns,
        disabled_ns=row.disabled_ns,
    )


def _token_info(row: Row[Any]) -> TokenInfo:
    return TokenInfo(
        token_id=row.id,
        subject=row.subject,
        created_ns=row.created_ns,
        expires_ns=row.expires_ns,
        revoked_ns=row.revoked_ns,
        scope=_scope(row),
        used_ns=row.used_ns,
    )


def _scope(row: Row[Any]) -> tuple[str, ...] | None:
    return None if row.scope is None else tuple(parse_canonical(row.scope.encode()))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
