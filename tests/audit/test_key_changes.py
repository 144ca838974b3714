"""Changing the log's key: recorded under both, refused without the ceremony, and given up with a size."""

import uuid
from dataclasses import replace

import pytest

from lockgate.audit import (
    Actor,
    AuditLog,
    LogForeignError,
    Receipt,
    open_checkpoint,
    store,
    verify_receipt,
)
from lockgate.audit.errors import KeyChangeError
from lockgate.audit.formats.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign, witness_key_of
from lockgate.audit.formats.kind_names import KEY_COMPROMISE, KEY_ROTATE
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, Witness
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.timestamps import Timestamp, make_timestamp_request, open_timestamp_response
from lockgate.audit.keeping.anchors import anchor_event
from lockgate.audit.keeping.key_changes import (
    Attestation,
    newest_attestation,
    read_key_history,
    record_compromise,
    rotate_key,
)
from lockgate.audit.verification.export_folder import CHECKPOINT, CHECKPOINTS, ExportFolder
from lockgate.audit.verification.verifier import Trust
from lockgate.audit.verification.verifier import verify_export as verify_folder
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.digests import sha256_hex
from lockgate.storage import read_transaction, write_transaction
from support.audit_logs import ORIGIN, LogStand, make_event, verify_export
from support.keyed_logs import log_under
from support.timestamp_authority import Authority

OPERATOR = Actor(type="system", id="command-line")
NEW = make_signer(ORIGIN, bytes(31) + b"\x01")
NEWER = make_signer(ORIGIN, bytes(31) + b"\x02")
WITNESS = make_signer("witness.example/w1", bytes(31) + b"\x07")
POLICY = LogPolicy(
    logs=(LogKey(key=NEW.verifier_key),), witnesses=(Witness(name="w1", key=witness_key_of(WITNESS)),), quorum="w1"
)
END = EpochNs(1_900_000_000 * NS_PER_S)


def _rotate(stand: LogStand, old: SeedSigner, new: SeedSigner) -> Receipt | None:
    log = log_under(stand, new, old)
    return rotate_key(log, old.verifier_key, new.verifier_key, OPERATOR, stand.clock.now_ns())


def _compromise(log: AuditLog, keys: list[SeedSigner], lost: SeedSigner, size: int) -> Receipt:
    return record_compromise(
        log,
        [key.verifier_key for key in keys],
        lost.verifier_key,
        size,
        reason="a laptop was stolen",
        actor=OPERATOR,
        now=EpochNs(1_700_000_000 * NS_PER_S),
    )


def test_rotation_is_recorded_under_both_keys(stand: LogStand) -> None:
    """The record names both keys, and its receipt verifies under either of them alone."""
    stand.fill(3)
    receipt = _rotate(stand, stand.signer, NEW)
    assert receipt is not None
    records = [verify_receipt(receipt, [each.verifier_key]) for each in (stand.signer, NEW)]

    assert [record["kind"] for record in records] == [KEY_ROTATE, KEY_ROTATE]
    assert records[0]["body"] == {"old_key": str(stand.signer.verifier_key), "new_key": str(NEW.verifier_key)}


def test_log_goes_on_after_each_step(stand: LogStand) -> None:
    """With both keys, then with the new one alone, the log is appended to; and it verifies under both."""
    _rotate(stand, stand.signer, NEW)
    log_under(stand, NEW, stand.signer).append(make_event())
    log_under(stand, NEW).append(make_event())

    assert verify_export(stand.export(), stand.signer, NEW).verdict == "valid"
    assert open_checkpoint(stand.log.checkpoint(), [NEW.verifier_key]).size == 4


def test_process_with_the_old_key_alone_stops(stand: LogStand) -> None:
    """After the change a process that was not told of it appends nothing, also one that wrote before."""
    stand.fill(2)
    _rotate(stand, stand.signer, NEW)
    before = stand.log.checkpoint()

    for log in (stand.log, stand.reopened()):
        with pytest.raises(LogForeignError, match="was changed"):
            log.append(make_event())
    assert stand.log.checkpoint() == before
    log_under(stand, NEW, stand.signer).append(make_event())


def test_old_key_alone_is_unverifiable_and_no_accusation(stand: LogStand) -> None:
    """An auditor who lacks one of the keys accuses nobody."""
    _rotate(stand, stand.signer, NEW)
    log_under(stand, NEW).append(make_event())
    out = stand.export()

    assert verify_export(out, stand.signer).verdict == "unverifiable"
    assert verify_export(out, NEW).verdict in {"valid", "unverifiable"}


def test_key_swapped_without_the_ceremony_is_refused(stand: LogStand) -> None:
    """A process that has only a new key does not go on with the log; nothing is written."""
    stand.fill(2)
    before = stand.log.checkpoint()

    with pytest.raises(LogForeignError):
        log_under(stand, NEW).append(make_event())
    assert stand.log.checkpoint() == before


def test_asking_twice_records_once(stand: LogStand) -> None:
    """The same rotation again, after an answer was lost, is answered without a second record."""
    assert _rotate(stand, stand.signer, NEW) is not None
    size = read_checkpoint(stand.log.checkpoint()).size

    assert _rotate(stand, stand.signer, NEW) is None
    assert read_checkpoint(stand.log.checkpoint()).size == size


def test_keys_that_cannot_follow(stand: LogStand) -> None:
    """A key of another name, the same key, a key that signed before, and a wrong old key are refused."""
    _rotate(stand, stand.signer, NEW)
    _rotate(stand, NEW, NEWER)
    before = stand.log.checkpoint()

    for old, new in ((NEWER, NEWER), (NEWER, NEW), (NEWER, stand.signer), (NEW, make_signer(ORIGIN, bytes(32)))):
        log = log_under(stand, NEWER)
        with pytest.raises(KeyChangeError):
            rotate_key(log, old.verifier_key, new.verifier_key, OPERATOR, stand.clock.now_ns())
    with pytest.raises(KeyChangeError):
        stranger = make_signer("other.example/audit", bytes(32))
        rotate_key(log_under(stand, NEWER), NEWER.verifier_key, stranger.verifier_key, OPERATOR, END)
    assert stand.log.checkpoint() == before


def test_auditors_policy_of_the_manual(stand: LogStand) -> None:
    """With the sizes that the manual gives, the log verifies, and nothing that the old key signs later counts."""
    stand.fill(3)
    receipt = _rotate(stand, stand.signer, NEW)
    assert receipt is not None
    log_under(stand, NEW, stand.signer).append(make_event())
    log_under(stand, NEW).append(make_event())
    last = receipt.seq
    policy = LogPolicy(
        logs=(
            LogKey(key=stand.signer.verifier_key, last_size=last),
            LogKey(key=NEW.verifier_key, first_size=last + 1),
        )
    )
    export = stand.export()
    fork = read_checkpoint(ExportFolder(export).newest_checkpoint())

    assert verify_folder(ExportFolder(export), Trust(policy=policy)).verdict == "valid"
    (export / CHECKPOINT).write_bytes(sign_checkpoint(fork, stand.signer))
    notes = (export / CHECKPOINTS).read_bytes().replace(stand.log.checkpoint(), sign_checkpoint(fork, stand.signer))
    (export / CHECKPOINTS).write_bytes(notes)
    assert verify_folder(ExportFolder(export), Trust(policy=policy)).verdict == "unverifiable"


def test_history_is_the_logs_own(stand: LogStand) -> None:
    """The log says which key signs, which signed before, and which are given up."""
    _rotate(stand, stand.signer, NEW)
    _rotate(stand, NEW, NEWER)
    _compromise(log_under(stand, NEWER), [NEWER], NEW, 2)
    with read_transaction(stand.engine) as connection:
        history = read_key_history(connection, ORIGIN)

    assert history.current == str(NEWER.verifier_key)
    assert history.former == (str(stand.signer.verifier_key), str(NEW.verifier_key))
    assert history.compromised == (str(NEW.verifier_key),)


def test_compromise_is_recorded_under_another_key(stand: LogStand) -> None:
    """The record names the key, the size and the reason; a lost key is never the one that signs it."""
    stand.fill(3)
    _rotate(stand, stand.signer, NEW)
    log = log_under(stand, NEW)
    receipt = _compromise(log, [NEW], stand.signer, 4)

    record = verify_receipt(receipt, [NEW.verifier_key])
    assert (record["kind"], record["body"]) == (
        KEY_COMPROMISE,
        {"key": str(stand.signer.verifier_key), "trusted_size": 4, "reason": "a laptop was stolen"},
    )


def test_compromise_that_makes_no_sense(stand: LogStand) -> None:
    """The signing key, a key that signs beside it, a key of nobody and a size beyond the log are refused."""
    stand.fill(3)
    with pytest.raises(KeyChangeError, match="new key first"):
        _compromise(stand.log, [stand.signer], stand.signer, 1)
    _rotate(stand, stand.signer, NEW)
    with pytest.raises(KeyChangeError, match="rotated first"):
        _compromise(log_under(stand, NEW, stand.signer), [stand.signer], NEW, 1)
    with pytest.raises(KeyChangeError, match="new key first"):
        _compromise(log_under(stand, NEW, stand.signer), [NEW, stand.signer], stand.signer, 1)
    with pytest.raises(KeyChangeError, match="that signed"):
        _compromise(log_under(stand, NEW), [NEW], NEWER, 1)
    with pytest.raises(KeyChangeError, match="at most"):
        _compromise(log_under(stand, NEW), [NEW], stand.signer, 99)


def _cosign(stand: LogStand, at_s: int, witness: SeedSigner = WITNESS, note: bytes | None = None) -> int:
    note = stand.log.checkpoint() if note is None else note
    size = read_checkpoint(note).size
    cosigned = add_cosignatures(note, [cosign(note, witness, EpochNs(at_s * NS_PER_S))])
    with write_transaction(stand.engine) as connection:
        store.add_cosigned(connection, ORIGIN, size, cosigned)
    return size


def _stamp(authority: Authority, note: bytes) -> Timestamp:
    request = make_timestamp_request(note)
    answer = authority.answer(request.body, EpochNs(1_700_000_000 * NS_PER_S))
    timestamp = open_timestamp_response(answer, note, request.nonce, authority.trust)
    assert isinstance(timestamp, Timestamp)
    return timestamp


def test_newest_attestation_is_by_a_known_witness_before_the_time(stand: LogStand) -> None:
    """What counts is the largest size that a known witness or authority attested before the key was lost."""
    authority = Authority()
    stand.fill(2)
    _cosign(stand, 1000)
    stand.fill(1)
    token = _stamp(authority, note := stand.log.checkpoint())
    stand.log.append(anchor_event("rfc3161", note, token.token, time=token.time, actor=OPERATOR, now=END))
    _cosign(stand, 1_800_000_000)

    def newest(policy: LogPolicy | None, trusted: Authority | None, before: int) -> Attestation | None:
        return newest_attestation(
            stand.engine, ORIGIN, policy, trusted.trust if trusted else None, EpochNs(before * NS_PER_S)
        )

    at = EpochNs(1_700_000_000 * NS_PER_S)
    assert newest(POLICY, authority, 1_900_000_000) == Attestation(
        size=5, by="witness w1", time=EpochNs(1_800_000_000 * NS_PER_S)
    )
    assert newest(POLICY, authority, 1_750_000_000) == Attestation(size=4, by="the timestamp in record 4", time=at)
    assert newest(POLICY, None, 1_750_000_000) == Attestation(size=3, by="witness w1", time=EpochNs(1000 * NS_PER_S))
    assert newest(None, Authority(), 1_900_000_000) is None
    assert newest(POLICY, None, 1000) is None


def test_what_nobody_trusted_attested_does_not_count(stand: LogStand) -> None:
    """A stranger's cosignature, and one of a checkpoint that this log does not keep, are no attestations."""
    stand.fill(2)
    _cosign(stand, 1000, make_signer("witness.example/w1", bytes(32)))
    fork = sign_checkpoint(Checkpoint(origin=ORIGIN, size=2, root=bytes(32)), stand.signer)
    _cosign(stand, 1000, note=fork)
    authority = Authority()
    for note in (fork, b"no checkpoint"):
        token = _stamp(authority, note)
        event = anchor_event("rfc3161", stand.log.checkpoint(), token.token, time=token.time, actor=OPERATOR, now=END)
        body = {**event.body, "checkpoint": f"sha256:{sha256_hex(note)}"}
        stand.log.append(replace(event, id=str(uuid.uuid4()), body=body, attachments=(note, token.token)))

    assert newest_attestation(stand.engine, ORIGIN, POLICY, authority.trust, END) is None
    with pytest.raises(LogForeignError):
        newest_attestation(stand.engine, "other.example/audit", POLICY, None, END)
