"""Whoever keeps the key: what a log needs of a signer, and what it refuses of a program."""

import base64
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lockgate.audit import KeyInvalidError, SignerError, load_public_key, load_signer
from lockgate.audit.command_signer import CommandSigner
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import SeedSigner, Signer, check_signature, format_signer, make_signer
from lockgate.audit.programs import QUESTION_BYTES_MAX
from support.audit_logs import ORIGIN, LogStand, make_event, verify_export
from support.keyed_logs import log_under

SEED = make_signer(ORIGIN, bytes(range(32)))
# As docs/howto/rotate-the-log-key.md shows it.
OPENSSL = """#!/bin/sh
set -eu
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat >"$text"
openssl pkeyutl -sign -inkey {key} -rawin -in "$text" | base64 -w 0
"""


def _script(folder: Path, text: str) -> tuple[str, ...]:
    path = folder / "signer"
    path.write_text(text)
    path.chmod(0o700)
    return (str(path),)


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


@pytest.fixture(params=["seed", "command"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Signer:
    """The same key, in this process and in a program."""
    if request.param == "seed":
        return SEED
    pem = Ed25519PrivateKey.from_private_bytes(SEED.seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    command = _script(tmp_path, OPENSSL.format(key=shlex.quote(str(tmp_path / "key.pem"))))
    return CommandSigner(verifier_key=SEED.verifier_key, command=command)


def test_contract(signer: Signer) -> None:
    """A signer gives the signature of its key, always the same for one text, and its checkpoints open."""
    checkpoint = Checkpoint(origin=ORIGIN, size=3, root=bytes(32))
    check_signature(signer.verifier_key, signer.sign(b"text\n"), b"text\n")

    assert signer.sign(b"text\n") == signer.sign(b"text\n") == SEED.sign(b"text\n")
    assert len(signer.sign(b"text\n")) == 64
    assert open_checkpoint(sign_checkpoint(checkpoint, signer), [SEED.verifier_key]) == checkpoint


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "want a signature"),
        ("print('nonsense')", "want a signature"),
        (f"print('{base64.b64encode(bytes(64)).decode()}')", "want a signature"),
        ("print('A' * 100_000)", "at most 128 bytes"),
        ("import time; time.sleep(60)", "within 0.5 s"),
        ("import os, time; os.close(1); time.sleep(60)", "within 0.5 s"),
        ("import os; os.fork() or (os.setsid(), __import__('time').sleep(20))", "within 0.5 s"),
        ("import os; os.close(0); os.kill(os.getpid(), 9)", "to end with 0, got -9"),
        ("raise SystemExit(3)", "to end with 0, got 3"),
    ],
)
def test_program_that_does_not_sign(code: str, said: str) -> None:
    """No, another's, too long and no answer in time are one error; the log is not held up."""
    signer = CommandSigner(verifier_key=SEED.verifier_key, command=_python(code), timeout_s=0.5)
    begun = time.monotonic()

    with pytest.raises(SignerError, match=said):
        signer.sign(b"text\n")
    assert time.monotonic() - begun < 3


def test_good_signature_with_a_bad_end(tmp_path: Path) -> None:
    """A program that signs and then fails has failed."""
    signature = base64.b64encode(SEED.sign(b"text\n")).decode()
    command = _script(tmp_path, f"#!/bin/sh\necho {signature}\nexit 1\n")

    with pytest.raises(SignerError, match="got 1"):
        CommandSigner(verifier_key=SEED.verifier_key, command=command).sign(b"text\n")


def test_missing_program_and_long_text() -> None:
    """A program that is not there, and a text that no pipe takes at once, are refused by name."""
    signer = CommandSigner(verifier_key=SEED.verifier_key, command=("/does/not/exist",))

    with pytest.raises(SignerError, match="No such file"):
        signer.sign(b"text\n")
    with pytest.raises(SignerError, match="at most"):
        signer.sign(bytes(QUESTION_BYTES_MAX + 1))


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    """An argument is an argument, whatever stands in it."""
    touched = tmp_path / "touched"
    signer = CommandSigner(
        verifier_key=SEED.verifier_key, command=("/bin/echo", f"$(touch {touched}); touch {touched}")
    )

    with pytest.raises(SignerError):
        signer.sign(b"text\n")
    assert not touched.exists()


def test_nothing_is_written_without_a_signature(stand: LogStand) -> None:
    """A log whose program fails takes no record; when it signs again, the log goes on as if nothing was."""
    failing = CommandSigner(verifier_key=SEED.verifier_key, command=("/bin/false",))
    before = stand.log.checkpoint()

    with pytest.raises(SignerError):
        log_under(stand, failing).append(make_event())
    assert stand.log.checkpoint() == before
    stand.fill(2)
    assert verify_export(stand.export(), stand.signer).verdict == "valid"


def test_loading(tmp_path: Path) -> None:
    """A file with the private key signs by itself; beside a program it must hold the public key alone."""
    private, public = tmp_path / "log.key", tmp_path / "log.pub"
    private.write_text(format_signer(SEED) + "\n")
    private.chmod(0o600)
    public.write_text(f"{SEED.verifier_key}\n")
    program = load_signer(public, ["/bin/program", "argument"])

    assert isinstance(load_signer(private), SeedSigner)
    assert program == CommandSigner(verifier_key=SEED.verifier_key, command=("/bin/program", "argument"))
    assert load_public_key(private) == load_public_key(public) == SEED.verifier_key
    for path, command in ((private, ["/bin/program"]), (public, []), (tmp_path / "missing", ["/bin/program"])):
        with pytest.raises(KeyInvalidError):
            load_signer(path, command)


def test_openssl_and_base64_are_here() -> None:
    """The program of the manual needs nothing else."""
    assert shutil.which("openssl")
    assert shutil.which("base64")
