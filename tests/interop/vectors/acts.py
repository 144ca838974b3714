"""Logs in which the log's own acts matter: key changes, erasing, pruning, anchors, witnesses."""

from collections.abc import Callable
from typing import Any

from interop.vectors.cases import Case, Files, accused, policy_of, undecided, without
from interop.vectors.small_log import NEW_SIGNER, SIGNER, SmallLog, make_act, make_event
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign, witness_key_of
from lockgate.audit.formats.merkle import leaf_hash, nodes_of
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.canonical_json import canonicalize
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex

_ALICE, _BOB = (make_signer(f"{name}.example", bytes([n]) * 32) for n, name in enumerate(("alice", "bob"), 1))
_WITNESSED = (
    f"log {SIGNER.verifier_key}\nwitness alice {witness_key_of(_ALICE)}\nwitness bob {witness_key_of(_BOB)}\n"
    "group both all alice bob\nquorum both\n"
)
_PRUNED = 768  # two complete subtrees, of 512 and of 256 records
_OLD, _NEW = str(SIGNER.verifier_key), str(NEW_SIGNER.verifier_key)


def acts() -> dict[str, Case]:
    """Return the cases."""
    return {**_key_changes(), **_erasures(), **_prunings(), **_malformed_acts(), **_anchors(), **_witnesses()}


def _key_changes() -> dict[str, Case]:
    rotated = SmallLog.begun().add(make_event("one"))
    rotated.signers = (NEW_SIGNER, SIGNER)
    rotated.add(make_act("log.key.rotate", {"old_key": _OLD, "new_key": _NEW})).add(make_event("both keys sign"))
    rotated.signers = (NEW_SIGNER,)
    rotated.add(make_event("the new key signs alone"))
    trusted, signing = (
        SmallLog.begun().add(make_event("one")).add(make_act("log.key.compromise", _lost(size))) for size in (3, 2)
    )
    replaced = SmallLog.begun().add(make_event("one"))
    replaced.signers = (NEW_SIGNER,)
    replaced.add(make_act("log.key.compromise", _lost(2)))
    twice = SmallLog(records=list(signing.records), notes=list(signing.notes), now=signing.now)
    twice.add(make_act("log.key.compromise", _lost(9)))
    both = f"log {_OLD}\n# lockgate sizes 0..2\nlog {_NEW}\n# lockgate sizes 3..\nquorum none\n"
    late = f"log {_OLD}\n# lockgate sizes 0..2\nlog {_NEW}\n# lockgate sizes 4..\nquorum none\n"
    return {
        "a key after another": Case(files=rotated.files(), policy=both),
        "a key after another, the policy without sizes": Case(
            files=rotated.files(), policy=policy_of(SIGNER, NEW_SIGNER)
        ),
        "a checkpoint of a size for which no key counts": undecided(("key_unknown",), rotated.files(), late),
        "a key compromised, and replaced in time": Case(files=replaced.files(), policy=both),
        "a key compromised, up to here": Case(files=trusted.files()),
        "a key compromised, and still signing": undecided(
            ("key_compromised",), signing.files(), policy_of(SIGNER), doubted=2
        ),
        "a key compromised twice, the smaller size counts": undecided(
            ("key_compromised",), twice.files(), policy_of(SIGNER), doubted=2
        ),
    }


def _lost(trusted_size: int) -> dict[str, Any]:
    return {"key": _OLD, "trusted_size": trusted_size, "reason": "lost"}


def _erasures() -> dict[str, Case]:
    log = SmallLog.begun().add(make_event("two documents", attachments=(b"first document", b"second document")))
    first, second = log.attachments
    erased = make_act("log.erase", {"attachments": [f"sha256:{first}"], "reason": "asked to"})
    log.add(erased)
    again = SmallLog.begun().add(make_event("a document", attachments=(b"first document",))).add(erased)
    again.add(make_event("the same document again", attachments=(b"first document",)))
    early = SmallLog.begun().add(erased).add(make_event("a document", attachments=(b"first document",)))
    return {
        "a document erased": Case(files=without(log, f"attachments/{first}")),
        "a document erased by the record only": Case(files=log.files()),
        "a document erased, another lost": accused(1, "attachment_missing", without(log, f"attachments/{second}")),
        "a document erased, named again, and kept": Case(files=again.files()),
        "a document erased, named again, and lost": accused(
            3, "attachment_missing", without(again, f"attachments/{first}")
        ),
        "a document erased before it was named": accused(
            2, "attachment_missing", without(early, f"attachments/{first}")
        ),
    }


def _long_log(**changes: Any) -> SmallLog:
    """Return a log that was pruned: its first records are still in `records`, but `_rest` leaves them out."""
    log = SmallLog.begun()
    for number in range(1, _PRUNED):
        log.put(make_event(f"event {number}"))
    log.sign().add(make_event("the first that is kept"))
    archive = b"".join(record + b"\n" for record in log.records)
    body: dict[str, Any] = {
        "archive": f"sha256:{sha256_hex(archive)}",
        "before": _PRUNED,
        "leaf": f"sha256:{leaf_hash(log.records[_PRUNED - 1]).hex()}",
        "reason": "seven years are over",
        "root": f"sha256:{log.root(0, _PRUNED).hex()}",
    }
    return log.add(make_act("log.prune", body | changes)).add(make_event("the last"))


def _rest(log: SmallLog, **changes: Any) -> Files:
    edge = [f"sha256:{log.root(index << level, index + 1 << level).hex()}" for level, index in nodes_of((0, _PRUNED))]
    leaf = f"sha256:{leaf_hash(log.records[_PRUNED - 1]).hex()}"
    facts = {"before": _PRUNED, "edge": edge, "leaf": leaf, "schema_version": 1} | changes
    kept = b"".join(record + b"\n" for record in log.records[_PRUNED:])
    return log.files() | {"records.jsonl": kept, "pruned.json": canonicalize(facts) + b"\n"}


def _prunings() -> dict[str, Case]:
    log, digest = _long_log(), f"sha256:{bytes(32).hex()}"
    silent = SmallLog(records=log.records[:-2], notes=log.notes[:-2])
    pruned = Case(files=_rest(log), verified_from_seq=_PRUNED)

    def found(code: str, files: Files) -> Case:
        return accused(_PRUNED, code, files, verified_from_seq=_PRUNED)

    return {
        "pruned": pruned,
        "pruned, and a later checkpoint was held": Case(
            files=pruned.files, held=(log.notes[-2],), completeness="valid", verified_from_seq=_PRUNED
        ),
        "pruned, and the last pruned checkpoint was held": Case(
            files=pruned.files, held=(log.notes[-4],), completeness="valid", verified_from_seq=_PRUNED
        ),
        "pruned, and no record of it": found("prune_mismatch", _rest(silent)),
        "pruned, the record names another root": found("prune_mismatch", _rest(_long_log(root=digest))),
        "pruned, the record names another leaf": found("prune_mismatch", _rest(_long_log(leaf=digest))),
        "pruned, another edge": found("root_mismatch", _rest(log, edge=[digest, digest])),
        "pruned, another leaf": found("prev_mismatch", _rest(log, leaf=digest)),
        "pruned, and half a tile too": _unreadable(_rest(log, before=640)),
        "pruned, an edge of one subtree": _unreadable(_rest(log, edge=[digest])),
        "pruned, another version": _unreadable(_rest(log, schema_version=2)),
        "pruned, one record more is missing": found(
            "seq_mismatch",
            pruned.files | {"records.jsonl": b"".join(record + b"\n" for record in log.records[_PRUNED + 1 :])},
        ),
    }


def _unreadable(files: Files) -> Case:
    return undecided(("unreadable",), files, policy_of(SIGNER))


def _malformed_acts() -> dict[str, Case]:
    """Well-formed records of the log's own kinds whose bodies say nothing."""
    digest = f"sha256:{bytes(32).hex()}"
    anchor = {"checkpoint": digest, "evidence": digest, "root": digest, "size": 1, "type": "rfc3161"}
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "an erasure of nothing named": ("log.erase", {"reason": "none"}),
        "an erasure of what is no digest": ("log.erase", {"attachments": ["everything"], "reason": "none"}),
        "a pruning without a root": ("log.prune", {"archive": digest, "before": 256, "leaf": digest, "reason": "none"}),
        "a pruning before a text": ("log.prune", {"before": "256", "leaf": digest, "root": digest}),
        "a compromise of no key": ("log.key.compromise", {"reason": "none", "trusted_size": 1}),
        "a compromise up to a negative size": ("log.key.compromise", {"key": _OLD, "trusted_size": -1}),
        "a heartbeat without an interval": ("log.heartbeat", {}),
        "a heartbeat that names another log by a number": ("log.heartbeat", {"interval_s": 60, "origins": [1]}),
        "a heartbeat that names other logs in a text": ("log.heartbeat", {"interval_s": 60, "origins": "a/b/c"}),
        "an anchor without a size": ("log.anchor", {name: anchor[name] for name in anchor if name != "size"}),
        "an anchor whose documents are not attachments": ("log.anchor", anchor),
    }
    return {
        name: accused(1, "record_malformed", SmallLog.begun().add(make_act(kind, body)).files())
        for name, (kind, body) in bodies.items()
    }


def _anchors() -> dict[str, Case]:
    def anchored(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Files:
        log = SmallLog.begun().add(make_event("one"))
        note, evidence = log.notes[1], b"evidence that nobody here can check"
        body = {
            "checkpoint": f"sha256:{sha256_hex(note)}",
            "evidence": f"sha256:{sha256_hex(evidence)}",
            "root": f"sha256:{log.root(0, 2).hex()}",
            "size": 2,
            "type": "rfc3161",
        }
        return log.add(make_act("log.anchor", change(body), attachments=(note, evidence))).files()

    return {
        "an anchor that cannot be checked": Case(files=anchored(lambda body: body)),
        "an anchor that says another size": accused(2, "anchor_mismatch", anchored(lambda body: body | {"size": 1})),
        "an anchor that says another root": accused(
            2, "anchor_mismatch", anchored(lambda body: body | {"root": f"sha256:{bytes(32).hex()}"})
        ),
    }


def _witnesses() -> dict[str, Case]:
    log = SmallLog.begun().add(make_event("one")).add(make_event("two"))
    longer = SmallLog(records=list(log.records), notes=list(log.notes)).add(make_event("three"))
    other = Checkpoint(origin=SIGNER.verifier_key.name, size=2, root=bytes(32))
    lying = _cosigned(sign_checkpoint(other, SIGNER), _ALICE, _BOB)
    foreign = cosign(log.notes[1], _ALICE, _NOON).line.encode()
    newest = log.notes[-1]

    def seen(note: bytes) -> Files:
        return log.files() | {"cosigned": note}

    return {
        "a quorum of witnesses": Case(
            files=seen(_cosigned(newest, _ALICE, _BOB)), policy=_WITNESSED, completeness="valid"
        ),
        "a quorum of witnesses for an older checkpoint": Case(
            files=seen(_cosigned(log.notes[1], _ALICE, _BOB)), policy=_WITNESSED, completeness="valid"
        ),
        "one witness of two": Case(files=seen(_cosigned(newest, _ALICE)), policy=_WITNESSED),
        "witnesses whom nobody asked for": Case(files=seen(_cosigned(newest, _ALICE, _BOB))),
        "a cosigned checkpoint beyond the end": accused(
            3,
            "truncated",
            seen(_cosigned(longer.notes[-1], _ALICE, _BOB)),
            policy=_WITNESSED,
            integrity="valid",
            completeness="tampered",
        ),
        "a cosigned checkpoint of another tree": accused(1, "root_mismatch", seen(lying), policy=_WITNESSED),
        "a false cosignature": accused(None, "signature_invalid", seen(newest + foreign), policy=_WITNESSED),
    }


_NOON = EpochNs(1_767_268_800_000_000_000)


def _cosigned(note: bytes, *witnesses: SeedSigner) -> bytes:
    return add_cosignatures(note, [cosign(note, witness, _NOON) for witness in witnesses])
