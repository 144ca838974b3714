"""Vectors of checkpoints: who signed what, and notes that say nothing."""

import base64
from typing import Any

from interop.vectors.small_log import NEW_SIGNER, ORIGIN, SIGNER, STRANGER
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign
from lockgate.audit.formats.merkle import EMPTY_ROOT
from lockgate.audit.formats.notes import SeedSigner, sign_note
from lockgate.clock import EpochNs

_CHECKPOINT = Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32)))
_NOTE = sign_checkpoint(_CHECKPOINT, SIGNER)
_ROOT = base64.b64encode(bytes(range(32))).decode()
_TIME = EpochNs(1_767_225_600_000_000_000)


def checkpoints() -> dict[str, Any]:
    """Return the file."""
    return {
        "description": "Section 3. `note_hex` holds the bytes, `keys` who is known. Below `invalid`, `code` is what a "
        "verifier says of it (section 6).",
        "valid": [_facts(name, *case) for name, case in _valid().items()],
        "invalid": [
            {"name": name, "note_hex": note.hex(), "keys": [str(SIGNER.verifier_key)], "code": code}
            for code, notes in (
                ("checkpoint_malformed", _malformed()),
                ("signature_invalid", _falsely_signed()),
                ("key_unknown", _unsigned()),
            )
            for name, note in notes.items()
        ],
    }


def _facts(name: str, note: bytes, checkpoint: Checkpoint, signers: list[SeedSigner]) -> dict[str, Any]:
    return {
        "name": name,
        "note_hex": note.hex(),
        "keys": [str(signer.verifier_key) for signer in signers],
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
    }


def _valid() -> dict[str, tuple[bytes, Checkpoint, list[SeedSigner]]]:
    empty = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)
    largest = Checkpoint(origin=ORIGIN, size=2**53 - 1, root=bytes(32))
    changing = sign_checkpoint(_CHECKPOINT, NEW_SIGNER, SIGNER)
    return {
        "plain": (_NOTE, _CHECKPOINT, [SIGNER]),
        "the empty log": (sign_checkpoint(empty, SIGNER), empty, [SIGNER]),
        "the largest size": (sign_checkpoint(largest, SIGNER), largest, [SIGNER]),
        "two keys, both known": (changing, _CHECKPOINT, [SIGNER, NEW_SIGNER]),
        "two keys, the first unknown": (changing, _CHECKPOINT, [SIGNER]),
        "two keys, the second unknown": (changing, _CHECKPOINT, [NEW_SIGNER]),
        "the same line twice": (_NOTE + _lines(_NOTE), _CHECKPOINT, [SIGNER]),
        "an unknown witness": (add_cosignatures(_NOTE, [cosign(_NOTE, STRANGER, _TIME)]), _CHECKPOINT, [SIGNER]),
        "a line of an unknown type, of one byte": (_NOTE + _line("post.example", bytes(5)), _CHECKPOINT, [SIGNER]),
        "a hundred lines": (_NOTE + _line("post.example", bytes(5)) * 99, _CHECKPOINT, [SIGNER]),
    }


def _malformed() -> dict[str, bytes]:
    text = f"{ORIGIN}\n7\n{_ROOT}\n"
    texts = {
        "a leading zero": f"{ORIGIN}\n07\n{_ROOT}\n",
        "a negative size": f"{ORIGIN}\n-7\n{_ROOT}\n",
        "a size with a sign": f"{ORIGIN}\n+7\n{_ROOT}\n",
        "a size in other digits": f"{ORIGIN}\n\u0667\n{_ROOT}\n",
        "a size of 2^53": f"{ORIGIN}\n9007199254740992\n{_ROOT}\n",
        "no size": f"{ORIGIN}\n\n{_ROOT}\n",
        "a root of 31 bytes": f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n",
        "a root without padding": f"{ORIGIN}\n7\n{_ROOT[:-1]}\n",
        "a root with stray bits": f"{ORIGIN}\n7\n{_ROOT[:-2]}9=\n",
        "an extension line": f"{text}extension\n",
        "two lines": f"{ORIGIN}\n7\n",
    }
    return {
        "nothing": b"",
        "no signature": text.encode() + b"\n",
        "no empty line": _NOTE.replace(b"\n\n", b"\n"),
        "cut": _NOTE[:-1],
        "a line more": _NOTE + b"more\n",
        "an empty line more": _NOTE + b"\n",
        "a hyphen for the dash": _NOTE.replace("\u2014".encode(), b"-"),
        "carriage returns": _NOTE.replace(b"\n", b"\r\n"),
        "a control character": b"\x01" + _NOTE,
        "no UTF-8": b"\xff" + _NOTE,
        "101 lines": _NOTE + _line("post.example", bytes(5)) * 100,
        "a signature line with a key ID alone": _NOTE + _line("post.example", bytes(4)),
        "a signature line without a name": _NOTE + _line("", bytes(68)),
        "a signature line with U+00AD in the name": _NOTE + _line("post\u00adexample", bytes(68)),
        "a signature without padding": _NOTE + _line("post.example", bytes(68))[:-2] + b"\n",
        **{name: sign_note(text, SIGNER) for name, text in texts.items()},
    }


def _falsely_signed() -> dict[str, bytes]:
    other = sign_checkpoint(Checkpoint(origin=ORIGIN, size=8, root=bytes(32)), SIGNER)
    signature = base64.b64decode(_NOTE.split()[-1])
    return {
        "another size": _NOTE.replace(b"\n7\n", b"\n8\n"),
        "another root": _NOTE.replace(_ROOT.encode(), base64.b64encode(bytes(32))),
        "a signature of another checkpoint": _NOTE.partition(b"\n\n")[0] + b"\n\n" + _lines(other),
        "a false line of a known key beside a good one": _NOTE + _lines(other),
        "a short signature": _NOTE.partition(b"\n\n")[0] + b"\n\n" + _line(ORIGIN, signature[:-1]),
        "a long signature": _NOTE.partition(b"\n\n")[0] + b"\n\n" + _line(ORIGIN, signature + b"\0"),
    }


def _unsigned() -> dict[str, bytes]:
    signature = base64.b64decode(_NOTE.split()[-1])
    text = _NOTE.partition(b"\n\n")[0] + b"\n\n"
    foreign = Checkpoint(origin=STRANGER.verifier_key.name, size=7, root=bytes(range(32)))
    return {
        "another key of the same name": sign_checkpoint(_CHECKPOINT, NEW_SIGNER),
        "the key under another name": text + _line("other.example/audit", signature),
        "another key ID": text + _line(ORIGIN, bytes(4) + signature[4:]),
        "another log's checkpoint": sign_checkpoint(foreign, STRANGER),
        "another log's checkpoint under this key": sign_note(f"other.example/audit\n7\n{_ROOT}\n", SIGNER),
        "none but a cosignature by the log's own key": text + cosign(_NOTE, SIGNER, _TIME).line.encode(),
    }


def _lines(note: bytes) -> bytes:
    return note.partition(b"\n\n")[2]


def _line(name: str, data: bytes) -> bytes:
    return f"\u2014 {name} {base64.b64encode(data).decode()}\n".encode()
