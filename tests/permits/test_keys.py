"""The permit key: its file, its public form, and what it signs, byte for byte as specified."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt import PyJWS

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.permits import (
    LIVE_TYP,
    Permit,
    PermitKey,
    PermitKeyInvalidError,
    create_permit_key,
    find_permit_key,
)

VECTORS = json.loads(  # noqa: TID251 - a file of ours
    (Path(__file__).parents[2] / "docs/formats/vectors/permits.json").read_bytes()
)
ISSUED = EpochNs(1_790_000_000 * NS_PER_S)
SPECIFIED = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # of the vectors


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a JWS' header and claims, unverified."""
    parts = PyJWS().decode_complete(token, options={"verify_signature": False})
    claims: dict[str, Any] = json.loads(parts["payload"])  # noqa: TID251 - of our own making
    return parts["header"], claims


def permit_of_the_vectors(**changes: Any) -> Permit:
    """Make the permit that the vectors begin with."""
    facts: dict[str, Any] = {
        "id": "0199b5a2-7c00-7000-8000-000000000001",
        "issuer": "gate.example/audit",
        "audience": "models",
        "issued": ISSUED,
        "expires": EpochNs(ISSUED + 60 * NS_PER_S),
        "promotion": "0199b5a2-7c00-7000-8000-000000000002",
        "registry": "models",
        "registry_model": "fraud detector",
        "alias": "champion",
        "version": "7",
        "digest": "sha256:9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
        "environment": "production",
    }
    return Permit(**{**facts, **changes})


def test_a_permit_is_as_specified() -> None:
    """The same key and facts give the vectors' first permit, and their key set, byte for byte."""
    key = PermitKey(SPECIFIED)
    specified = next(case for case in VECTORS["valid"] if case["name"] == "as it is made")

    assert key.sign_permit(permit_of_the_vectors()) == specified["token"]
    assert key.jwks()["keys"][0] == VECTORS["keys"][0]


def test_a_permit_holds_for_a_second_at_least() -> None:
    """A promotion about to expire gets a permit that whoever verifies takes for well-formed."""
    token = PermitKey(SPECIFIED).sign_permit(permit_of_the_vectors(expires=EpochNs(ISSUED + 1)))

    assert read(token)[1]["exp"] == read(token)[1]["iat"] + 1


def test_an_answer_is_no_permit() -> None:
    """What is signed about what is live says so in its header, holds the nonce and ends after a minute."""
    token = PermitKey(SPECIFIED).sign_live({"model": "m"}, issuer="gate.example/audit", nonce="n-1", issued=ISSUED)
    header, claims = read(token)

    assert header["typ"] == LIVE_TYP
    assert (claims["nonce"], claims["exp"] - claims["iat"], claims["model"]) == ("n-1", 60, "m")


def test_a_key_comes_back_from_its_file(tmp_path: Path) -> None:
    """The file is its owner's alone, and the key read from it signs as the one that was made."""
    path = tmp_path / "permit.key"
    made = create_permit_key(path)
    found = find_permit_key(path)

    assert found is not None
    assert found.thumbprint == made.thumbprint
    assert path.stat().st_mode & 0o777 == 0o600
    public = Ed25519PublicKey.from_public_bytes(
        PyJWS().get_algorithm_by_name("EdDSA").from_jwk(found.jwks()["keys"][0]).public_bytes_raw()
    )
    token = found.sign_permit(permit_of_the_vectors())
    assert PyJWS().decode(token, public, algorithms=["EdDSA"])


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    """Making a key where one is refuses, and leaves it and nothing else."""
    path = tmp_path / "permit.key"
    before = create_permit_key(path)
    with pytest.raises(PermitKeyInvalidError):
        create_permit_key(path)
    found = find_permit_key(path)

    assert found is not None
    assert found.thumbprint == before.thumbprint
    assert [each.name for each in tmp_path.iterdir()] == ["permit.key"]


def test_no_file_is_no_key(tmp_path: Path) -> None:
    """A gate without a permit key is a gate without permits, not a broken one."""
    assert find_permit_key(tmp_path / "permit.key") is None


def test_what_is_no_permit_key_is_refused(tmp_path: Path) -> None:
    """Nonsense, another kind of key, a key with a password, one open to everybody, a folder: each by name."""
    other = generate_private_key(public_exponent=65537, key_size=2048)
    contents = {
        "nonsense": b"\xff" * 40,
        "empty": b"",
        "rsa": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    wants = {}
    for name, content in contents.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    create_permit_key(tmp_path / "open").jwks()
    (tmp_path / "open").chmod(0o604)
    (tmp_path / "folder").mkdir()
    for name in (*contents, "open", "folder"):
        with pytest.raises(PermitKeyInvalidError) as caught:
            find_permit_key(tmp_path / name)
        wants[name] = str(caught.value).removesuffix(str(tmp_path / name))

    assert wants["nonsense"] == wants["empty"] == "want a private key in PEM without a password in "
    assert wants["rsa"].startswith("want an Ed25519 key")
    assert wants["open"].startswith("want a key file that others cannot touch")
    assert wants["folder"].startswith("cannot read the key file")
