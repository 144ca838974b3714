"""`lockgate policy bundle`: which keys sign, what is signed, and what is refused."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from lockgate.cli.policy import policy
from lockgate.policy import PolicyBuildError, PolicyStaleError
from lockgate.policy.compiled import load_policy
from lockgate.policy.data import CONFIG
from lockgate.policy.opa_binary import run_opa
from lockgate.policy.signing import signing_arguments
from lockgate.shipped import shipped_folder

pytestmark = pytest.mark.opa

WANT = "want a P-256 private key in PEM without a passphrase"
NO_PASSPHRASE = NoEncryption()


def private(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
    encryption: KeySerializationEncryption = NO_PASSPHRASE,
) -> bytes:
    """Write a private key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key that may sign, and its public half beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder = tmp_path_factory.mktemp("keys")
    (folder / "policy.key").write_bytes(private(key))
    (folder / "policy.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return folder / "policy.key"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: private(rsa.generate_private_key(65537, 2048)), f"{WANT}, got another kind of key"),
        (lambda: private(ec.generate_private_key(ec.SECP384R1())), f"{WANT}, got another kind of key"),
        (lambda: private(ed25519.Ed25519PrivateKey.generate()), f"{WANT}, got another kind of key"),
        (lambda: private(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")), WANT),
        (lambda: b"not a key", WANT),
        (lambda: b"", WANT),
    ],
    ids=["RSA", "P-384", "Ed25519", "passphrase", "text", "empty"],
)
def test_other_keys_are_refused(make: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    """OPA would sign with a key of another curve, and nobody could verify it; the message holds none of the file."""
    (tmp_path / "policy.key").write_bytes(make())

    with pytest.raises(PolicyBuildError) as refused:
        signing_arguments(tmp_path / "policy.key")
    assert str(refused.value) == f"policy.key: {said}"


def test_a_public_key_is_refused(key_file: Path) -> None:
    """The two files are not mixed up."""
    with pytest.raises(PolicyBuildError, match=WANT):
        signing_arguments(key_file.with_name("policy.pem"))


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    """By name, with the system's reason."""
    with pytest.raises(PolicyBuildError, match=r"policy\.key: cannot read it: No such file or directory"):
        signing_arguments(tmp_path / "policy.key")


def test_a_signed_bundle_with_own_data(key_file: Path, tmp_path: Path, opa_binary: Path) -> None:
    """The bundle has the revision that a gate with the same data finds; OPA verifies it, and not with another key."""
    own = shutil.copytree(shipped_folder("policies") / CONFIG, tmp_path / "own")
    (own / "freezes" / "data.json").write_text('{"schema_version": 1, "freezes": []}')
    out = tmp_path / "bundle.tar.gz"
    arguments = ["bundle", "--config-dir", str(own), "--signing-key", str(key_file), "--out", str(out)]
    ended = CliRunner().invoke(policy, arguments)
    revision = load_policy(shipped_folder("policies"), None, own).catalogue.revision
    with tarfile.open(out) as bundle:
        names = bundle.getnames()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "other.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def verify(public_key: Path) -> str:
        how = ["--signing-alg", "ES256", "--verification-key", str(public_key), "--output", "again.tar.gz"]
        return run_opa(opa_binary, ["build", "--bundle", str(out), *how], cwd=tmp_path)

    assert (ended.exit_code, ended.output) == (0, f"bundle {out}\nrevision {revision}\n"), ended.exception
    assert "/.signatures.json" in names
    assert not [name for name in names if name.endswith("_test.rego")]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []
    assert verify(key_file.with_name("policy.pem")) == ""
    with pytest.raises(PolicyBuildError, match="invalid ECDSA signature"):
        verify(tmp_path / "other.pem")


def test_rules_that_were_not_built_are_not_bundled(key_file: Path, tmp_path: Path) -> None:
    """What is signed was tested and compared before."""
    folder = shutil.copytree(shipped_folder("policies"), tmp_path / "policies")
    entry = folder / "lockgate" / "promotion" / "promotion.rego"
    entry.write_text(entry.read_text() + "\n")
    out = tmp_path / "bundle.tar.gz"
    ended = CliRunner().invoke(
        policy, ["bundle", "--policy-dir", str(folder), "--signing-key", str(key_file), "--out", str(out)]
    )

    assert isinstance(ended.exception, PolicyStaleError)
    assert "lockgate/promotion/promotion.rego" in str(ended.exception)
    assert not out.exists()
