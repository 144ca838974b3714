"""Sigstore bundles by a program of the operator's: recorded as anchors, or refused by name; on both databases."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from lockgate.audit.formats.kind_names import ANCHOR
from lockgate.audit.formats.notes import format_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.anchors import TimestampAuthorities
from lockgate.audit.keeping.bundles import BundleProgram
from lockgate.audit.keeping.tending import Intervals, Tender
from lockgate.audit.types import RecordFilter
from lockgate.audit.verification.anchors import AnchorCheck, check_no_anchor
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.cli.audit.anchor_checks import sigstore_check
from lockgate.cli.audit.tend import make_tenders, tend
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.config import load_settings
from lockgate.demo.virtual_sigstore import VirtualSigner, VirtualSigstore
from lockgate.digests import sha256_of
from lockgate.errors import ConfigError
from lockgate.system_clock import SystemClock
from support.audit_logs import LogStand, make_stand
from support.timestamp_authority import Authority, serve_authority
from support.written_logs import only

SIGNER = VirtualSigner(identity="keeper@example.com", issuer="https://id.example")
INTERVALS = Intervals(heartbeat_s=86_400, cosign_s=60, anchor_s=3600)


@pytest.fixture(scope="module")
def sigstore() -> VirtualSigstore:
    """An instance."""
    return VirtualSigstore(name="ours", clock=SystemClock())


@pytest.fixture
def stand(tmp_path: Path, database_url: str, sigstore: VirtualSigstore) -> Iterator[LogStand]:
    """A log whose clock is the instance's, with three records, in a folder that trusts the instance."""
    made = make_stand(tmp_path, database_url)
    made.clock.now = SystemClock().now_ns()
    made.fill(2)
    (tmp_path / "trust").mkdir()
    sigstore.write_trust_domain(tmp_path / "trust")
    yield made
    made.engine.dispose()


def _program(folder: Path, bundle: bytes, *, and_then: str = "") -> tuple[str, ...]:
    """Make a program that keeps what it is asked and answers with a bundle."""
    (folder / "bundle").write_bytes(bundle)
    code = f"""
import shutil, sys, time
open({str(folder / "asked")!r}, "ab").write(sys.stdin.buffer.read())
sys.stdout.buffer.write(open({str(folder / "bundle")!r}, "rb").read())
{and_then}
"""
    (folder / "program.py").write_text(code)
    return (sys.executable, "-I", "-S", str(folder / "program.py"))


def _check(stand: LogStand) -> AnchorCheck:
    return sigstore_check(stand.folder / "trust", "ours", SystemClock(), check_no_anchor)


def _tender(stand: LogStand, command: tuple[str, ...], *, timeout_s: float = 10, **parts: Any) -> Tender:
    bundles = BundleProgram(command=command, check=_check(stand), bundle_bytes_max=65_536, timeout_s=timeout_s)
    return Tender(log=stand.log, engine=stand.engine, clock=stand.clock, intervals=INTERVALS, bundles=bundles, **parts)


def _tend(tender: Tender) -> tuple[bool, list[tuple[str, str | None]]]:
    with capture_logs() as lines:
        done = tender.tend()
    return done, [(line["event"], line.get("code")) for line in lines if "log" in line]


def _anchors(stand: LogStand) -> list[dict[str, Any]]:
    return [parse_record(record.body) for record in stand.log.find(RecordFilter(kind=ANCHOR), limit=100)]


def test_bundle_that_verifies_is_recorded_as_an_anchor(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """The program gets the newest checkpoint; its bundle and time are in the record, and the auditor counts them."""
    note = stand.log.checkpoint()
    bundle = sigstore.sign_artifact(sha256_of(note), SIGNER)
    tender = _tender(stand, _program(stand.folder, bundle))

    assert _tend(tender) == (True, [("checkpoint_anchored", None)])
    assert _tend(tender) == (True, [])
    assert (stand.folder / "asked").read_bytes() == note
    (record,) = _anchors(stand)
    assert (record["body"]["type"], record["body"]["size"], record["actor"]["id"]) == ("sigstore", 3, "tend")
    assert stand.log.attachment(record["body"]["evidence"].removeprefix("sha256:")) == bundle
    assert "time" in record["body"]
    trust = Trust(policy=only(stand.signer), check_anchor=_check(stand))
    verification = verify_export(ExportFolder(stand.export()), trust)
    assert (verification.verdict, verification.completeness, verification.outside_size) == ("valid", "valid", 3)


@pytest.mark.parametrize(
    ("and_then", "code"),
    [
        ("raise SystemExit(3)", "audit.program_failed"),
        ("sys.stdout.flush(); time.sleep(60)", "audit.program_failed"),
        ("sys.stdout.buffer.write(bytes(70_000))", "audit.program_failed"),
        ("sys.stdout.buffer.write(b'}')", "audit.bundle_refused"),
    ],
)
def test_program_that_gives_no_bundle(stand: LogStand, sigstore: VirtualSigstore, and_then: str, code: str) -> None:
    """A failure, no end in time, too much and no bundle are told by name; nothing is recorded. It is tried again."""
    bundle = sigstore.sign_artifact(sha256_of(stand.log.checkpoint()), SIGNER)
    failing = _tender(stand, _program(stand.folder, bundle, and_then=and_then), timeout_s=2)

    assert [_tend(failing) for _ in range(2)] == [(False, [("bundle_failed", code)])] * 2
    assert _anchors(stand) == []
    assert _tend(_tender(stand, _program(stand.folder, bundle)))[0]


def test_bundle_over_another_checkpoint_is_refused(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """A bundle that verifies, but of other bytes, attests nothing of this log."""
    bundle = sigstore.sign_artifact(sha256_of(b"another"), SIGNER)

    assert _tend(_tender(stand, _program(stand.folder, bundle))) == (False, [("bundle_failed", "audit.bundle_refused")])
    assert _anchors(stand) == []


def test_stamps_and_bundles_have_each_their_turn(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """A recent time stamp holds up no bundle; where nothing else happens neither follows the other for ever."""
    authority = Authority()
    with serve_authority(authority) as served:
        served.answer = lambda body: (200, authority.answer(body, EpochNs(stand.clock.now)))
        authorities = TimestampAuthorities(urls=(served.url,), trust=authority.trust)
        alone = Tender(
            log=stand.log, engine=stand.engine, clock=stand.clock, intervals=INTERVALS, authorities=authorities
        )
        assert _tend(alone)[0]
        bundle = sigstore.sign_artifact(sha256_of(stand.log.checkpoint()), SIGNER)
        both = _tender(stand, _program(stand.folder, bundle), authorities=authorities)
        done = [_tend(both)]
        for _ in range(3):
            stand.clock.now += 2 * 3600 * NS_PER_S
            done.append(_tend(both))

    assert done == [(True, [("checkpoint_anchored", None)]), (True, []), (True, []), (True, [])]
    assert [record["body"]["type"] for record in _anchors(stand)] == ["rfc3161", "sigstore"]


def test_setting_names_the_program(stand: LogStand, sigstore: VirtualSigstore) -> None:
    """`lockgate audit tend --once` asks the program of the settings; without its trust domain it does not start."""
    key = stand.folder / "log.key"
    key.write_text(format_signer(stand.signer) + "\n")
    key.chmod(0o600)
    command = _program(stand.folder, sigstore.sign_artifact(sha256_of(stand.log.checkpoint()), SIGNER))
    environ = {
        "LOCKGATE_DATA_DIR": str(stand.folder),
        "LOCKGATE_DATABASE_URL": stand.url,
        "LOCKGATE_ANCHOR_COMMAND": shlex.join(command),
        "LOCKGATE_TRUST_DIR": str(stand.folder / "trust"),
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "ours",
    }
    done = CliRunner().invoke(tend, ["--once"], env=environ, standalone_mode=False)

    assert done.return_value == 0, done.output
    assert [record["body"]["type"] for record in _anchors(stand)] == ["sigstore"]
    with pytest.raises(ConfigError, match="want one of the trust domains"):
        make_tenders(load_settings(environ | {"LOCKGATE_DEFAULT_TRUST_DOMAIN": "theirs"}))
