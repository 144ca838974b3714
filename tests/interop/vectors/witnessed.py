"""Vectors of policy files, and of checkpoints with cosignatures read under them."""

import base64
from typing import Any

from interop.vectors.small_log import NEW_SIGNER, ORIGIN, SIGNER, STRANGER
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign, witness_key_of
from lockgate.audit.formats.notes import SeedSigner, make_signer, signature_line
from lockgate.clock import NS_PER_S, EpochNs

_TIME_S = 1_767_225_600
_ALICE, _BOB, _CAROL = (
    make_signer(f"{name}.example", bytes([n]) * 32) for n, name in enumerate(("alice", "bob", "carol"), 1)
)
_LOG = f"log {SIGNER.verifier_key}\n"
_WITNESSES = "".join(
    f"witness {name} {witness_key_of(signer)}\n"
    for name, signer in (("alice", _ALICE), ("bob", _BOB), ("carol", _CAROL))
)
_TWO_OF_THREE = f"{_LOG}{_WITNESSES}group two 2 alice bob carol\nquorum two\n"
_NOTE = sign_checkpoint(Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32))), SIGNER)


def policies() -> dict[str, Any]:
    """Return the file of policies, of which only the form is looked at."""
    return {
        "description": "witness.md section 2. Below `valid`, `logs` are keys with the sizes that they count for (null: "
        "no end), `witnesses` names with keys, and `quorum` is null for none.",
        "valid": [{"name": name, **case} for name, case in _valid().items()],
        "invalid": [{"name": name, "policy": text} for name, text in _invalid().items()],
    }


def cosigned() -> dict[str, Any]:
    """Return the file of checkpoints under policies."""
    return {
        "description": "witness.md sections 1 and 2. Below `valid` a reader with this policy believes the checkpoint "
        "and finds these cosignatures (`time` in seconds), in the order of the policy's witnesses; below `invalid` it "
        "says `code`.",
        "valid": [
            {
                "name": name,
                "policy": policy,
                "note_hex": note.hex(),
                "size": 7,
                "cosigned": [{"witness": witness, "time": time_s} for witness, time_s in found],
                "quorum_met": quorum_met,
            }
            for name, (policy, note, found, quorum_met) in _believed().items()
        ],
        "invalid": [
            {"name": name, "policy": policy, "note_hex": note.hex(), "code": code}
            for name, (policy, note, code) in _refused().items()
        ],
    }


def _valid() -> dict[str, dict[str, Any]]:
    key, new_key = str(SIGNER.verifier_key), str(NEW_SIGNER.verifier_key)
    alice, bob = str(witness_key_of(_ALICE)), str(witness_key_of(_BOB))
    always: dict[str, Any] = {"key": key, "first_size": 0, "last_size": None}
    witnesses = [{"name": "alice", "key": alice}, {"name": "bob", "key": bob}]
    two = f"{_LOG}witness alice {alice}\nwitness bob {bob} https://bob.example/log\n"
    return {
        "a log alone": {"policy": f"{_LOG}quorum none\n", "logs": [always], "witnesses": [], "quorum": None},
        "comments, tabs and empty lines": {
            "policy": f"# a comment\n\n \t# another\n\tlog \t {SIGNER.verifier_key}\t\nquorum\tnone \n",
            "logs": [always],
            "witnesses": [],
            "quorum": None,
        },
        "a key after another": {
            "policy": f"{_LOG}# lockgate sizes 0..4096\n"
            f"log {new_key} https://gate.example/audit\n# lockgate sizes 4000..\nquorum none\n",
            "logs": [
                {"key": key, "first_size": 0, "last_size": 4096},
                {"key": new_key, "first_size": 4000, "last_size": None},
            ],
            "witnesses": [],
            "quorum": None,
        },
        "one witness": {"policy": f"{two}quorum alice\n", "logs": [always], "witnesses": witnesses, "quorum": "alice"},
        "a group": {
            "policy": f"{two}group both all alice bob\nquorum both\n",
            "logs": [always],
            "witnesses": witnesses,
            "quorum": "both",
        },
        "a group in a group": {
            "policy": f"{two}group one any alice\ngroup both 2 one bob\nquorum both\n",
            "logs": [always],
            "witnesses": witnesses,
            "quorum": "both",
        },
    }


def _invalid() -> dict[str, str]:
    alice = f"witness alice {witness_key_of(_ALICE)}\n"
    return {
        "nothing": "",
        "no quorum": _LOG,
        "two quorums": f"{_LOG}quorum none\nquorum none\n",
        "a cut line": f"{_LOG}quorum none",
        "a carriage return": f"{_LOG}quorum none\r\n",
        "an unknown line": f"{_LOG}quorum none\nlogs\n",
        "a quorum of nobody": f"{_LOG}quorum alice\n",
        "a witness after its use": f"{_LOG}quorum alice\n{alice}",
        "a witness named none": f"{_LOG}{alice.replace('alice ', 'none ', 1)}quorum none\n",
        "a witness twice": f"{_LOG}{alice}{alice.replace('alice ', 'other ', 1)}quorum none\n",
        "a name twice": f"{_LOG}{alice}witness alice {witness_key_of(_BOB)}\nquorum none\n",
        "a log's key for a witness": f"{_LOG}witness alice {_ALICE.verifier_key}\nquorum none\n",
        "a witness's key for a log": f"log {witness_key_of(_ALICE)}\nquorum none\n",
        "one key for a log and a witness": f"{_LOG}witness alice {witness_key_of(SIGNER)}\nquorum none\n",
        "a log twice": f"{_LOG}{_LOG}quorum none\n",
        "a group of none": f"{_LOG}{alice}group g any\nquorum g\n",
        "a group of itself": f"{_LOG}{alice}group g any g\nquorum g\n",
        "a member twice": f"{_LOG}{alice}group g 2 alice alice\nquorum g\n",
        "a member of two groups": f"{_LOG}{alice}group g any alice\ngroup h any alice\nquorum g\n",
        "a threshold of 0": f"{_LOG}{alice}group g 0 alice\nquorum g\n",
        "a threshold of 2 of 1": f"{_LOG}{alice}group g 2 alice\nquorum g\n",
        "a threshold of 01": f"{_LOG}{alice}group g 01 alice\nquorum g\n",
        "sizes misspelt": f"{_LOG}# lockgate size 0..7\nquorum none\n",
        "sizes in upper case": f"{_LOG}# Lockgate sizes 0..7\nquorum none\n",
        "sizes behind a space": f"{_LOG} # lockgate sizes 0..7\nquorum none\n",
        "sizes backwards": f"{_LOG}# lockgate sizes 8..7\nquorum none\n",
        "sizes with leading zeros": f"{_LOG}# lockgate sizes 0..07\nquorum none\n",
        "sizes that say nothing": f"{_LOG}# lockgate sizes 0..\nquorum none\n",
        "sizes below another line": f"{_LOG}\n# lockgate sizes 0..7\nquorum none\n",
        "sizes twice": f"{_LOG}# lockgate sizes 0..7\n# lockgate sizes 0..7\nquorum none\n",
        "sizes of 2^53": f"{_LOG}# lockgate sizes 0..9007199254740992\nquorum none\n",
        "65 logs": "".join(f"log {make_signer(f'l{n}', bytes([n]) * 32).verifier_key}\n" for n in range(65))
        + "quorum none\n",
    }


def _believed() -> dict[str, tuple[str, bytes, list[tuple[str, int]], bool]]:
    by_two = _cosigned(_ALICE, _BOB)
    later = add_cosignatures(_cosigned(_ALICE), [cosign(_NOTE, _ALICE, _at(_TIME_S + 60))])
    none = f"{_LOG}{_WITNESSES}quorum none\n"
    both = [("alice", _TIME_S), ("bob", _TIME_S)]
    return {
        "nobody": (_TWO_OF_THREE, _NOTE, [], False),
        "one of the two that it takes": (_TWO_OF_THREE, _cosigned(_BOB), [("bob", _TIME_S)], False),
        "two of three": (_TWO_OF_THREE, by_two, both, True),
        "all three": (_TWO_OF_THREE, _cosigned(_CAROL, _BOB, _ALICE), [*both, ("carol", _TIME_S)], True),
        "one and a stranger": (_TWO_OF_THREE, _cosigned(_ALICE, STRANGER), [("alice", _TIME_S)], False),
        "one twice": (_TWO_OF_THREE, later, [("alice", _TIME_S + 60)], False),
        "one twice, the newer first": (_TWO_OF_THREE, _newer_first(), [("alice", _TIME_S + 60)], False),
        "a quorum of none is never met": (none, by_two, both, False),
        "a group in a group": (
            f"{_LOG}{_WITNESSES}group one any alice bob\ngroup g all one carol\nquorum g\n",
            _cosigned(_ALICE, _CAROL),
            [("alice", _TIME_S), ("carol", _TIME_S)],
            True,
        ),
        "the first size that counts": (f"{_LOG}# lockgate sizes 7..\nquorum none\n", _NOTE, [], False),
        "the last size that counts": (f"{_LOG}# lockgate sizes 0..7\nquorum none\n", _NOTE, [], False),
        "a cosignature under a witness's key ID of the log's type": (
            _TWO_OF_THREE,
            _NOTE + signature_line(_ALICE.verifier_key, _ALICE.sign(b"anything")).encode(),
            [],
            False,
        ),
        "the last second": (_TWO_OF_THREE, _cosigned_at(253_402_300_799), [("alice", 253_402_300_799)], False),
    }


def _refused() -> dict[str, tuple[str, bytes, str]]:
    key = witness_key_of(_ALICE)
    line = base64.b64decode(_cosigned(_ALICE).split()[-1])[4:]
    other = sign_checkpoint(Checkpoint(origin=ORIGIN, size=8, root=bytes(32)), SIGNER)
    foreign = cosign(other, _ALICE, _at(_TIME_S)).line.encode()
    return {
        "above the last size": (f"{_LOG}# lockgate sizes 0..6\nquorum none\n", _NOTE, "key_unknown"),
        "below the first size": (f"{_LOG}# lockgate sizes 8..\nquorum none\n", _NOTE, "key_unknown"),
        "cosigned, but not signed by the log": (_TWO_OF_THREE, _unsigned(), "key_unknown"),
        "a cosignature of another checkpoint": (_TWO_OF_THREE, _NOTE + foreign, "signature_invalid"),
        "a cosignature of another time": (
            _TWO_OF_THREE,
            _NOTE + signature_line(key, (_TIME_S + 1).to_bytes(8, "big") + line[8:]).encode(),
            "signature_invalid",
        ),
        "a cosignature without its time": (
            _TWO_OF_THREE,
            _NOTE + signature_line(key, line[8:]).encode(),
            "signature_invalid",
        ),
        "a cosignature of time 0": (_TWO_OF_THREE, _cosigned_at(0), "signature_invalid"),
        "a cosignature after the year 9999": (_TWO_OF_THREE, _cosigned_at(253_402_300_800), "signature_invalid"),
        "a false cosignature beside a good one": (_TWO_OF_THREE, _cosigned(_ALICE) + foreign, "signature_invalid"),
        "a plain signature as a cosignature": (
            _TWO_OF_THREE,
            _NOTE + signature_line(key, _ALICE.sign(_NOTE.partition(b"\n\n")[0] + b"\n")).encode(),
            "signature_invalid",
        ),
    }


def _at(time_s: int) -> EpochNs:
    return EpochNs(time_s * NS_PER_S)


def _cosigned(*witnesses: SeedSigner) -> bytes:
    return add_cosignatures(_NOTE, [cosign(_NOTE, witness, _at(_TIME_S)) for witness in witnesses])


def _newer_first() -> bytes:
    return add_cosignatures(_NOTE, [cosign(_NOTE, _ALICE, _at(time_s)) for time_s in (_TIME_S + 60, _TIME_S)])


def _cosigned_at(time_s: int) -> bytes:
    return add_cosignatures(_NOTE, [cosign(_NOTE, _ALICE, _at(time_s))])


def _unsigned() -> bytes:
    note = _cosigned(_ALICE, _BOB)
    return note.replace(_NOTE.partition(b"\n\n")[2], b"")
