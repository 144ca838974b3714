"""Principals and tokens."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from lockgate.clock import NS_PER_S
from lockgate.identity import (
    IdentityError,
    IdentityStore,
    Principal,
    PrincipalUnknownError,
    TokenUnknownError,
    parse_principal,
)
from lockgate.storage import open_engine, read_transaction, upgrade_schema
from support.clocks import FixedClock


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
def store(engine: Engine, clock: FixedClock) -> IdentityStore:
    """Give an empty store."""
    return IdentityStore(engine, clock)


def alice(*roles: str) -> Principal:
    """Make alice, with the roles given."""
    return parse_principal(subject="alice", type="user", roles=roles or ["requester"], identities=["a@example.com"])


def test_a_token_stands_for_its_principal(store: IdentityStore) -> None:
    """Whoever holds the secret is the principal, with the roles of now."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    store.put_principal(alice("auditor"))

    assert store.authenticate(token.secret) == alice("auditor")


def test_the_secret_is_not_kept(store: IdentityStore, engine: Engine) -> None:
    """The database holds a hash and nothing from which the secret could be read."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    with read_transaction(engine) as connection:
        row = connection.execute(text("SELECT * FROM token")).one()

    assert token.secret.startswith("lgt_")
    assert not any(token.secret[4:] in str(value) for value in row)


def test_a_token_ends_at_its_expiry_instant(store: IdentityStore, clock: FixedClock) -> None:
    """A token is worth nothing from the instant that it names."""
    store.put_principal(alice())
    token = store.create_token("alice", NS_PER_S)
    clock.advance(NS_PER_S - 1)
    assert store.authenticate(token.secret) is not None
    clock.advance(1)

    assert store.authenticate(token.secret) is None


def test_a_revoked_token_is_nobody(store: IdentityStore) -> None:
    """Revoking ends a token at once, and again without harm."""
    store.put_principal(alice())
    token = store.create_token("alice", 60 * NS_PER_S)
    store.revoke_token(token.token_id)
    store.revoke_token(token.token_id)

    assert store.authenticate(token.secret) is None
    assert store.list_tokens()[0].revoked_ns is not None


def test_an_unknown_secret_is_nobody(store: IdentityStore) -> None:
    """A guess is nobody."""
    assert store.authenticate("lgt_guess") is None


def test_a_token_for_nobody_is_refused(store: IdentityStore) -> None:
    """A token needs a principal."""
    with pytest.raises(PrincipalUnknownError) as caught:
        store.create_token("nobody", NS_PER_S)

    assert caught.value.code == "identity.principal_unknown"
    assert store.list_tokens() == ()


def test_revoking_an_unknown_token_is_refused(store: IdentityStore) -> None:
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
