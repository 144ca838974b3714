"""`lockgate audit verify` with what other rooms can check: Sigstore anchors, and bodies held to their schemas."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from rfc3161_client import decode_timestamp_response

from lockgate.audit import Actor, AuditLog, Event, KindCatalogue
from lockgate.audit.formats.kind_names import HEARTBEAT
from lockgate.audit.formats.records import encode_body
from lockgate.audit.keeping.anchors import anchor_event
from lockgate.audit.kinds import CheckedEvent, registration
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.verification.verifier import Trust
from lockgate.canonical_json import parse_json
from lockgate.cli.audit import audit
from lockgate.cli.audit.body_checks import BodySchemas
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import sha256_hex, sha256_of
from lockgate.system_clock import SystemClock
from support.audit_logs import LogStand, make_event
from support.timestamp_authority import Authority
from support.written_logs import WrittenLog, only

ACTOR = Actor(type="system", id="command-line")
SIGNER = VirtualSigner(identity="keeper@example.com", issuer="https://id.example")
SCHEMA = orjson.dumps(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": ["who"],
        "properties": {"who": {"type": "string", "maxLength": 80}},
    }
)


def _verify(*arguments: object) -> tuple[int, Any]:
    done = CliRunner().invoke(audit, ["verify", "--output", "json", *map(str, arguments)])
    return done.exit_code, parse_json(done.stdout_bytes, bytes_max=1_000_000) if done.stdout_bytes else done.stderr


def _notes(verification: Any) -> dict[str, str]:
    return {note["code"]: note["detail"] for note in verification["notes"]}


# Anchors.


def _trust_dir(folder: Path, *instances: VirtualSigstore) -> Path:
    folder.mkdir()
    for instance in instances:
        instance.write_trust_domain(folder)
    return folder


def _anchored(stand: LogStand, sigstore: VirtualSigstore) -> bytes:
    stand.clock.now = SystemClock().now_ns()  # the virtual Sigstore's
    stand.fill(2)
    note = stand.log.checkpoint()
    bundle = sigstore.sign_artifact(sha256_of(note), SIGNER)
    stand.log.append(anchor_event("sigstore", note, bundle, time=None, actor=ACTOR, now=stand.clock.now_ns()))
    return bundle


def test_sigstore_anchor_makes_a_log_complete(stand: LogStand) -> None:
    """Under the auditor's trust domains the anchor vouches for its records; the note names signer, time and bundle."""
    ours, theirs = (VirtualSigstore(name=name, clock=SystemClock()) for name in ("ours", "theirs"))
    bundle = _anchored(stand, ours)
    both = _trust_dir(stand.folder / "both", ours, theirs)
    log = ["--key", stand.signer.verifier_key, "--require", "completeness", "--export", stand.export()]
    code, verification = _verify(*log, "--trust-dir", both)
    named, _ = _verify(*log, "--trust-dir", both, "--trust-domain", "ours")
    without, unchecked = _verify(*log)

    assert (code, named, without) == (0, 0, 2)
    assert (verification["completeness"], verification["outside_size"]) == ("valid", 3)
    assert f"signed by keeper@example.com, bundle sha256:{sha256_hex(bundle)}" in _notes(verification)["anchored"]
    assert "no roots of trust for sigstore" in _notes(unchecked)["anchors_not_checked"]


def test_both_types_of_anchors_are_checked_in_one_run(stand: LogStand) -> None:
    """A time stamp and a bundle each count under their own roots; what roots are missing for is said."""
    ours, authority = VirtualSigstore(name="ours", clock=SystemClock()), Authority()
    roots = stand.folder / "tsa.pem"
    roots.write_bytes(authority.pem)
    trust = _trust_dir(stand.folder / "ours", ours)
    _anchored(stand, ours)
    note = stand.log.checkpoint()  # over four records
    now = stand.clock.now_ns()
    token = decode_timestamp_response(authority.timestamp(note, now)).time_stamp_token()
    stand.log.append(anchor_event("rfc3161", note, token, time=now, actor=ACTOR, now=now))
    log = ["--key", stand.signer.verifier_key, "--export", stand.export()]
    _, both = _verify(*log, "--tsa-roots", roots, "--trust-dir", trust)
    _, stamped = _verify(*log, "--tsa-roots", roots)
    _, signed = _verify(*log, "--trust-dir", trust)

    assert [each["problems"] for each in (both, stamped, signed)] == [[], [], []]
    assert [each["outside_size"] for each in (both, stamped, signed)] == [4, 4, 3]
    assert "anchors_not_checked" not in _notes(both)
    assert _notes(stamped)["anchors_not_checked"] == "1: no roots of trust for sigstore"
    assert _notes(signed)["anchors_not_checked"] == "1: no roots of trust for rfc3161"


def test_anchor_of_a_stranger_vouches_for_nothing_and_accuses_nobody(stand: LogStand) -> None:
    """A bundle by another instance, or one that another domain would verify, leaves completeness open."""
    ours, theirs = (VirtualSigstore(name=name, clock=SystemClock()) for name in ("ours", "theirs"))
    _anchored(stand, theirs)
    stand.log.append(
        anchor_event("sigstore", stand.log.checkpoint(), b"{}", time=None, actor=ACTOR, now=stand.clock.now_ns())
    )
    only_ours = _trust_dir(stand.folder / "ours", ours)
    both = _trust_dir(stand.folder / "both", ours, theirs)
    log = ["--key", stand.signer.verifier_key, "--export", stand.export()]

    for options in (["--trust-dir", only_ours], ["--trust-dir", both, "--trust-domain", "ours"]):
        code, verification = _verify(*log, *options)

        assert (code, verification["completeness"]) == (0, "unverifiable")
        assert "refused under ours" in _notes(verification)["anchors_not_checked"]


def test_signed_statement_about_a_checkpoint_is_no_anchor(stand: LogStand) -> None:
    """A statement that names the checkpoint says something about it, not that it is so."""
    ours = VirtualSigstore(name="ours", clock=SystemClock())
    note = stand.log.checkpoint()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "checkpoint", "digest": {"sha256": sha256_of(note).hex}}],
        "predicateType": "https://example.com/p",
        "predicate": {},
    }
    bundle = ours.sign_statement(statement, SIGNER)
    stand.log.append(anchor_event("sigstore", note, bundle, time=None, actor=ACTOR, now=stand.clock.now_ns()))
    trust = _trust_dir(stand.folder / "ours", ours)
    _, verification = _verify("--key", stand.signer.verifier_key, "--export", stand.export(), "--trust-dir", trust)

    assert verification["completeness"] == "unverifiable"
    assert "want a signature over the checkpoint itself" in _notes(verification)["anchors_not_checked"]


@pytest.mark.parametrize(
    "options",
    [
        ["--trust-domain", "ours"],
        ["--trust-dir", "{folder}/missing"],
        ["--trust-dir", "{folder}/trust", "--trust-domain", "theirs"],
    ],
    ids=str,
)
def test_trust_that_cannot_be_had_decides_nothing(stand: LogStand, options: list[str]) -> None:
    """A folder without domains, an unknown domain, and a domain without a folder are exit code 2."""
    _trust_dir(stand.folder / "trust", VirtualSigstore(name="ours", clock=SystemClock()))
    filled = [option.format(folder=stand.folder) for option in options]

    assert _verify("--key", stand.signer.verifier_key, "--export", stand.export(), *filled)[0] == 2


# Bodies.


def _event(kind: str, body: dict[str, object], number: int) -> Event:
    make = OwnEvent if kind == HEARTBEAT else Event
    return make(id=f"00000000-0000-4000-8000-{number:012}", kind=kind, actor=ACTOR, body=body)


def _fill_with_kinds(log: AuditLog) -> None:
    log.append(make_event())
    log.append(registration("access.review", SCHEMA, event_id="00000000-0000-4000-8000-000000000000", actor=ACTOR))
    log.append(_event("access.review", {"who": "ann"}, 1))
    log.append(_event(HEARTBEAT, {"interval_s": 60}, 2))


def test_bodies_keep_to_their_schemas(stand: LogStand) -> None:
    """In a log that the gate wrote every body is held to its schema, shipped or registered, and none breaks it."""
    _fill_with_kinds(stand.log)
    key = ["--key", stand.signer.verifier_key, "--schemas"]
    code, by_export = _verify("--export", stand.export(), *key, "--workers", 2)
    _, by_database = _verify("--database", stand.url, *key)

    assert (code, by_export["problems"], by_export["size"]) == (0, [], 5)
    assert "bodies_not_checked" not in _notes(by_export)
    assert by_database == by_export


@pytest.mark.parametrize(
    ("kind", "body"), [("access.review", {"who": 1}), (HEARTBEAT, {"interval_s": 0}), ("app.event", {"event": "x"})]
)
def test_body_that_breaks_its_schema_was_written_around_the_gate(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch, kind: str, body: dict[str, object]
) -> None:
    """Whoever writes with the log's key but without its checks leaves a body that betrays it; the rest is right."""
    _fill_with_kinds(stand.log)
    loose = stand.reopened()
    sha256 = sha256_hex(SCHEMA) if kind == "access.review" else KindCatalogue({}).schema_sha256(kind)
    event = _event(kind, body, 9)
    unchecked = CheckedEvent(event=event, body=encode_body(event), schema_sha256=sha256)
    monkeypatch.setattr("lockgate.audit.writing.log_kinds.LogKinds.check_early", lambda *_: unchecked)
    monkeypatch.setattr("lockgate.audit.writing.log_kinds.LogKinds.check", lambda *_: unchecked)
    loose.append(event)
    key = ["--key", stand.signer.verifier_key, "--export", stand.export()]
    code, verification = _verify(*key, "--schemas")

    assert (code, verification["integrity"], verification["first_bad_seq"]) == (1, "tampered", 5)
    assert [problem["code"] for problem in verification["problems"]] == ["body_invalid"]
    assert _verify(*key)[0] == 0


def test_schemas_that_are_not_at_hand_accuse_nobody() -> None:
    """A schema of another version, and one that the log does not keep or that is none, leave bodies unchecked."""
    log = WrittenLog().fill(2)  # its records name schemas that nobody has
    log.add("access.review", {"who": 1})
    log.add("other.kind", {"who": 1})
    log.documents[sha256_hex(b"other.kind")] = b"other.kind"
    log.sign()
    verification = log.verify(Trust(policy=only(), check_body=BodySchemas().check))
    (note,) = [note.detail for note in verification.notes if note.code == "bodies_not_checked"]

    assert (verification.verdict, note) == (
        "valid",
        "2: of a schema of another version of Lockgate; 2: of a schema that the log does not keep",
    )
