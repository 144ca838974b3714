"""`lockgate audit tend` and `anchor`: what a log needs besides its writers, and anchors that were made elsewhere."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import structlog

from lockgate.audit import load_public_key
from lockgate.audit.errors import AnchorError
from lockgate.audit.formats.notes import NOTE_BYTES_MAX
from lockgate.audit.keeping.anchors import TimestampAuthorities, anchor_event, check_checkpoint
from lockgate.audit.keeping.bundles import BundleProgram
from lockgate.audit.keeping.tending import Intervals, Tender
from lockgate.audit.verification.anchors import Attestation, check_no_anchor
from lockgate.bootstrap import load_former_signer, open_log, open_logs
from lockgate.cli.audit.anchor_checks import sigstore_check
from lockgate.cli.audit.settings import OPERATOR, load_timestamp_trust, load_witnesses, log_settings_options
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import settings_options
from lockgate.clock import Clock
from lockgate.config import Settings
from lockgate.digests import sha256_of
from lockgate.errors import ConfigError
from lockgate.evidence import EvidenceVerifier, Refusal, load_trust_domains
from lockgate.evidence.limits import BUNDLE_BYTES_MAX
from lockgate.logs import configure_logs
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})


@click.command()
@click.option("--once", is_flag=True, help="Do what is due once, and end with 3 if something of it could not be done.")
@settings_options
def tend(settings: Settings, *, once: bool) -> int:
    """Tend every log, beside the service, until stopped.

    Writes a heartbeat where nothing was written for half of LOCKGATE_HEARTBEAT_INTERVAL_S; asks the witnesses of
    LOCKGATE_AUDIT_POLICY to cosign; has checkpoints stamped by LOCKGATE_TSA_URLS, and signed by
    LOCKGATE_ANCHOR_COMMAND, and records that; and looks whether the log is whole at its end. One line of JSON on
    standard error for each of these. SIGTERM ends it, with 0, after what is under way.

    \b
    Example:
      lockgate audit tend
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    configure_logs(settings.log_level, settings.log_format)
    tenders, round_s = make_tenders(settings)
    if once:
        done = [tender.tend() for tender in tenders]  # every one, whatever came of those before
        return ExitCode.ALLOW if all(done) else ExitCode.UNDECIDED
    with _stop_signals_waiting():
        structlog.get_logger().info("tending", round_s=round_s)
        while True:
            for tender in tenders:
                tender.tend()
            if signal.sigtimedwait(_STOP, round_s) is not None:
                return ExitCode.ALLOW


@click.command()
@click.option(
    "--bundle",
    "bundle_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Sigstore bundle over the checkpoint's bytes, as 'cosign sign-blob --bundle' writes it.",
)
@click.option(
    "--checkpoint",
    "checkpoint_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The checkpoint that was signed.",
)
@click.option("--trust-domain", help="Under which trust domain. Default: LOCKGATE_DEFAULT_TRUST_DOMAIN.")
@log_settings_options
def anchor(settings: Settings, bundle_file: Path, checkpoint_file: Path, trust_domain: str | None) -> int:
    """Record an anchor that was made elsewhere: a Sigstore bundle over a checkpoint of this log.

    The bundle is verified under a trust domain first, and must have been logged or stamped with a time. Who signed it
    is not judged here; the auditor finds that in the bundle.

    \b
    Example:
      curl -so checkpoint https://gate.example/audit/checkpoint
      cosign sign-blob --bundle checkpoint.sigstore.json checkpoint
      lockgate audit anchor --checkpoint checkpoint --bundle checkpoint.sigstore.json
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    clock = SystemClock()
    note, bundle = _read(checkpoint_file, NOTE_BYTES_MAX), _read(bundle_file, BUNDLE_BYTES_MAX)
    engine = open_engine(settings.database_url)
    check_schema(engine)
    former = load_former_signer(settings)
    keys = [load_public_key(settings.log_key_file), *([former.verifier_key] if former else [])]
    checkpoint = check_checkpoint(engine, note, keys)
    verifier = EvidenceVerifier(load_trust_domains(settings.trust_dir), clock)
    verdict = verifier.verify(bundle, sha256_of(note), trust_domain or settings.default_trust_domain)
    if isinstance(verdict, Refusal):
        raise AnchorError(f"the bundle is refused: {verdict.detail} ({verdict.code})")
    if verdict.kind != "message" or not verdict.times:
        raise AnchorError("want a signature over the checkpoint itself, with a time that somebody vouches for")
    # The earliest of the times: the checkpoint existed by then.
    time = min(each.at for each in verdict.times)
    event = anchor_event("sigstore", note, bundle, time=time, actor=OPERATOR, now=clock.now_ns())
    receipt = open_log(settings, clock, engine).append(event)
    click.echo(f"recorded as record {receipt.seq}: size {checkpoint.size}, signed by {verdict.identity}", err=True)
    return ExitCode.ALLOW


def make_tenders(settings: Settings) -> tuple[tuple[Tender, ...], float]:
    """Make what tends each log by these settings, and say how many seconds to wait between two rounds.

    Raises:
        LockgateError: A setting, or a file that one names, cannot be used.
    """
    trust = load_timestamp_trust(settings)
    if bool(settings.tsa_urls) != (trust is not None):
        raise ConfigError("want LOCKGATE_TSA_URLS and LOCKGATE_TSA_ROOTS both, or neither")
    clock = SystemClock()
    engine = open_engine(settings.database_url)
    check_schema(engine)
    intervals = Intervals(
        heartbeat_s=settings.heartbeat_interval_s,
        cosign_s=settings.cosign_interval_s,
        anchor_s=settings.anchor_interval_s,
    )
    tenders = tuple(
        Tender(
            log=log,
            engine=engine,
            clock=clock,
            intervals=intervals,
            policy=load_witnesses(settings, log.origin),
            authorities=TimestampAuthorities(urls=settings.tsa_urls, trust=trust) if trust else None,
            bundles=_bundle_program(settings, clock),
        )
        for log in open_logs(settings, clock, engine)
    )
    return tenders, intervals.round_s


def _bundle_program(settings: Settings, clock: Clock) -> BundleProgram | None:
    if not settings.anchor_command:
        return None

    def check(anchor_type: str, checkpoint: bytes, evidence: bytes) -> Attestation:
        # Read each time, which is once an hour: trust domains are replaced while this runs.
        believe = sigstore_check(settings.trust_dir, settings.default_trust_domain, clock, check_no_anchor)
        return believe(anchor_type, checkpoint, evidence)

    sigstore_check(settings.trust_dir, settings.default_trust_domain, clock, check_no_anchor)  # now: a bad one is told
    return BundleProgram(command=settings.anchor_command, check=check, bundle_bytes_max=BUNDLE_BYTES_MAX)


@contextmanager
def _stop_signals_waiting() -> Iterator[None]:
    # A signal waits until a round is over, instead of breaking into it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    if len(data) > bytes_max:
        raise ConfigError(f"want at most {bytes_max} bytes in {path}")
    return data
