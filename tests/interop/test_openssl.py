"""`openssl` verifies the signatures of checkpoints."""

import base64
import subprocess
from pathlib import Path

import pytest

from support.audit_logs import LogStand

SPKI_ED25519 = bytes.fromhex(
    "302a300506032b6570032100"
)  # RFC 8410, section 4: what comes before the 32 bytes of the key
SIGNATURE_BYTES = 64


@pytest.fixture
def signed(stand: LogStand, tmp_path: Path) -> Path:
    """A folder with a checkpoint's text, its bare signature and the log's public key, taken apart by hand."""
    stand.fill(3)
    text, _, signatures = stand.log.checkpoint().partition(b"\n\n")
    (line,) = signatures.splitlines()
    signature = base64.b64decode(line.split(b" ")[2])
    public_key = base64.b64decode(str(stand.signer.verifier_key).split("+", 2)[2])
    folder = tmp_path / "signed"
    folder.mkdir()
    (folder / "text").write_bytes(text + b"\n")
    (folder / "signature").write_bytes(signature[-SIGNATURE_BYTES:])
    (folder / "key.der").write_bytes(SPKI_ED25519 + public_key[1:])
    return folder


def _verifies(openssl: str, folder: Path) -> bool:
    command = [openssl, "pkeyutl", "-verify", "-rawin", "-in", "text", "-sigfile", "signature"]
    command += ["-pubin", "-keyform", "DER", "-inkey", "key.der"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    said = done.stdout.strip()
    assert said in {"Signature Verified Successfully", "Signature Verification Failure"}, done.stderr
    assert (done.returncode == 0) == (said == "Signature Verified Successfully")
    return done.returncode == 0


def test_openssl_verifies_a_checkpoint(openssl: str, signed: Path) -> None:
    """The signature under a checkpoint is plain Ed25519 over its three lines."""
    assert _verifies(openssl, signed)


@pytest.mark.parametrize("changed", ["text", "signature"])
@pytest.mark.parametrize("place", [0, 30, -1])
def test_openssl_refuses_a_changed_bit(openssl: str, signed: Path, changed: str, place: int) -> None:
    """One bit changed in the text or in the signature, and `openssl` refuses it."""
    data = bytearray((signed / changed).read_bytes())
    data[place] ^= 1
    (signed / changed).write_bytes(data)

    assert not _verifies(openssl, signed)


def test_openssl_refuses_another_key(openssl: str, signed: Path) -> None:
    """Under another key, here that of RFC 8032's first test, the signature proves nothing."""
    other = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    (signed / "key.der").write_bytes(SPKI_ED25519 + other)

    assert not _verifies(openssl, signed)
