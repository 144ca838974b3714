"""Principals and tokens."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from lockgate.clock import NS_PER_S
from lockgate.identity import (
    IdentityError,
    IdentityStore,
    Principal,
    PrincipalUnknownError,
    TokenUnknownError,
    parse_principal,
)
from lockgate.identity.store import (
    NOTED_MAX,
    USE_NOTED_NS,
    disable_principal,
    read_principal,
    write_principal,
    write_token,
)
from lockgate.storage import open_engine, read_transaction, upgrade_schema, write_transaction
from support.clocks import FixedClock
from support.identities import UnrecordedIdentities


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Give a migrated database."""
    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    upgrade_schema(engine)
    return engine


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture
def store(engine: Engine, clock: FixedClock) -> UnrecordedIdentities:
    """Give an empty store."""
    return UnrecordedIdentities(engine, clock)


def alice(*roles: str) -> Principal:
    """Make alice, with the roles given."""
    return parse_principal(subject="alice", type="user", roles=roles or ["requester"], identities=["a@example.com"])


def holder(store: IdentityStore, secret: str) -> Principal | None:
    """Return whom a token stands for."""
    info = store.authenticate(secret)
    return None if info is None else info.principal


def test_the_store_changes_nobody() -> None:
    """Whoever may call is changed through the administration, which records it; the store has no way around it."""
    ways = {name for name in vars(IdentityStore) if not name.startswith("_")}

    assert ways == {
        "authenticate",
        "find_principal",
        "find_token",
        "list_principals",
        "list_tokens",
        "note_issued",
    }


def test_a_token_stands_for_its_principal(store: UnrecordedIdentities) -> None:
    """Whoever holds the secret is the principal, with the roles of now."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    store.put_principal(alice("auditor"))

    assert holder(store, token.secret) == alice("auditor")


def test_the_secret_is_not_kept(store: UnrecordedIdentities, engine: Engine) -> None:
    """The database holds a hash and nothing from which the secret could be read."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    with read_transaction(engine) as connection:
        row = connection.execute(text("SELECT * FROM token")).one()

    assert token.secret.startswith("lgt_")
    assert not any(token.secret[4:] in str(value) for value in row)


def test_a_token_ends_at_its_expiry_instant(store: UnrecordedIdentities, clock: FixedClock) -> None:
    """A token is worth nothing from the instant that it names."""
    store.put_principal(alice())
    token = store.create_token("alice", NS_PER_S)
    clock.advance(NS_PER_S - 1)
    assert store.authenticate(token.secret) is not None
    clock.advance(1)

    assert store.authenticate(token.secret) is None


def test_a_revoked_token_is_nobody(store: UnrecordedIdentities) -> None:
    """Revoking ends a token at once, and again without harm."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    store.revoke_token(token.token_id)
    store.revoke_token(token.token_id)

    assert store.authenticate(token.secret) is None
    assert store.list_tokens()[0].revoked_ns is not None


def carried(engine: Engine, clock: FixedClock, scope: list[str]) -> tuple[str, ...] | None:
    """Return the roles that a new token of alice, requester and operator, carries; None if it is nobody's."""
    with write_transaction(engine) as connection:
        write_principal(connection, alice("requester", "operator"), clock.now_ns())
        made = write_token(connection, "alice", 60 * NS_PER_S, clock.now_ns(), scope=scope)
    found = holder(IdentityStore(engine, clock), made.secret)
    return found.roles if found is not None else None


@pytest.mark.parametrize(
    ("scope", "roles"),
    [
        (["requester"], ("requester",)),
        (["requester", "auditor"], ("requester",)),
        (["auditor"], ()),
        ([], ()),
        (["operator", "requester", "operator"], ("operator", "requester")),
    ],
)
def test_a_token_carries_what_its_scope_and_its_principal_share(
    engine: Engine, clock: FixedClock, scope: list[str], roles: tuple[str, ...]
) -> None:
    """A scope narrows; it never gives a role that the principal does not hold."""
    assert carried(engine, clock, scope) == roles


def test_a_scope_of_something_else_is_refused(engine: Engine, clock: FixedClock) -> None:
    """A scope names roles."""
    with pytest.raises(IdentityError) as caught:
        carried(engine, clock, ["root"])

    assert caught.value.code == "identity.invalid"


def test_a_disabled_principal_is_nobody(store: UnrecordedIdentities, engine: Engine, clock: FixedClock) -> None:
    """Its tokens are nobody's, and whoever reads it finds no role; what it had is kept for later."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    with write_transaction(engine) as connection:
        disable_principal(connection, "alice", clock.now_ns())
    with read_transaction(engine) as connection:
        counted = read_principal(connection, "alice")

    assert store.authenticate(token.secret) is None
    assert counted == replace(alice(), roles=())
    info = store.find_principal("alice")
    assert info is not None
    assert (info.principal, info.disabled_ns) == (alice(), clock.now_ns())


def test_the_last_use_is_noted_to_a_quarter_of_an_hour(store: UnrecordedIdentities, clock: FixedClock) -> None:
    """A token that is used all the time costs four writes an hour."""
    store.put_principal(alice())
    token = store.create_token("alice", 7200 * NS_PER_S)
    assert store.list_tokens()[0].used_ns is None
    seen = []
    for _ in range(4):
        store.authenticate(token.secret)
        seen.append(store.list_tokens()[0].used_ns or 0)
        clock.advance(USE_NOTED_NS // 2)

    assert [used - seen[0] for used in seen] == [0, 0, USE_NOTED_NS, USE_NOTED_NS]


def test_a_database_that_cannot_be_written_still_says_who_asks(tmp_path: Path, clock: FixedClock) -> None:
    """A use that cannot be noted is not, and is not tried at each call."""
    path = tmp_path / "lockgate.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade_schema(engine)
    store = UnrecordedIdentities(engine, clock)
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    tried: list[str] = []
    with write_transaction(engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE UPDATE ON token BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    event.listen(engine, "before_cursor_execute", lambda *given: tried.append(given[2]))

    assert [holder(store, token.secret) for _ in range(3)] == [alice()] * 3
    assert len([statement for statement in tried if statement.startswith("UPDATE")]) == 1
    assert store.list_tokens()[0].used_ns is None


def test_uses_do_not_fill_the_memory(store: UnrecordedIdentities, clock: FixedClock) -> None:
    """However many tokens there were, as many are remembered as the limit says, and each use is still noted."""
    store.put_principal(alice())
    store._noted = {str(number): clock.now_ns() for number in range(NOTED_MAX)}
    token = store.create_token("alice", 60 * NS_PER_S)
    store.authenticate(token.secret)

    assert list(store._noted) == [token.token_id]
    assert store.list_tokens()[0].used_ns == clock.now_ns()


def test_an_unknown_secret_is_nobody(store: UnrecordedIdentities) -> None:
    """A guess is nobody."""
    assert store.authenticate("lgt_guess") is None


def test_a_token_for_nobody_is_refused(store: UnrecordedIdentities) -> None:
    """A token needs a principal."""
    with pytest.raises(PrincipalUnknownError) as caught:
        store.create_token("nobody", NS_PER_S)

    assert caught.value.code == "identity.principal_unknown"
    assert store.list_tokens() == ()


def test_revoking_an_unknown_token_is_refused(store: UnrecordedIdentities) -> None:
    """A mistyped id is told, not swallowed."""
    with pytest.raises(TokenUnknownError) as caught:
        store.revoke_token("0" * 36)

    assert caught.value.code == "identity.token_unknown"


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("subject", ""),
        ("subject", "a b"),
        ("subject", "a" * 256),
        ("subject", "alice\n"),
        ("type", "robot"),
        ("roles", ["root"]),
        ("roles", ["approver:"]),
        ("roles", ["approver:ML"]),
        ("roles", ["approver:" + "r" * 56]),
        ("roles", ["recorder:"]),
        ("roles", ["recorder:Access"]),
        ("roles", ["recorder:access."]),
        ("roles", ["recorder:*"]),
        ("roles", ["recorder:" + "r" * 56]),
        ("roles", [f"approver:r{number}" for number in range(33)]),
        ("identities", [""]),
        ("identities", ["x" * 1025]),
        ("identities", ["a\nb"]),
        ("identities", [f"i{number}" for number in range(17)]),
    ],
)
def test_an_unusable_principal_is_refused(change: str, value: object) -> None:
    """Each part has a form, and is refused by name outside it."""
    parts: dict[str, object] = {"subject": "alice", "type": "user", "roles": [], "identities": []}
    with pytest.raises(IdentityError) as caught:
        parse_principal(**{**parts, change: value})  # type: ignore[arg-type]

    assert caught.value.code == "identity.invalid"
