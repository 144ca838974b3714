"""A transparency log in memory that answers as Rekor v1 does: a Merkle tree, signed checkpoints, signed promises."""

import hashlib
from base64 import b64encode
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockgate.clock import NS_PER_S, EpochNs

_TREE_ID: Final = "1193050959916656506"  # any number; Rekor appends its tree's to the checkpoint's origin


def encode_base64(data: bytes) -> str:
    """Return bytes as the bundle format writes them."""
    return b64encode(data).decode()


def encode_sorted(value: object) -> bytes:
    """Write JSON as RFC 8785 does for ASCII keys and no floats, which is all that a log's bodies hold."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class VirtualLog:
    """An append-only log that keeps its leaf hashes, with one signing key."""

    key_details = "PKIX_ECDSA_P256_SHA_256"

    def __init__(self, *, host: str) -> None:
        self.host = host
        self.origin = f"{host} - {_TREE_ID}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.spki = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.log_id = hashlib.sha256(self.spki).digest()
        self._leaves: list[bytes] = []

    def sign(self, message: bytes) -> bytes:
        """Sign with the log's key."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def append(self, kind: str, version: str, body: bytes, at: EpochNs) -> dict[str, Any]:
        """Log a body.

        Args:
            kind: The entry's kind, for example `hashedrekord`.
            version: The version of that kind, for example `0.0.1`.
            body: Canonical JSON; the leaf.
            at: When the entry is integrated; kept in whole seconds.

        Returns:
            A `TransparencyLogEntry` of the bundle format, with inclusion proof, checkpoint and promise.
        """
        entry = self.append_unpromised(kind, version, body)
        integrated_s = at // NS_PER_S
        promise = {
            "body": entry["canonicalizedBody"],
            "integratedTime": integrated_s,
            "logID": self.log_id.hex(),
            "logIndex": int(entry["logIndex"]),
        }
        entry["integratedTime"] = str(integrated_s)
        entry["inclusionPromise"] = {"signedEntryTimestamp": encode_base64(self.sign(encode_sorted(promise)))}
        return entry

    def append_unpromised(self, kind: str, version: str, body: bytes) -> dict[str, Any]:
        """Log a body and prove its inclusion, saying nothing about the time."""
        self._leaves.append(hashlib.sha256(b"\0" + body).digest())
        size = len(self._leaves)
        index = size - 1
        root = _tree_hash(self._leaves)
        return {
            "logIndex": str(index),
            "logId": {"keyId": encode_base64(self.log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": encode_base64(root),
                "treeSize": str(size),
                "hashes": [encode_base64(sibling) for sibling in _inclusion_path(index, self._leaves)],
                "checkpoint": {"envelope": self._checkpoint(root, size)},
            },
            "canonicalizedBody": encode_base64(body),
        }

    def _checkpoint(self, root: bytes, size: int) -> str:
        # C2SP signed-note: the signed text ends with the newline before the blank line; the key hint is four bytes.
        note = f"{self.origin}\n{size}\n{encode_base64(root)}\n"
        signature = encode_base64(self.log_id[:4] + self.sign(note.encode()))
        return f"{note}\n\N{EM DASH} {self.host} {signature}\n"


def _tree_hash(leaves: list[bytes]) -> bytes:
    # RFC 6962, section 2.1, over leaf hashes: SHA-256(0x01 || left || right), split at the largest power of two.
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + _tree_hash(leaves[:split]) + _tree_hash(leaves[split:])).digest()


def _inclusion_path(index: int, leaves: list[bytes]) -> list[bytes]:
    # RFC 6962, section 2.1.1: siblings from the leaf upwards.
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*_inclusion_path(index, leaves[:split]), _tree_hash(leaves[split:])]
    return [*_inclusion_path(index - split, leaves[split:]), _tree_hash(leaves[:split])]
