"""Verifying a log against the bare SHA-256 of its bytes: the floor that no verifier can do without.

    python benchmarks/bench_log_verification.py [--quick] [--records N] [--dir FOLDER]

Written is a log of N records like those of decisions (about 1.2 KB), once with a checkpoint for each hundred records,
as group commit leaves it under load, and once with one for each record, as a quiet gate does. All are timed in turns,
and the least time of each counts: the ratio to the floor of the same run is the figure, not the rate.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from lockgate.audit import Receipt, verify_receipt
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash, node_hash
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.proofs import InclusionProof, format_proof
from lockgate.audit.verification.export_folder import ATTACHMENTS, CHECKPOINT, CHECKPOINTS, RECORDS, ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.canonical_json import canonicalize
from lockgate.clock import EpochNs, format_timestamp

RECORDS_MANY, RECORDS_QUICK = 50_000, 5_000
ROUNDS, ROUNDS_QUICK = 5, 2
BATCH = 100
MEMORY_OF = "--memory-of"
SIGNER = make_signer("bench.example/audit", bytes(range(32)))
POLICY = LogPolicy(logs=(LogKey(key=SIGNER.verifier_key),))
BOOT = str(uuid.UUID(int=1))
BODY = {
    "artifact": {"digest": f"sha256:{'56' * 32}", "model": "fraud-detector", "version": "17"},
    "decision": "allow",
    "evidence": [
        {
            "kind": "sigstore",
            "sha256": "34" * 32,
            "signer": "https://github.com/acme/train/.github/workflows/release.yml",
        }
    ],
    "policy": {"package": "lockgate.gate", "revision": f"sha256:{'12' * 32}"},
    "rules": [{"id": f"gate.rule_{number}", "outcome": "passed"} for number in range(4)],
    "transition": {"from": "staging", "to": "production"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--records", type=int, help=f"{RECORDS_MANY} unless given")
    parser.add_argument("--dir", default=".", help="where to write; the current folder unless given")
    arguments = parser.parse_args()
    count = arguments.records or (RECORDS_QUICK if arguments.quick else RECORDS_MANY)
    rounds = ROUNDS_QUICK if arguments.quick else ROUNDS
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        batched, single = Path(folder, "batched"), Path(folder, "single")
        _write(batched, count, BATCH)
        _write(single, count, 1)
        size = (batched / RECORDS).stat().st_size
        print(f"{count} records of {size / count:.0f} bytes, {rounds} rounds, least time of each\n")
        _print_canonicalizing(min(count, 20_000), rounds)
        _print_verifying(batched, single, count, rounds)
    _print_receipt(rounds)


def _print_canonicalizing(count: int, rounds: int) -> None:
    records = [_record(seq, bytes(32)) for seq in range(1, count + 1)]
    lines = [canonicalize(record) for record in records]
    times = _least(
        {
            "SHA-256 of each record": lambda: [hashlib.sha256(line).digest() for line in lines],
            "canonicalise and SHA-256": lambda: [hashlib.sha256(canonicalize(record)).digest() for record in records],
        },
        rounds,
    )
    _print(times, count)


def _print_verifying(batched: Path, single: Path, count: int, rounds: int) -> None:
    times = _least(
        {
            "SHA-256 of the file": lambda: _hash_file(batched / RECORDS),
            "verified, 1 process": lambda: _verify(batched, 1),
            "verified, 2 processes": lambda: _verify(batched, 2),
            "a checkpoint each, 1 process": lambda: _verify(single, 1),
            "a checkpoint each, 2 processes": lambda: _verify(single, 2),
        },
        rounds,
    )
    _print(times, count)
    # In a process of its own, and its own peak: rusage would count what this one had before it started the other.
    command = [sys.executable, __file__, MEMORY_OF, str(batched)]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(f"most memory of one process that verifies: {int(peak) / 1024:.0f} MiB\n")


def _print_peak(folder: Path) -> None:
    _verify(folder, 1)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(peak.split()[1])


def _print_receipt(rounds: int) -> None:
    # At two to the twentieth records a path has twenty hashes.
    record = canonicalize(_record(1, bytes(32)))
    root, path = leaf_hash(record), []
    for level in range(20):
        path.append(hashlib.sha256(bytes([level])).digest())
        root = node_hash(root, path[-1]) if level else node_hash(path[-1], root)
    note = sign_checkpoint(Checkpoint(origin=SIGNER.verifier_key.name, size=2**20, root=root), SIGNER)
    proof = format_proof(InclusionProof(index=1, path=tuple(path), checkpoint=note))
    receipt = Receipt(seq=1, record=record, proof=proof)
    times = _least({"a receipt": lambda: [verify_receipt(receipt, [SIGNER.verifier_key]) for _ in range(200)]}, rounds)
    print(f"a receipt of a million records: {times['a receipt'] / 200 * 1e3:.3f} ms, proof {len(proof)} bytes")


def _least(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def _print(times: dict[str, float], count: int) -> None:
    floor = next(iter(times.values()))
    print(f"{'':34}{'us each':>9}{'k/s':>9}{'to floor':>10}")
    for name, took in times.items():
        print(f"{name:34}{took / count * 1e6:9.2f}{count / took / 1e3:9.1f}{floor / took:10.3f}")
    print()


def _verify(folder: Path, workers: int) -> None:
    verification = verify_export(ExportFolder(folder), Trust(policy=POLICY), workers=workers)
    assert verification.verdict == "valid", verification.problems


def _hash_file(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    return digest.digest()


def _write(folder: Path, count: int, batch: int) -> None:
    (folder / ATTACHMENTS).mkdir(parents=True)
    tree, leaf, note = GrowingTree(), bytes(32), b""
    with (folder / RECORDS).open("wb") as records, (folder / CHECKPOINTS).open("wb") as notes:
        for seq in range(count):
            line = canonicalize(_record(seq, leaf))
            leaf = leaf_hash(line)
            tree.append(leaf)
            records.write(line + b"\n")
            if tree.size % batch == 0 or tree.size == count:
                checkpoint = Checkpoint(origin=SIGNER.verifier_key.name, size=tree.size, root=tree.root())
                notes.write(b"\n" * (note != b""))
                note = sign_checkpoint(checkpoint, SIGNER)
                notes.write(note)
    (folder / CHECKPOINT).write_bytes(note)


def _record(seq: int, prev: bytes) -> dict[str, object]:
    return {
        "v": 1,
        "log": SIGNER.verifier_key.name,
        "seq": seq,
        "prev": f"sha256:{prev.hex()}",
        "ts": format_timestamp(EpochNs(1_700_000_000_000_000_000 + seq * 1_000_000)),
        "id": str(uuid.UUID(int=seq)),
        "kind": "gate.decision" if seq else "log.genesis",
        "actor": {"type": "machine", "id": "ci@example.com", "roles": ["requester"]},
        "inst": "gate-1",
        "boot": BOOT,
        "schema": f"sha256:{'cd' * 32}",
        "subject": "model:fraud-detector",
        "trace": str(uuid.UUID(int=seq + 1)),
        "body": BODY,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == [MEMORY_OF]:
        _print_peak(Path(sys.argv[2]))
    else:
        main()
