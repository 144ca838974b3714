"""Receipts for whoever acts on them: signed by a quorum of witnesses, and of late; on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from lockgate.audit import AuditError, Receipt, verify_receipt
from lockgate.audit.errors import NotWitnessedError, RecordUnknownError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import cosign, witness_key_of
from lockgate.audit.formats.log_policy import Group, LogKey, LogPolicy, Witness, format_log_policy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.proofs import parse_proof
from lockgate.audit.formats.records import parse_record
from lockgate.audit.store import add_cosigned
from lockgate.audit.verification.command import main
from lockgate.audit.verification.receipts import ReceiptDemands, verify_receipt_under
from lockgate.cli.audit import audit
from lockgate.clock import NS_PER_S, EpochNs, parse_timestamp
from lockgate.storage import write_transaction
from support.audit_logs import ORIGIN, LogStand, make_stand

WITNESSES = tuple(make_signer(f"w{number}.example", bytes([number]) * 32) for number in (3, 4))
WITNESSED = ReceiptDemands(is_witnessed=True)


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log of four records; every test that asks for it runs on both databases."""
    made = make_stand(tmp_path, database_url)
    made.fill(3)
    yield made
    made.engine.dispose()


def _policy(stand: LogStand, threshold: int = 2, quorum: str | None = "both") -> LogPolicy:
    names = ("w3", "w4")
    return LogPolicy(
        logs=(LogKey(key=stand.signer.verifier_key),),
        witnesses=tuple(
            Witness(name=name, key=witness_key_of(signer)) for name, signer in zip(names, WITNESSES, strict=True)
        ),
        groups=(Group(name="both", threshold=threshold, members=names),),
        quorum=quorum,
    )


def _cosign(stand: LogStand, *signers: SeedSigner) -> bytes:
    """Have the newest checkpoint cosigned, as `tend` does."""
    note = stand.log.checkpoint()
    cosigned = note + b"".join(cosign(note, signer, EpochNs(stand.clock.now)).line.encode() for signer in signers)
    with write_transaction(stand.engine) as connection:
        add_cosigned(connection, ORIGIN, read_checkpoint(note).size, cosigned)
    return cosigned


def _code(receipt: Receipt, policy: LogPolicy, demands: ReceiptDemands) -> str | None:
    try:
        verify_receipt_under(receipt, policy, demands)
    except AuditError as exc:
        return exc.code
    return None


def test_witnessed_receipt_is_by_the_checkpoint_that_witnesses_signed(stand: LogStand) -> None:
    """It proves the same bytes by a larger checkpoint, with the witnesses' lines; the first receipt stays as it was."""
    own = stand.log.receipt(1)
    note = _cosign(stand, *WITNESSES)
    stand.fill(2)
    receipt = stand.log.witnessed_receipt(1)

    assert parse_proof(receipt.proof).checkpoint == note
    assert (receipt.seq, receipt.record) == (own.seq, own.record)
    assert stand.log.receipt(1) == own != receipt
    assert verify_receipt(receipt, [stand.signer.verifier_key])["seq"] == 1
    assert _code(receipt, _policy(stand), WITNESSED) is None


def test_what_no_witness_signed_yet_has_no_witnessed_receipt(stand: LogStand) -> None:
    """Before anybody cosigned, and behind what was cosigned, that is said; what is not there is told as ever."""
    codes = []
    for seq in (1, 99):
        with pytest.raises(RecordUnknownError) as caught:
            stand.log.witnessed_receipt(seq)
        codes.append(caught.value.code)
    _cosign(stand, *WITNESSES)
    stand.fill(1)

    assert codes == ["audit.not_witnessed", "audit.record_unknown"]
    assert stand.log.witnessed_receipt(3).seq == 3
    with pytest.raises(NotWitnessedError):
        stand.log.witnessed_receipt(4)


def test_too_few_witnesses_are_no_quorum(stand: LogStand) -> None:
    """One of two, none, or a policy that asks for nobody: where witnesses are demanded, that is not enough."""
    own = stand.log.receipt(1)
    _cosign(stand, WITNESSES[0])
    one = stand.log.witnessed_receipt(1)

    assert [_code(each, _policy(stand), WITNESSED) for each in (own, one)] == ["audit.receipt_unwitnessed"] * 2
    assert _code(one, _policy(stand, quorum=None), WITNESSED) == "audit.receipt_unwitnessed"
    assert _code(one, _policy(stand, threshold=1), WITNESSED) is None
    assert _code(own, _policy(stand), ReceiptDemands()) is None


def test_false_line_of_a_witness_accuses(stand: LogStand) -> None:
    """A line that names a witness of the policy and was made over another checkpoint is an invalid signature."""
    _cosign(stand, *WITNESSES)
    receipt = stand.log.witnessed_receipt(1)
    other = cosign(stand.log.checkpoint().replace(b"\n4\n", b"\n5\n"), WITNESSES[0], EpochNs(stand.clock.now))
    forged = replace(receipt, proof=receipt.proof + other.line)

    assert _code(forged, _policy(stand), WITNESSED) == "audit.signature_invalid"


@pytest.mark.parametrize(
    ("age_s", "code"),
    [(60, None), (61, "audit.receipt_stale"), (-300, None), (-301, "audit.receipt_stale")],
)
def test_record_may_be_so_old(stand: LogStand, age_s: int, code: str | None) -> None:
    """A record is of late up to the age that was named, and up to five minutes ahead of the clock."""
    receipt = stand.log.receipt(1)
    ts = parse_timestamp(parse_record(receipt.record)["ts"])
    demands = ReceiptDemands(now=EpochNs(ts + age_s * NS_PER_S), age_s_max=60)

    assert _code(receipt, _policy(stand), demands) == code
    assert _code(receipt, _policy(stand), replace(demands, now=None)) == "audit.receipt_stale"


def test_both_programs_ask_for_witnesses_and_age(
    stand: LogStand, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Demands that are met end with 0; one that is not ends with 2, says why, and accuses nobody."""
    own = stand.log.receipt(1)
    _cosign(stand, *WITNESSES)
    (tmp_path / "log.policy").write_text(format_log_policy(_policy(stand)))
    for name, receipt in (("own", own), ("witnessed", stand.log.witnessed_receipt(1))):
        document = {"seq": receipt.seq, "record": receipt.record.decode(), "proof": receipt.proof}
        (tmp_path / name).write_bytes(orjson.dumps(document))

    def codes(name: str, *options: str) -> tuple[int, int]:
        arguments = [str(tmp_path / name), "--policy", str(tmp_path / "log.policy"), *options]
        return main(["receipt", *arguments]), CliRunner().invoke(audit, ["verify-receipt", *arguments]).exit_code

    assert codes("own") == codes("witnessed") == (0, 0)
    assert codes("witnessed", "--require-witnesses") == (0, 0)
    assert codes("own", "--require-witnesses") == (2, 2)
    assert codes("own", "--max-age", "60") == (2, 2)  # the log's clock stands in 2023
    assert codes("own", "--max-age", str(10**9)) == (0, 0)
    assert "audit.receipt_unwitnessed" in capfd.readouterr().err
