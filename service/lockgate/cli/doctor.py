"""`lockgate doctor`: everything that must be right before the service can decide, checked one by one."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import click
from sqlalchemy import Engine

from lockgate.audit import AuditLog, load_key_file, open_checkpoint
from lockgate.bootstrap import build_services, open_log
from lockgate.canonical_json import parse_canonical
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import data_dir_option, read_settings
from lockgate.cli.standard_output import emit
from lockgate.clock import EpochNs, format_timestamp, is_expired, parse_timestamp
from lockgate.config import Settings
from lockgate.errors import ConfigError, LockgateError
from lockgate.evidence import load_trust_domains
from lockgate.policy.compiled import load_policy
from lockgate.policy.opa_binary import find_opa
from lockgate.rendering import plain
from lockgate.storage import check_schema, open_engine
from lockgate.system_clock import SystemClock

# The clock was right at least once after this: a machine without a battery wakes up in 1970 or on its build day.
_EARLIEST: Final = parse_timestamp("2026-01-01T00:00:00.000000Z")
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

Check: TypeAlias = Callable[[Settings], str]


class _UnfitError(LockgateError):
    """Something is there and not as it must be."""

    code = "doctor.unfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    name: str
    ok: bool
    detail: str
    next_step: str


@click.command()
@data_dir_option
def doctor(data_dir: Path | None) -> int:
    """Check everything that serving needs.

    Settings, data folder, database, audit log, clock, policy, OPA, trust domains, and one decision whose answer is
    known. Says what to do about each that fails.

    Exit codes: 0 all well, 3 something is not.

    \b
    Example:
      lockgate doctor
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    well = True
    for finding in _examine(data_dir):
        well = well and finding.ok
        emit(f"{'ok' if finding.ok else 'FAILED':<8}{finding.name:<14}{plain(finding.detail)}\n")
        if not finding.ok:
            emit(f"{'':<8}{'next':<14}{finding.next_step}\n")
    return ExitCode.ALLOW if well else ExitCode.UNDECIDED


def _examine(data_dir: Path | None) -> Iterator[_Finding]:
    try:
        settings = read_settings(data_dir)
    except ConfigError as exc:
        yield _Finding(name="settings", ok=False, detail=str(exc), next_step="set it; docs/cli.md lists every setting")
        return
    yield _Finding(name="settings", ok=True, detail=f"data folder {settings.data_dir}", next_step="")
    for name, check, next_step in _CHECKS:
        try:
            yield _Finding(name=name, ok=True, detail=check(settings), next_step="")
        except LockgateError as exc:
            yield _Finding(name=name, ok=False, detail=f"{exc} [{exc.code}]", next_step=next_step)


def _folder(settings: Settings) -> str:
    for path in (settings.data_dir, settings.log_key_file):
        try:
            mode = path.stat().st_mode
        except OSError as exc:
            raise _UnfitError(f"{path}: {exc.strerror}") from exc
        if mode & _OPEN_TO_OTHERS:
            raise _UnfitError(f"{path} is open to others: want {mode & 0o700:o}, got {stat.S_IMODE(mode):o}")
    return "folder and key are their owner's alone"


def _database(settings: Settings) -> str:

    check_schema(_existing(settings))
    return "the tables are those of this version"


def _log(settings: Settings) -> str:
    log = _open_log(settings)
    log.check_head()
    return f"{log.origin} ends where its newest checkpoint says"


def _clock(settings: Settings) -> str:
    now = SystemClock().now_ns()
    if now < _EARLIEST:
        raise _UnfitError(f"it is {format_timestamp(now)} by this machine")
    log = _open_log(settings)
    size = open_checkpoint(log.checkpoint(), [load_key_file(settings.log_key_file).verifier_key]).size
    newest = parse_canonical(log.records(after=size - 2, limit=1)[0].body)["ts"]
    if now < parse_timestamp(newest):
        raise _UnfitError(f"it is {format_timestamp(now)} by this machine, but a record was made at {newest}")
    return format_timestamp(now)


def _policy(settings: Settings) -> str:

    compiled = load_policy(settings.policy_dir, find_opa(), settings.policy_config_dir)
    return f"compiled module is that of its sources, revision {compiled.catalogue.revision}"


def _opa(settings: Settings) -> str:

    opa = find_opa()
    if opa is not None:
        return str(opa)
    if settings.policy_engine == "opa":
        return f"decides at {settings.opa_url}; none of the pinned version here, which only changing the policy needs"
    return "none of the pinned version here; deciding needs none, changing the policy does"


def _trust(settings: Settings) -> str:

    domains = load_trust_domains(settings.trust_dir).by_name
    if settings.default_trust_domain not in domains:
        raise _UnfitError(f"the default trust domain {settings.default_trust_domain!r} is not among {sorted(domains)}")
    now = SystemClock().now_ns()
    for name, domain in domains.items():
        if domain.valid_until is not None and is_expired(domain.valid_until, now):
            raise _UnfitError(f"{name} accepts no signature made after {format_timestamp(domain.valid_until)}")
    return ", ".join(f"{name} ({_end(domain.valid_until)})" for name, domain in sorted(domains.items()))


def _end(valid_until: EpochNs | None) -> str:
    return "no end in sight" if valid_until is None else f"new signatures until {format_timestamp(valid_until)}"


def _decision(settings: Settings) -> str:

    failed = [check for check in build_services(settings).readiness.check() if not check.ok]
    if failed:
        raise _UnfitError("; ".join(f"{check.name}: {check.detail}" for check in failed))
    return "an unsigned, unknown model is denied, as it must be"


def _open_log(settings: Settings) -> AuditLog:

    return open_log(settings, SystemClock(), _existing(settings))


def _existing(settings: Settings) -> Engine:

    engine = open_engine(settings.database_url)
    if not Path(engine.url.database or "").is_file():  # opening it would make an empty one
        raise _UnfitError("there is no database yet")
    return engine


_CHECKS: Final[tuple[tuple[str, Check, str], ...]] = (
    ("data folder", _folder, "make it with 'lockgate init', or close it with chmod as said"),
    ("database", _database, "'lockgate init' makes it, 'lockgate db upgrade' brings it up to date"),
    ("audit log", _log, "do not write to it; 'lockgate audit verify' says what is wrong since when"),
    ("clock", _clock, "set the machine's clock from a time server before serving"),
    ("policy", _policy, "'lockgate policy build', and commit what it makes"),
    ("opa", _opa, "install the pinned OPA with 'make tools'"),
    ("trust domains", _trust, "put current trusted roots into LOCKGATE_TRUST_DIR (docs/formats/evidence.md)"),
    ("decision", _decision, "mend what is said above first; then look at the service's log"),
)
