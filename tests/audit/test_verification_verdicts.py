"""Integrity, completeness and freshness: what each needs, and what each says."""

from typing import Any

import pytest
from rfc3161_client import decode_timestamp_response

from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import cosign, witness_key_of
from lockgate.audit.formats.kind_names import ANCHOR, ERASE, HEARTBEAT, KEY_COMPROMISE, KEY_ROTATE, PRUNE
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, Witness
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.verification.timestamp_anchors import timestamp_check
from lockgate.audit.verification.verdicts import Demands
from lockgate.audit.verification.verifier import Trust
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.digests import sha256_hex
from support.timestamp_authority import Authority
from support.written_logs import MILLISECOND_NS, ORIGIN, SIGNER, START_NS, WrittenLog, found, only

NEW = make_signer(ORIGIN, bytes(range(1, 33)))
WITNESS = make_signer("witness.example", bytes(range(2, 34)))
WITNESSED = LogPolicy(
    logs=only().logs, witnesses=(Witness(name="w", key=witness_key_of(WITNESS)),), groups=(), quorum="w"
)


def _notes(verification: Any) -> dict[str, str]:
    return {note.code: note.detail for note in verification.notes}


def _cosigned(note: bytes) -> bytes:
    return note + cosign(note, WITNESS, EpochNs(START_NS)).line.encode()


# Completeness.


def test_nothing_from_outside_leaves_completeness_open() -> None:
    """A log that nobody else saw is valid, but not known to be complete; who demands that is told it cannot be said."""
    log = WrittenLog().fill(5)
    plain = log.verify()
    demanding = log.verify(Trust(policy=only(), demands=Demands(required=("completeness",))))

    assert (plain.verdict, plain.integrity, plain.completeness) == ("valid", "valid", "unverifiable")
    assert _notes(plain)["unanchored"].endswith("the records from 0 up to 4")
    assert "not_split_view_resistant" in _notes(plain)
    assert (demanding.verdict, demanding.integrity) == ("unverifiable", "valid")


def test_held_checkpoint_says_how_far_the_log_reached() -> None:
    """A checkpoint that the auditor kept makes the log complete up to it; what lies behind is named as unanchored."""
    log = WrittenLog().fill(3)
    held = log.notes[-1]
    log.fill(4)
    verification = log.verify(Trust(policy=only(), held=(held,)))

    assert (verification.completeness, verification.outside_size) == ("valid", 3)
    assert _notes(verification)["unanchored"].endswith("the records from 3 up to 6")


def test_records_short_of_a_held_checkpoint_are_truncated_though_intact() -> None:
    """A log cut back is whole in itself and incomplete: integrity valid, completeness and the verdict tampered."""
    log = WrittenLog().fill(5)
    held = log.notes[-1]
    del log.lines[3:], log.notes[3:]
    verification = log.verify(Trust(policy=only(), held=(held,)))

    assert (verification.integrity, verification.completeness) == ("valid", "tampered")
    assert found(verification) == ("tampered", 3, {"truncated"})


def test_broken_chain_leaves_completeness_and_freshness_open() -> None:
    """Of a log that could not be read to its end nobody can say how far it reached or how new it is."""
    log = WrittenLog().fill(6)
    held = log.notes[2]
    log.lines[4] = b"{}"
    demands = Demands(now=EpochNs(START_NS), age_s_max=60)
    verification = log.verify(Trust(policy=only(), held=(held,), demands=demands))

    assert (verification.integrity, verification.outside_size) == ("tampered", 3)
    assert (verification.completeness, verification.freshness) == ("unverifiable", "unverifiable")


def test_quorum_of_witnesses_counts_as_outside() -> None:
    """With a quorum's cosignatures the log is complete up to them and split-view resistant; with too few it is not."""
    log = WrittenLog().fill(4)
    met = log.verify(Trust(policy=WITNESSED), cosigned=[_cosigned(log.notes[3])])
    unmet = log.verify(Trust(policy=WITNESSED), cosigned=[log.notes[3]])

    assert (met.completeness, met.outside_size) == ("valid", 4)
    assert not {"not_split_view_resistant", "unanchored"} & _notes(met).keys()
    assert (unmet.completeness, unmet.outside_size) == ("unverifiable", None)
    assert "not_split_view_resistant" in _notes(unmet)


def test_log_rewritten_by_its_own_key_contradicts_its_witnesses() -> None:
    """Whoever holds the key can rewrite everything, but not what witnesses cosigned."""
    cosigned = _cosigned(WrittenLog().fill(4).notes[3])
    rewritten = WrittenLog()
    rewritten.add()
    rewritten.add(body={"forged": True})
    rewritten.fill(4)
    verification = rewritten.verify(Trust(policy=WITNESSED), cosigned=[cosigned])

    assert found(rewritten.verify()) == ("valid", None, set())
    assert (verification.integrity, found(verification)[2]) == ("tampered", {"root_mismatch"})


def test_false_cosignature_is_found() -> None:
    """A line that names a known witness and is not by it accuses."""
    log = WrittenLog().fill(2)
    line = cosign(log.notes[0], WITNESS, EpochNs(START_NS)).line.encode()

    assert found(log.verify(Trust(policy=WITNESSED), cosigned=[log.notes[1] + line])) == (
        "tampered",
        None,
        {"signature_invalid"},
    )


# Anchors.


def _anchored(authority: Authority, **changes: Any) -> WrittenLog:
    log = WrittenLog().fill(3)
    note = log.notes[-1]
    response = authority.timestamp(note, EpochNs(START_NS))
    token = _token_of(response)
    body = {
        "type": "rfc3161",
        "size": 3,
        "root": f"sha256:{log.root(3).hex()}",
        "checkpoint": f"sha256:{sha256_hex(note)}",
        "evidence": f"sha256:{sha256_hex(token)}",
        **changes,
    }
    log.add(ANCHOR, body, attachments=(note, token))
    log.sign()
    return log


def _token_of(response: bytes) -> bytes:
    return decode_timestamp_response(response).time_stamp_token()


def test_timestamp_under_the_auditors_roots_counts_as_outside() -> None:
    """An anchor whose token verifies makes the log complete up to it; without roots it is said to be unchecked."""
    authority = Authority()
    log = _anchored(authority)
    known = log.verify(Trust(policy=only(), check_anchor=timestamp_check(authority.trust)))
    unknown = log.verify()
    foreign = log.verify(Trust(policy=only(), check_anchor=timestamp_check(Authority().trust)))

    assert (known.verdict, known.completeness, known.outside_size) == ("valid", "valid", 3)
    assert _notes(known)["anchored"].startswith("3 records: existed at 2023-11-14T22:13:20")
    for verification, why in ((unknown, "1: no roots of trust for rfc3161"), (foreign, "audit.timestamp_untrusted")):
        assert (verification.verdict, verification.completeness) == ("valid", "unverifiable")
        assert why in _notes(verification)["anchors_not_checked"]


def test_sigstore_anchor_is_reported_as_unchecked() -> None:
    """An anchor of another type is there, and not checked here."""
    log = _anchored(Authority(), type="sigstore")
    verification = log.verify(Trust(policy=only(), check_anchor=timestamp_check(Authority().trust)))

    assert _notes(verification)["anchors_not_checked"] == "1: no roots of trust for sigstore"


def test_anchor_record_that_misquotes_its_checkpoint_is_found() -> None:
    """A `log.anchor` record whose size or root is not its checkpoint's says what nobody attested."""
    for changes in ({"size": 2}, {"root": "sha256:" + "0" * 64}):
        verification = _anchored(Authority(), **changes).verify()

        assert found(verification) == ("tampered", 3, {"anchor_mismatch"})


def test_anchored_checkpoint_of_another_tree_is_found() -> None:
    """An anchored checkpoint that the log's key signed over other records accuses the log."""
    log = WrittenLog().fill(3)
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)), SIGNER)
    body = {
        "type": "rfc3161",
        "size": 3,
        "root": "sha256:" + "0" * 64,
        "checkpoint": f"sha256:{sha256_hex(note)}",
        "evidence": f"sha256:{sha256_hex(b'token')}",
    }
    log.add(ANCHOR, body, attachments=(note, b"token"))
    log.sign()

    assert found(log.verify())[::2] == ("tampered", {"root_mismatch"})


# Freshness.


@pytest.mark.parametrize(
    ("age_s", "age_s_max", "freshness"),
    [
        (60, None, "valid"),
        (61, None, "stale"),
        (9, 10, "valid"),
        (11, 10, "stale"),
        (-299, 10, "valid"),
        (-301, 10, "unverifiable"),
    ],
)
def test_freshness_is_the_logs_promise_or_the_auditors_demand(
    age_s: int, age_s_max: int | None, freshness: str
) -> None:
    """The newest record is as young as the heartbeat promises, or as the auditor says; one of the future is neither."""
    log = WrittenLog().fill(2)
    seq = log.add(HEARTBEAT, {"interval_s": 60})
    log.sign()
    now = EpochNs(START_NS + seq * MILLISECOND_NS + age_s * NS_PER_S)
    verification = log.verify(
        Trust(policy=only(), demands=Demands(now=now, age_s_max=age_s_max, required=("freshness",)))
    )

    assert verification.freshness == freshness
    assert verification.verdict == ("valid" if freshness == "valid" else "unverifiable")


def test_freshness_needs_a_clock_and_a_promise() -> None:
    """Without a heartbeat and without a demand nothing says how new the newest record must be."""
    log = WrittenLog().fill(2)

    assert log.verify(Trust(policy=only(), demands=Demands(now=EpochNs(START_NS)))).freshness == "unverifiable"
    assert log.verify(Trust(policy=only(), demands=Demands(age_s_max=10))).freshness == "unverifiable"


# Erasing.


def _erase(log: WrittenLog, *documents: bytes) -> None:
    names = sorted(f"sha256:{sha256_hex(document)}" for document in documents)
    log.add(ERASE, {"attachments": names, "reason": "asked for"})
    for document in documents:
        log.documents.pop(sha256_hex(document), None)
    log.sign()


def test_erased_document_is_no_loss() -> None:
    """A document that a later record says was erased is not missing; how many were is told."""
    log = WrittenLog().fill(2)
    log.add(attachments=(b"name: Ann",))
    log.add(attachments=(b"name: Ann", b"other"))
    _erase(log, b"name: Ann")
    verification = log.verify()

    assert found(verification) == ("valid", None, set())
    assert _notes(verification)["erased"].startswith("1 documents")


def test_document_named_again_after_it_was_erased_is_missing() -> None:
    """An erasure speaks of what was named before it, not of what is named after."""
    log = WrittenLog().fill(2)
    log.add(attachments=(b"name: Ann",))
    _erase(log, b"name: Ann")
    seq = log.add(attachments=(b"name: Ann",))
    log.sign()
    log.documents.clear()

    assert found(log.verify()) == ("tampered", seq, {"attachment_missing"})


def test_document_gone_without_a_word_is_missing() -> None:
    """An erasure of another document excuses nothing."""
    log = WrittenLog().fill(2)
    seq = log.add(attachments=(b"evidence", b"name: Ann"))
    _erase(log, b"name: Ann")
    log.documents.clear()

    assert found(log.verify()) == ("tampered", seq, {"attachment_missing"})


# Keys.


def _rotated() -> WrittenLog:
    log = WrittenLog().fill(3)
    log.add(KEY_ROTATE, {"old_key": str(SIGNER.verifier_key), "new_key": str(NEW.verifier_key)})
    log.signers = (NEW, SIGNER)
    log.sign()
    log.fill(2)
    log.signers = (NEW,)
    return log.fill(2)


def _both(**last: int) -> LogPolicy:
    return LogPolicy(logs=(LogKey(key=SIGNER.verifier_key, last_size=last.get("old")), LogKey(key=NEW.verifier_key)))


def test_rotation_keeps_the_log_valid_for_who_knows_both_keys() -> None:
    """Old key, overlap and new key verify under a policy that names both; the rotation is told."""
    log = _rotated()
    verification = log.verify(Trust(policy=_both()))

    assert found(verification) == ("valid", None, set())
    assert "record 3 " in _notes(verification)["key_rotated"]
    assert found(log.verify(Trust(policy=_both(old=3), every_signature=True))) == ("valid", None, set())


@pytest.mark.parametrize(("known", "codes"), [(NEW, {"key_unknown"}), (SIGNER, {"key_unknown", "unsigned_tail"})])
def test_missing_key_is_unverifiable_not_tampered(known: Any, codes: set[str]) -> None:
    """Who lacks the old or the new key learns that he cannot tell; nobody is accused."""
    assert found(_rotated().verify(Trust(policy=only(known))))[::2] == ("unverifiable", codes)


def test_checkpoint_beyond_its_keys_range_is_by_an_unknown_key() -> None:
    """A key counts for the sizes that the policy gives it and for no other."""
    log = WrittenLog().fill(4)
    policy = LogPolicy(logs=(LogKey(key=SIGNER.verifier_key, last_size=3),))

    assert found(log.verify(Trust(policy=policy))) == ("unverifiable", 3, {"key_unknown", "unsigned_tail"})


def test_newest_checkpoint_by_a_compromised_key_is_not_enough() -> None:
    """What the log says of a compromised key takes trust away, and never excuses a contradiction."""
    log = WrittenLog().fill(3)
    log.add(KEY_COMPROMISE, {"key": str(SIGNER.verifier_key), "trusted_size": 2, "reason": "stolen"})
    log.sign()
    held = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)), SIGNER)

    assert found(log.verify()) == ("unverifiable", 2, {"key_compromised"})
    assert found(log.verify(Trust(policy=only(), held=(held,))))[0] == "tampered"
    log.signers = (NEW,)
    log.fill(1)
    assert found(log.verify(Trust(policy=_both()))) == ("valid", None, set())


# The log's own checkpoints.


def _spoil_signature(note: bytes) -> bytes:
    head, _, tail = note.rpartition(b" ")
    return head + b" " + tail[:40] + (b"A" if tail[40:41] != b"A" else b"B") + tail[41:]


def test_spoilt_signature_between_is_found_by_looking_at_every_one() -> None:
    """A spoilt signature of an older checkpoint harms no record; it is found where every signature is asked for."""
    log = WrittenLog().fill(6)
    log.notes[2] = _spoil_signature(log.notes[2])

    assert found(log.verify()) == ("valid", None, set())
    assert found(log.verify(Trust(policy=only(), every_signature=True)))[::2] == ("tampered", {"signature_invalid"})


@pytest.mark.parametrize("place", [0, -1])
def test_spoilt_signature_that_matters_is_always_found(place: int) -> None:
    """The newest signature and the first by a key are verified in any case."""
    log = WrittenLog().fill(6)
    log.notes[place] = _spoil_signature(log.notes[place])

    assert found(log.verify())[::2] == ("tampered", {"signature_invalid"})


@pytest.mark.parametrize("place", range(6))
def test_every_root_is_compared(place: int) -> None:
    """A rightly signed checkpoint of another tree accuses the log wherever it stands."""
    log = WrittenLog().fill(6)
    log.notes[place] = sign_checkpoint(Checkpoint(origin=ORIGIN, size=place + 1, root=bytes(32)), SIGNER)

    assert found(log.verify()) == ("tampered", place, {"root_mismatch"})


def test_changed_text_of_a_checkpoint_accuses_the_checkpoint() -> None:
    """A checkpoint whose root was changed without the key is a false signature, not a false record."""
    log = WrittenLog().fill(6)
    log.notes[2] = log.notes[2].replace(log.notes[2].split(b"\n")[2], log.notes[3].split(b"\n")[2])

    assert found(log.verify())[::2] == ("tampered", {"signature_invalid"})


def test_junk_behind_the_checkpoints_does_not_hide_a_cut() -> None:
    """Records that were cut off are missed although the last of the checkpoints is no checkpoint."""
    log = WrittenLog().fill(6)
    del log.lines[4:]
    log.notes.append(b"junk\n")

    assert found(log.verify())[::2] == ("tampered", {"truncated", "checkpoint_malformed"})


def test_malformed_act_of_the_log_is_found() -> None:
    """A body of one of the log's own kinds that breaks its form was not written by the log."""
    for kind, body in (
        (ERASE, {"attachments": "all"}),
        (ANCHOR, {"type": "rfc3161"}),
        (PRUNE, {"before": "512"}),
        (HEARTBEAT, {"interval_s": True}),
        (KEY_COMPROMISE, {"key": 1}),
    ):
        log = WrittenLog().fill(2)
        log.add(kind, body)
        log.sign()

        assert found(log.verify()) == ("tampered", 2, {"record_malformed"})
