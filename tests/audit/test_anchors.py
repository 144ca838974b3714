"""Anchors: what is due, who is believed, and what ends up in the log."""

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from lockgate.audit import Actor, AuditLog
from lockgate.audit.errors import AnchorError
from lockgate.audit.formats.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from lockgate.audit.formats.kind_names import ANCHOR
from lockgate.audit.formats.notes import format_signer, make_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.formats.timestamps import TOKEN_BYTES_MAX, Timestamp, verify_timestamp
from lockgate.audit.keeping.anchors import (
    AnchorRefusal,
    TimestampAuthorities,
    anchor_event,
    ask_authorities,
    check_checkpoint,
    due_checkpoint,
)
from lockgate.audit.types import RecordFilter
from lockgate.cli.audit import audit
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import sha256_hex, sha256_of
from lockgate.system_clock import SystemClock
from support.audit_logs import ORIGIN, LogStand, make_event, verify_export
from support.misbehaving_server import Behaviour, answer, misbehaving_server
from support.timestamp_authority import AT, Authority, AuthorityServer, imprint_of, serve_authority

OPERATOR = Actor(type="system", id="command-line")
HOUR_NS = 3600 * NS_PER_S
SIGNER = VirtualSigner(identity="keeper@example.com", issuer="https://id.example")


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority."""
    return Authority()


@pytest.fixture
def served(authority: Authority) -> Iterator[AuthorityServer]:
    """The same on loopback."""
    with serve_authority(authority) as server:
        yield server


def _ask(
    stand: LogStand, authority: Authority, *urls: str, timeout_s: float = 5.0
) -> tuple[Timestamp | None, list[str]]:
    authorities = TimestampAuthorities(urls=urls, trust=authority.trust)
    timestamp, refusals = ask_authorities(stand.log.checkpoint(), authorities, timeout_s=timeout_s)
    assert all(isinstance(refusal, AnchorRefusal) for refusal in refusals)
    return timestamp, [refusal.code for refusal in refusals]


def _anchor(log: AuditLog, note: bytes, evidence: bytes, now: int) -> None:
    log.append(anchor_event("rfc3161", note, evidence, time=AT, actor=OPERATOR, now=EpochNs(now)))


def test_good_authority(stand: LogStand, authority: Authority, served: AuthorityServer) -> None:
    """A served authority gives a token over the checkpoint's exact bytes."""
    stand.fill(3)
    timestamp, refused = _ask(stand, authority, served.url)
    assert timestamp is not None

    assert (timestamp.time, refused) == (AT, [])
    assert verify_timestamp(timestamp.token, stand.log.checkpoint(), authority.trust) == timestamp


def test_record_holds_what_an_auditor_needs(stand: LogStand, authority: Authority, served: AuthorityServer) -> None:
    """The record names size, root and time; the checkpoint and the token are its attachments; the log verifies."""
    stand.fill(2)
    note = stand.log.checkpoint()
    timestamp, _ = _ask(stand, authority, served.url)
    assert timestamp is not None
    _anchor(stand.log, note, timestamp.token, stand.clock.now_ns())
    (stored,) = stand.log.find(RecordFilter(kind=ANCHOR))
    record = parse_record(stored.body)

    assert record["body"] == {
        "type": "rfc3161",
        "size": 3,
        "root": f"sha256:{read_checkpoint(note).root.hex()}",
        "checkpoint": f"sha256:{sha256_hex(note)}",
        "evidence": f"sha256:{sha256_hex(timestamp.token)}",
        "time": format_timestamp(AT),
    }
    assert stand.log.attachment(sha256_hex(note)) == note
    assert stand.log.attachment(sha256_hex(timestamp.token)) == timestamp.token
    assert verify_export(stand.export(), stand.signer).verdict == "valid"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (answer(200, b"<html>"), "audit.timestamp_malformed"),
        (answer(200, b""), "audit.timestamp_malformed"),
        (answer(200, bytes.fromhex("30053003020102")), "audit.timestamp_not_granted"),
        (answer(500, bytes(10 * 1024 * 1024)), "audit.authority_unreachable"),
        (answer(503, b"later"), "audit.authority_unavailable"),
        (answer(302, b"", "Location: http://127.0.0.1:9/"), "audit.authority_unavailable"),
        (answer(200, bytes(TOKEN_BYTES_MAX + 1)), "audit.authority_unreachable"),
        (lambda _connection: None, "audit.authority_unreachable"),
    ],
    ids=["html", "empty", "no", "10 MB of error", "busy", "elsewhere", "too long", "hangs up"],
)
def test_bad_authority(stand: LogStand, authority: Authority, behaviour: Behaviour, code: str) -> None:
    """Whatever an authority does instead of its work has a name, and there is no anchor."""
    with misbehaving_server(behaviour) as server:
        url = f"http://{server.address.host}:{server.address.port}"

        assert _ask(stand, authority, url) == (None, [code])


def test_slow_authority(stand: LogStand, authority: Authority, served: AuthorityServer) -> None:
    """An answer that takes too long is none."""

    def dawdle(_body: bytes) -> tuple[int, bytes]:
        time.sleep(1.0)
        return 200, b""

    served.answer = dawdle

    assert _ask(stand, authority, served.url, timeout_s=0.2) == (None, ["audit.authority_unreachable"])


def test_lying_authorities(stand: LogStand, authority: Authority, served: AuthorityServer) -> None:
    """An old answer, one about other bytes and one by somebody else are refused by name."""
    old: list[bytes] = []

    def repeat(body: bytes) -> tuple[int, bytes]:
        old.append(authority.answer(body))
        return 200, old[0]

    served.answer = repeat
    assert _ask(stand, authority, served.url)[1] == []
    assert _ask(stand, authority, served.url) == (None, ["audit.timestamp_nonce"])
    served.answer = lambda body: (200, authority.answer(body, message_imprint=imprint_of(b"other")))
    assert _ask(stand, authority, served.url) == (None, ["audit.timestamp_message"])
    stranger = Authority()
    served.answer = lambda body: (200, stranger.answer(body))
    assert _ask(stand, authority, served.url) == (None, ["audit.timestamp_untrusted"])


def test_next_authority_is_asked(stand: LogStand, authority: Authority, served: AuthorityServer) -> None:
    """When the first fails the second is asked, and not the other way round."""
    with misbehaving_server(answer(503, b"")) as down:
        url = f"http://{down.address.host}:{down.address.port}"
        timestamp, refused = _ask(stand, authority, url, served.url)
        again, none = _ask(stand, authority, served.url, url)

        assert timestamp is not None
        assert refused == ["audit.authority_unavailable"]
        assert again is not None
        assert (none, len(down.requests)) == ([], 1)


def test_what_is_due(stand: LogStand) -> None:
    """A checkpoint is due when there is no anchor yet, or the last is old and more than its own record came since."""
    log, clock = stand.log, stand.clock
    stand.fill(2)
    first = log.checkpoint()
    assert due_checkpoint(log, "rfc3161", HOUR_NS, clock.now_ns()) == first
    _anchor(log, first, b"token", clock.now_ns())

    assert due_checkpoint(log, "rfc3161", HOUR_NS, clock.now_ns()) is None
    clock.now += 2 * HOUR_NS
    assert due_checkpoint(log, "rfc3161", HOUR_NS, clock.now_ns()) is None  # nothing but the anchor came since
    stand.fill(1)
    assert due_checkpoint(log, "rfc3161", HOUR_NS, clock.now_ns()) == log.checkpoint()
    assert due_checkpoint(log, "rfc3161", 3 * HOUR_NS, clock.now_ns()) is None
    _anchor(log, log.checkpoint(), b"token", clock.now_ns())
    assert due_checkpoint(log, "rfc3161", HOUR_NS, clock.now_ns()) is None


def test_anchor_from_the_future_is_due(stand: LogStand) -> None:
    """An anchor that was recorded while the clock ran ahead holds up none; one by a clock a little ahead is young."""
    _anchor(stand.log, stand.log.checkpoint(), b"token", stand.clock.now_ns())
    stand.fill(1)
    stand.clock.now -= 5 * NS_PER_S
    assert due_checkpoint(stand.log, "rfc3161", HOUR_NS, stand.clock.now_ns()) is None
    stand.clock.now -= 10 * NS_PER_S

    assert due_checkpoint(stand.log, "rfc3161", HOUR_NS, stand.clock.now_ns()) == stand.log.checkpoint()


def test_records_beside_the_anchor_are_due(stand: LogStand) -> None:
    """A record that was written while the authority was asked is anchored the next time."""
    note = stand.log.checkpoint()
    stand.fill(1)
    _anchor(stand.log, note, b"token", stand.clock.now_ns())
    stand.clock.now += 2 * HOUR_NS

    assert due_checkpoint(stand.log, "rfc3161", HOUR_NS, stand.clock.now_ns()) == stand.log.checkpoint()


def test_checkpoints_that_are_not_ours(stand: LogStand) -> None:
    """A checkpoint of another key, of a fork, or of a size that was never signed is not taken as the log's."""
    stand.fill(2)
    good = read_checkpoint(stand.log.checkpoint())
    fork = Checkpoint(origin=ORIGIN, size=good.size, root=bytes(32))
    unsigned = Checkpoint(origin=ORIGIN, size=good.size + 1, root=good.root)
    keys = [stand.signer.verifier_key]

    assert check_checkpoint(stand.engine, stand.log.checkpoint(), keys) == good
    for checkpoint, signer in (
        (good, make_signer(ORIGIN, bytes(32))),
        (fork, stand.signer),
        (unsigned, stand.signer),
    ):
        with pytest.raises(AnchorError):
            check_checkpoint(stand.engine, sign_checkpoint(checkpoint, signer), keys)
    with pytest.raises(AnchorError):
        check_checkpoint(stand.engine, b"no checkpoint", keys)


@pytest.fixture
def sigstore(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> VirtualSigstore:
    """An instance that the gate's settings trust; the log's key lies in the data folder."""
    (stand.folder / "log.key").write_text(format_signer(stand.signer) + "\n")
    (stand.folder / "log.key").chmod(0o600)
    trust = stand.folder / "trust"
    trust.mkdir()
    made = VirtualSigstore(name="test", clock=SystemClock())
    made.write_trust_domain(trust)
    monkeypatch.setenv("LOCKGATE_TRUST_DIR", str(trust))
    monkeypatch.setenv("LOCKGATE_DEFAULT_TRUST_DOMAIN", "test")
    return made


def _record_bundle(stand: LogStand, note: bytes, bundle: bytes) -> Result:
    files: list[Path] = []
    for name, data in (("note", note), ("bundle", bundle)):
        files.append(stand.folder / name)
        files[-1].write_bytes(data)
    command = ["anchor", "--data-dir", stand.folder, "--checkpoint", files[0], "--bundle", files[1]]
    return CliRunner().invoke(audit, [str(word) for word in command])


def test_bundle_made_elsewhere(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """A Sigstore bundle over a checkpoint's bytes is verified and recorded, with the time that its log gives."""
    stand.fill(2)
    note = stand.log.checkpoint()
    stand.fill(2)
    bundle = sigstore.sign_artifact(sha256_of(note), SIGNER)
    result = _record_bundle(stand, note, bundle)
    (stored,) = stand.log.find(RecordFilter(kind=ANCHOR))
    body = parse_record(stored.body)["body"]

    assert (result.exit_code, body["type"], body["size"]) == (0, "sigstore", 3)
    assert stand.log.attachment(body["evidence"].removeprefix("sha256:")) == bundle
    assert "time" in body
    assert "keeper@example.com" in result.stderr


def test_bundles_that_anchor_nothing(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """A bundle over other bytes, a statement about them, one of a stranger's instance, and no bundle are refused."""
    stand.fill(2)
    note = stand.log.checkpoint()
    digest = sha256_of(note)
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "checkpoint", "digest": {"sha256": digest.hex}}],
        "predicateType": "https://example.com/p",
        "predicate": {},
    }
    stranger = VirtualSigstore(name="test", clock=SystemClock())
    fork = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=bytes(32)), stand.signer)
    for signed, bundle in (
        (note, sigstore.sign_artifact(sha256_of(note + b"\n"), SIGNER)),
        (note, sigstore.sign_statement(statement, SIGNER)),
        (note, stranger.sign_artifact(digest, SIGNER)),
        (note, orjson.dumps({})),
        (fork, sigstore.sign_artifact(sha256_of(fork), SIGNER)),
    ):
        result = _record_bundle(stand, signed, bundle)

        assert isinstance(result.exception, AnchorError)
    assert stand.log.find(RecordFilter(kind=ANCHOR)) == ()
    stand.log.append(make_event())
