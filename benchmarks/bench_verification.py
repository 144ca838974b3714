"""Time to verify one bundle: ours, stock sigstore-python, and the bare signature checks that neither can do without.

Run `python benchmarks/bench_verification.py`, or with `--quick` for a smoke test. All are timed in turns in one run, so
that a noisy machine is noisy for all of them. Printed are milliseconds (least and median) and ratios of the medians.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm

from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import sha256_of
from lockgate.evidence import EvidenceVerifier, VerifiedSignature, load_trust_domains
from lockgate.system_clock import SystemClock

ROUNDS = 300
ROUNDS_QUICK = 20


def main() -> None:
    """Run the benchmark and print a table."""
    rounds = ROUNDS_QUICK if "--quick" in sys.argv[1:] else ROUNDS
    subjects = _contestants()
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, run in subjects.items():
            begin = time.perf_counter_ns()
            run()
            times[name].append((time.perf_counter_ns() - begin) / 1e6)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':34}{'min ms':>9}{'p50 ms':>9}{'/ stock':>9}{'/ floor':>9}   ({rounds} rounds)")
    for name, values in times.items():
        stock, floor = (
            medians[name] / medians["stock sigstore-python"],
            medians[name] / medians["signature checks alone"],
        )
        print(f"{name:34}{min(values):9.3f}{medians[name]:9.3f}{stock:9.2f}{floor:9.2f}")


def _contestants() -> dict[str, Callable[[], object]]:
    folder = Path(tempfile.mkdtemp())
    clock = SystemClock()
    sigstore = VirtualSigstore(name="bench", clock=clock)
    sigstore.write_trust_domain(folder)
    subject = sha256_of(b"artifact")
    signer = VirtualSigner(identity="trainer@example.com", issuer="https://id.example")
    bundle = sigstore.sign_artifact(subject, signer)
    domains = load_trust_domains(folder)
    stock = Verifier(trusted_root=TrustedRoot.from_file(str(folder / "bench.trusted_root.json")))
    policy = Identity(identity=signer.identity, issuer=signer.issuer)
    digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(subject.hex))
    warm = EvidenceVerifier(domains, clock)
    assert isinstance(warm.verify(bundle, subject, "bench"), VerifiedSignature)
    return {
        "signature checks alone": _floor(),
        "stock sigstore-python": lambda: stock.verify_artifact(digest, Bundle.from_json(bundle), policy),
        "Lockgate": lambda: EvidenceVerifier(domains, clock).verify(bundle, subject, "bench"),
        "Lockgate, remembered": lambda: warm.verify(bundle, subject, "bench"),
    }


def _floor() -> Callable[[], object]:
    # One P-384 check (the certificate) and four P-256 (its timestamp, the checkpoint, the promise, the artifact).
    message = b"message"
    large, small = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    by_large, by_small = large.sign(message, ec.ECDSA(hashes.SHA384())), small.sign(message, ec.ECDSA(hashes.SHA256()))

    def check() -> None:
        large.public_key().verify(by_large, message, ec.ECDSA(hashes.SHA384()))
        for _ in range(4):
            small.public_key().verify(by_small, message, ec.ECDSA(hashes.SHA256()))

    return check


if __name__ == "__main__":
    main()
