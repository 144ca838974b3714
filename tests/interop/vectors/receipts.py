"""Vectors of receipts and of the proofs in them."""

import base64
from typing import Any

from interop.vectors.small_log import NEW_SIGNER, SIGNER, STRANGER, SmallLog, make_event
from lockgate.audit.formats.merkle import inclusion_spans
from lockgate.audit.formats.proofs import InclusionProof, format_proof

_KEYS = [str(SIGNER.verifier_key)]


def tlog_proofs() -> dict[str, Any]:
    """Return the file of proofs, of which only the form is looked at."""
    log = _log()
    proofs = {
        "one record": _proof(SmallLog.begun(), 0, 1),
        "five records, the first": _proof(log, 0, 5),
        "five records, the last": _proof(log, 4, 5),
    }
    return {
        "description": "Section 4: the form of a tlog-proof. `path` is hex. Nothing is verified yet.",
        "valid": [
            {
                "name": name,
                "proof": format_proof(proof),
                "index": proof.index,
                "path": [digest.hex() for digest in proof.path],
                "checkpoint": proof.checkpoint.decode(),
            }
            for name, proof in proofs.items()
        ],
        "invalid": [
            {"name": name, "proof": proof} for name, proof in _malformed(format_proof(_proof(log, 0, 5))).items()
        ],
    }


def receipts() -> dict[str, Any]:
    """Return the file of receipts."""
    return {
        "description": "Section 4. A verifier that knows `keys` believes those below `valid`, and no other.",
        "valid": [{"name": name, "keys": _KEYS, "receipt": receipt} for name, receipt in _believed().items()],
        "invalid": [{"name": name, "keys": _KEYS, "receipt": receipt} for name, receipt in _refused().items()],
    }


def _log() -> SmallLog:
    log = SmallLog.begun()
    log.add(make_event("one"))
    return log.add(make_event("two"), make_event("three"), make_event("\u00e9\U0001f600"))


def _proof(log: SmallLog, index: int, size: int) -> InclusionProof:
    note = next(note for note in log.notes if note.split(b"\n")[1] == b"%d" % size)
    return InclusionProof(
        index=index, path=tuple(log.root(*span) for span in inclusion_spans(index, size)), checkpoint=note
    )


def _receipt(log: SmallLog, seq: int, size: int) -> dict[str, Any]:
    return {"seq": seq, "record": log.records[seq].decode(), "proof": format_proof(_proof(log, seq, size))}


def _believed() -> dict[str, dict[str, Any]]:
    log, changing = _log(), SmallLog.begun()
    changing.signers = (NEW_SIGNER, SIGNER)
    changing.add(make_event())
    return {
        "the genesis record": _receipt(log, 0, 1),
        "a record of a transaction of its own": _receipt(log, 1, 2),
        "the first of a transaction of three": _receipt(log, 2, 5),
        "the last of a transaction of three": _receipt(log, 4, 5),
        "a later checkpoint than the smallest": _receipt(log, 1, 5),
        "two keys, one of them unknown": _receipt(changing, 1, 2),
    }


def _refused() -> dict[str, dict[str, Any]]:
    log = _log()
    good = _receipt(log, 2, 5)
    proof = _proof(log, 2, 5)
    strange, unknown = SmallLog.begun(signer=STRANGER), SmallLog.begun(signer=NEW_SIGNER)
    return {
        "another seq": good | {"seq": 3},
        "another index": good | {"proof": good["proof"].replace("index 2", "index 3")},
        "both another": good | {"seq": 3, "proof": good["proof"].replace("index 2", "index 3")},
        "another record": good | {"record": log.records[3].decode()},
        "a changed record": good | {"record": good["record"].replace("two", "six")},
        "a record with white space": good | {"record": good["record"].replace(",", ", ", 1)},
        "a record that says another seq": _receipt(_mispositioned(), 1, 2),
        "a record that names another log": _receipt(_misnamed(), 1, 2),
        "a path with a hash less": _with_path(good, proof, proof.path[:-1]),
        "a path with a hash more": _with_path(good, proof, (*proof.path, bytes(32))),
        "a path in another order": _with_path(good, proof, proof.path[::-1]),
        "a path with a changed bit": _with_path(
            good, proof, (bytes([proof.path[0][0] ^ 1]) + proof.path[0][1:], *proof.path[1:])
        ),
        "an index that is the size": good | {"seq": 5, "proof": good["proof"].replace("index 2", "index 5")},
        "a changed size": good | {"proof": good["proof"].replace("\n5\n", "\n6\n")},
        "a changed signature": good | {"proof": _changed_signature(good["proof"])},
        "an unknown key": _receipt(unknown, 0, 1),
        "another log": _receipt(strange, 0, 1),
        "an extra line": good | {"proof": good["proof"].replace("index", "extra AAAA\nindex")},
    }


def _with_path(receipt: dict[str, Any], proof: InclusionProof, path: tuple[bytes, ...]) -> dict[str, Any]:
    return receipt | {"proof": format_proof(InclusionProof(index=proof.index, path=path, checkpoint=proof.checkpoint))}


def _mispositioned() -> SmallLog:
    log = SmallLog.begun()
    log.put(make_event(), seq=7)
    return log.sign()


def _misnamed() -> SmallLog:
    log = SmallLog.begun()
    log.put(make_event(), log="other.example/audit")
    return log.sign()


def _changed_signature(proof: str) -> str:
    encoded = proof.rsplit(maxsplit=1)[-1]
    data = base64.b64decode(encoded)
    return proof.replace(encoded, base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode())


def _malformed(proof: str) -> dict[str, str]:
    first_hash = proof.split("\n")[2]
    return {
        "nothing": "",
        "another version": proof.replace("@v1", "@v2"),
        "no index": proof.replace("index 0\n", ""),
        "an index with a leading zero": proof.replace("index 0", "index 00"),
        "a negative index": proof.replace("index 0", "index -0"),
        "an index in other digits": proof.replace("index 0", "index \u0660"),
        "an extra line": proof.replace("index", "extra AAAA\nindex"),
        "a hash of 31 bytes": proof.replace(first_hash, base64.b64encode(bytes(31)).decode()),
        "a hash without padding": proof.replace(first_hash, first_hash[:-1]),
        "a hash with stray bits": proof.replace(first_hash, "A" * 42 + "B="),
        "65 hashes": proof.replace(first_hash, "\n".join([first_hash] * 65)),
        "no empty line": proof.replace("\n\n", "\n", 1),
        "carriage returns": proof.replace("\n", "\r\n"),
    }
